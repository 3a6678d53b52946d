from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import gc
from ironcage.collector import leave_out_what_stays

class Circle:
    alive = 0
    def __init__(self):
        Circle.alive += 1
        self.me = self
    def __del__(self):
        Circle.alive -= 1

Circle()
leave_out_what_stays()
print(Circle.alive, gc.get_count()[2], len(gc.get_objects()) * 10 < gc.get_freeze_count())
before = gc.get_freeze_count()
for _ in range(gc.get_threshold()[0] + 1):
    Circle()
print(Circle.alive <= gc.get_threshold()[0], gc.get_freeze_count() == before)
"""


def test_what_was_built_is_left_out_and_garbage_is_still_collected() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["0", "0", "True", "True", "True"]
