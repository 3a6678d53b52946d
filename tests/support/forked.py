"""The process that loads ironcage once and forks a command for each request; see forking.py, which asks.

    python -m tests.support.forked FD

FD is a socket of whole messages: JSON with the command's arguments, folder and environment, and three descriptors:
its output, its errors, and where to write its process id and its exit code. At the socket's end this process ends.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import select
import signal
import socket
import sys
from contextlib import suppress
from typing import Any

from ironcage.__main__ import main

LOADED = (
    "ironcage.commands.bakeoff",
    "ironcage.commands.run",
    "ironcage.commands.serve",
    "ironcage.commands.tasks",
    "ironcage.commands.trajectories",
    # what these load only when they need it, as the proxy door and scores do
    "proxy.intercept.certificates",
    "proxy.intercept.connection",
    "scipy.special",
)
LARGEST_REQUEST = 1024 * 1024


class Forks:
    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._poll = select.poll()
        self._poll.register(control, select.POLLIN)
        self._running: dict[int, tuple[int, int]] = {}

    def serve(self) -> list[str] | None:
        """Returns twice: None at the end, and in each fork the arguments of its command."""
        while True:
            for fd, _ in self._poll.poll():
                if fd != self._control.fileno():
                    self._tell_end(fd)
                    continue
                message, fds, _, _ = socket.recv_fds(self._control, LARGEST_REQUEST, 3)
                if not message:
                    return None
                request = json.loads(message)
                pid = os.fork()
                if pid == 0:
                    self._become(request, fds)
                    arguments: list[str] = request["arguments"]
                    return arguments
                self._watch(pid, fds)

    def _watch(self, pid: int, fds: list[int]) -> None:
        out, err, reply = fds
        os.close(out)
        os.close(err)
        os.write(reply, f"{pid}\n".encode())
        pidfd = os.pidfd_open(pid)
        self._poll.register(pidfd, select.POLLIN)
        self._running[pidfd] = (pid, reply)

    def _tell_end(self, pidfd: int) -> None:
        pid, reply = self._running.pop(pidfd)
        self._poll.unregister(pidfd)
        os.close(pidfd)
        _, status = os.waitpid(pid, 0)
        with suppress(BrokenPipeError):  # whoever asked has gone
            os.write(reply, f"{os.waitstatus_to_exitcode(status)}\n".encode())
        os.close(reply)

    def _become(self, request: dict[str, Any], fds: list[int]) -> None:
        """Nothing of this process but what it has loaded stays."""
        self._control.close()
        for pidfd, (_, reply) in self._running.items():
            os.close(pidfd)
            os.close(reply)
        for number, fd in enumerate(fds[:2], 1):
            os.dup2(fd, number)
        for fd in fds:
            os.close(fd)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        os.chdir(request["cwd"])
        os.environ.clear()
        os.environ.update(request["env"])
        sys.argv = ["ironcage", *request["arguments"]]


def load() -> None:
    for name in LOADED:
        importlib.import_module(name)
    gc.freeze()  # a collection in a fork would copy all pages


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the tests, which then end this
    load()
    command = Forks(socket.socket(fileno=int(sys.argv[1]))).serve()
    if command is not None:
        main(command)
