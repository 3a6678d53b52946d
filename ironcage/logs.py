"""Logging of the long-running commands: to standard error, libraries only from WARNING on."""

from __future__ import annotations

import logging
import sys

_ROOMS = ("ironcage", "proxy", "policies", "replay", "scoring", "trajectory")


def set_up_logging(level: int = logging.INFO) -> None:
    logging.basicConfig(
        level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr
    )
    for room in _ROOMS:
        logging.getLogger(room).setLevel(level)
