from __future__ import annotations

import array
import fcntl
import os
import signal
import subprocess
import sys
import termios

import pytest

SIZE = 3_000_000
PROGRAM = f"""
import signal
signal.signal(signal.SIGUSR1, lambda *_: None)
from ironcage.output import print_text
print_text("x" * {SIZE})
"""


def waiting(fd: int) -> int:
    """Bytes in the pipe."""
    found = array.array("i", [0])
    fcntl.ioctl(fd, termios.FIONREAD, found)
    return found[0]


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_signal_in_the_midst_of_a_large_output_loses_nothing(unbuffered: str) -> None:
    environment = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
    with subprocess.Popen([sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, env=environment) as process:
        assert process.stdout is not None
        fd = process.stdout.fileno()
        full = fcntl.fcntl(fd, fcntl.F_GETPIPE_SZ)
        while waiting(fd) < full and process.poll() is None:
            os.sched_yield()
        process.send_signal(signal.SIGUSR1)  # it stands in a write that has been taken in part
        assert len(process.stdout.read()) == SIZE
    assert process.returncode == 0
