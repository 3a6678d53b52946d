"""Compiled modules are kept, also where the environment says otherwise (as many images do).

A house, a cage and an agent are processes of their own, some four hundred in all tests. Each would compile the modules
that it loads: half of what a start costs. Here, because the workers of pytest-xdist and all processes that tests start
take their environment from this one.
"""

from __future__ import annotations

import os
import sys

os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False
