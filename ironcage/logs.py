"""Logging of the long-running commands: to standard error, libraries only from WARNING on.

1. No line quotes what was said: the text of an exception may hold what it failed on, a prompt or a key.
2. What a client sends that is no HTTP is answered 400 and not worth a line: anybody could fill the log with them.
"""

from __future__ import annotations

import logging
import sys
import traceback
from types import TracebackType

from trajectory.errors import OperatorError, StoreError

_ROOMS = ("ironcage", "proxy", "policies", "replay", "scoring", "trajectory")
_TOLD = (OSError, OperatorError, StoreError)  # of files, sockets, settings and the store, never of traffic


def set_up_logging(level: int = logging.INFO) -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(QuotesNothing("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    handler.addFilter(is_worth_a_line)
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    for room in _ROOMS:
        logging.getLogger(room).setLevel(level)


class QuotesNothing(logging.Formatter):
    """Of an exception: its class, where it was raised, and what led to it; its text only where that quotes nobody."""

    def format(self, record: logging.LogRecord) -> str:
        record.exc_text = None  # what another handler's formatter has left there
        return super().format(record)

    def formatException(  # noqa: N802 -- the library's name
        self,
        ei: tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None],
    ) -> str:
        lines: list[str] = []
        error = ei[1]
        while error is not None:
            kind = type(error)
            text = f": {error}" if isinstance(error, _TOLD) else ""
            lines.insert(0, "".join(traceback.format_tb(error.__traceback__)) + kind.__qualname__ + text)
            error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
        return "\nand then\n".join(lines)


def is_worth_a_line(record: logging.LogRecord) -> bool:
    error = record.exc_info[1] if record.exc_info else None
    return type(error).__module__ != "aiohttp.http_exceptions"
