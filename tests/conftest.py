"""What holds for all tests.

1. Compiled modules are kept, also where the environment says otherwise (as many images do). A house, a cage and an
   agent are processes of their own, some four hundred in all tests. Each would compile the modules that it loads: half
   of what a start costs. Here, because the workers of pytest-xdist and all processes that tests start take their
   environment from this one.
2. One worker more than there are cores: a third of a test's time is waiting for processes.
3. A property is tried with 40 examples; `--hypothesis-profile thorough` tries it with 1,000.
"""

from __future__ import annotations

import os
import sys

import pytest
from hypothesis import settings

os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# no deadline: on a busy machine an example of some milliseconds takes more than Hypothesis' 200; pytest's timeout holds
settings.register_profile("quick", max_examples=40, deadline=None)
settings.register_profile("thorough", settings.get_profile("quick"), max_examples=1000)
settings.load_profile("quick")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    return len(os.sched_getaffinity(0)) + 1
