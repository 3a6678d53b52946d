"""Supervises one agent: starts it, samples its whole process tree, says why it must end, kills it, counts.

Runs by itself as `python -I -S supervisor.py FD`, with the standard library (and tree.py) only: an agent inherits the
resident size of what started it into its `ru_maxrss`, so this must stay small (11 MB).

Rules, each learned by breaking it:

1. FD is a socket to the engine. Its end of file means that the engine is gone: the tree is killed.
2. The verdict is sent before the first kill.
3. The supervisor is the subreaper of its tree: double-forked daemons come back to it, and are found and killed.
4. Supervisor killed: the agent follows by PR_SET_PDEATHSIG; the engine sweeps what is left.
5. It exits only when no child is left.

Protocol, one JSON object a line. From the engine: the configuration, then {"stop": [cause, evidence]}. To the
engine: {"started"}, {"verdict"}, {"done"}, or {"error"} if the command cannot be started.
"""

from __future__ import annotations

import ctypes
import json
import math
import os
import resource
import select
import signal
import sys
import time
from contextlib import suppress

# -I keeps the path empty of our own code. Appended: the standard library's names come first.
sys.path.append(str(__file__).rsplit("/", 3)[0])

from replay.cage.tree import MB, Tree

TYPE_CHECKING = False
if TYPE_CHECKING:  # typing itself would cost half a megabyte
    from typing import Any

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
SHORTEST_S, LONGEST_S = 0.02, 0.05
"""Between two samples: 20 ms, stretched for big trees so that sampling costs about 1/15 of a core, at most 50 ms."""
GIVE_UP_S = 30.0
"""How long to go on killing what cannot be killed (another user's process) before leaving it, named."""

Verdict = tuple[str, str]


class Tail:
    """The last `cap` bytes of a stream."""

    def __init__(self, cap: int) -> None:
        self.cap, self.data, self.total = cap, bytearray(), 0

    def add(self, data: bytes) -> None:
        self.data += data
        self.total += len(data)
        if len(self.data) > 2 * self.cap:
            del self.data[: -self.cap]

    def text(self) -> str:
        return bytes(self.data[-self.cap :] if self.cap else b"").decode("utf-8", "replace")

    @property
    def truncated(self) -> bool:
        return self.total > self.cap


class Supervisor:
    def __init__(self, control: int, config: dict[str, Any], rest: bytes) -> None:
        self.control, self.config, self.inbox = control, config, rest
        self.memory = config["memory_mb"] * MB if config["memory_mb"] is not None else None
        self.cpu_s, self.wall_s = config["cpu_s"], config["wall_s"]
        self.tree = Tree(config.get("force_scan", False))
        self.stdout, self.stderr = Tail(config["stdout_cap"]), Tail(config["stderr_cap"])
        self.verdict: Verdict | None = None
        self.status: int | None = None
        self.childless = self.over = False
        self.leftover: set[int] = set()
        self.pipes: dict[int, Tail] = {}
        self.poll = select.poll()
        self.wake = self._watch_children()

    def _watch_children(self) -> int:
        wake, wake_in = os.pipe()
        for fd in (wake, wake_in):
            os.set_blocking(fd, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(wake_in, warn_on_full_buffer=False)
        return wake

    def send(self, **message: object) -> None:
        data = json.dumps(message).encode() + b"\n"
        with suppress(OSError):  # the engine is gone: the end of file on the same socket says so too
            while data:
                data = data[os.write(self.control, data) :]

    # --- start

    def start(self) -> bool:
        """False if the command could not be started; that has been reported then."""
        libc = ctypes.CDLL(None, use_errno=True)
        libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        out, out_in = os.pipe()
        err, err_in = os.pipe()
        report, report_in = os.pipe()
        parent = os.getpid()
        self.pid = os.fork()
        if self.pid == 0:
            self._become_agent(libc, parent, out_in, err_in, report_in)
        self.started_at = time.monotonic()
        for fd in (out_in, err_in, report_in):
            os.close(fd)
        problem = b"".join(iter(lambda: os.read(report, 4096), b""))
        os.close(report)
        if problem:
            os.waitpid(self.pid, 0)
            self.send(error=problem.decode("utf-8", "replace"))
            return False
        self.pipes = {out: self.stdout, err: self.stderr}
        for fd in (out, err):
            os.set_blocking(fd, False)
            self.poll.register(fd, select.POLLIN)
        self.poll.register(self.control, select.POLLIN)
        self.poll.register(self.wake, select.POLLIN)
        self._report_start()
        return True

    def _become_agent(self, libc: ctypes.CDLL, parent: int, out: int, err: int, report: int) -> None:
        try:
            os.setsid()
            libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
            if os.getppid() != parent:
                os._exit(127)
            for number in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGCHLD):
                signal.signal(number, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_SETMASK, [])
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            if self.cpu_s is not None:
                self._set_cpu_backstop()
            if self.config["stdout_path"] is not None:
                out = os.open(self.config["stdout_path"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            os.dup2(out, 1)
            os.dup2(err, 2)
            os.chdir(self.config["cwd"])
            os.execvpe(self.config["argv"][0], self.config["argv"], self.config["env"])  # noqa: S606
        except BaseException as error:  # whatever happens, this must not go on as a second supervisor
            os.write(report, str(error).encode("utf-8", "replace") or b"cannot start")
        finally:
            os._exit(127)

    def _set_cpu_backstop(self) -> None:
        # Per process, above the limit of the tree: it acts only if the supervisor cannot.
        _, hard = resource.getrlimit(resource.RLIMIT_CPU)
        ceiling = math.ceil(self.cpu_s) + 2
        ceiling = ceiling if hard == resource.RLIM_INFINITY else min(ceiling, hard)
        resource.setrlimit(resource.RLIMIT_CPU, (max(1, ceiling - 1), ceiling))

    def _report_start(self) -> None:
        """What is in force, read back: rlimits from the kernel, sampled limits once a sample has really worked."""
        self.tree.sample(self.memory, time.monotonic())
        core = resource.prlimit(self.pid, resource.RLIMIT_CORE)
        cpu = resource.prlimit(self.pid, resource.RLIMIT_CPU)
        sampled = self.tree.samples > 0
        self.send(
            started={
                "pid": self.pid,
                "sampler": self.tree.sampler,
                "rlimit_core": core,
                "rlimit_cpu": cpu,
                "memory_mb": self.memory / MB if self.memory is not None and sampled else None,
                "cpu_s": self.cpu_s if sampled else None,
                "wall_s": self.wall_s,
            }
        )

    # --- while it runs

    def supervise(self) -> None:
        next_sample = time.monotonic()
        self._obey(b"")  # a stop that came together with the configuration
        while self._running():
            deadline = next_sample
            if self.wall_s is not None:
                deadline = min(deadline, self.started_at + self.wall_s)
            self._read_all(max(0.0, deadline - time.monotonic()))
            self.reap()
            if not self._running():
                break
            before = time.monotonic()
            if before >= next_sample:
                self.tree.sample(self.memory, before)
                cost = time.monotonic() - before
                next_sample = before + min(LONGEST_S, max(SHORTEST_S, 15 * cost))
            self.judge()

    def _running(self) -> bool:
        return self.status is None and self.verdict is None

    def judge(self) -> None:
        elapsed = time.monotonic() - self.started_at
        if self.memory is not None and self.tree.pss is not None and self.tree.pss > self.memory:
            self._judge_memory(self.memory)
        if self.cpu_s is not None and self.tree.cpu_s >= self.cpu_s:
            self.decide("cpu_time", f"the process tree used {self.tree.cpu_s:.2f} s of CPU, limit {self.cpu_s:g} s")
        if self.wall_s is not None and elapsed >= self.wall_s:
            self.decide("wall_time", f"{elapsed:.2f} s after its start, limit {self.wall_s:g} s")

    def _judge_memory(self, limit: float) -> None:
        """Look twice: between vfork and exec one address space is seen as two."""
        time.sleep(0.002)
        pss = self.tree.read_pss()
        if pss > limit:
            self.tree.peak = max(self.tree.peak, pss)
            self.decide(
                "memory",
                f"the process tree held {pss / MB:.1f} MB (PSS of {len(self.tree.processes)} processes, "
                f"RSS {self.tree.rss / MB:.1f} MB), limit {limit / MB:g} MB",
            )

    def decide(self, cause: str, evidence: str) -> None:
        """The first verdict stands, and reaches the engine before anything is killed."""
        if self.verdict is None and not self.over:
            self.verdict = (cause, evidence)
            self.send(verdict=self.verdict)

    def _read_all(self, timeout_s: float) -> None:
        for fd, _ in self.poll.poll(math.ceil(timeout_s * 1000)):
            if fd == self.wake:
                os.read(self.wake, 4096)
            elif fd == self.control:
                self._hear_engine()
            else:
                self._read_pipe(fd)

    def _read_pipe(self, fd: int) -> bool:
        """False when there is no more for now."""
        try:
            data = os.read(fd, 65536)
        except BlockingIOError:
            return False
        if data:
            self.pipes[fd].add(data)
        elif fd in self.pipes:
            self.poll.unregister(fd)
            os.close(fd)
            del self.pipes[fd]
        return bool(data)

    def _hear_engine(self) -> None:
        try:
            data = os.read(self.control, 65536)
        except ConnectionResetError:
            data = b""
        if not data:
            self.poll.unregister(self.control)
            self.decide("cancelled", "the engine went away")
        self._obey(data)

    def _obey(self, data: bytes) -> None:
        self.inbox += data
        while b"\n" in self.inbox:
            line, _, self.inbox = self.inbox.partition(b"\n")
            self.decide(*json.loads(line)["stop"])

    def reap(self) -> None:
        while True:
            try:
                pid, status, usage = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                self.childless = True
                return
            if pid == 0:
                return
            self.childless = False
            self.tree.reaped(usage)
            if pid == self.pid:
                self.status = status

    # --- the end

    def end(self) -> None:
        wall_s = time.monotonic() - self.started_at
        self.reap()
        self.over = True
        survivors = self._kill_tree()
        for fd in list(self.pipes):
            while self._read_pipe(fd):
                pass
        self.tree.ended()
        status = self.status if self.status is not None else 0
        self.send(
            done={
                "exit_code": os.WEXITSTATUS(status) if os.WIFEXITED(status) else None,
                "signal": os.WTERMSIG(status) if os.WIFSIGNALED(status) else None,
                "wall_s": wall_s,
                "cpu_s": self.tree.cpu_s,
                "peak_mb": self.tree.peak / MB,
                "largest_mb": self.tree.largest / MB,
                "samples": self.tree.samples,
                "stdout": self.stdout.text(),
                "stdout_truncated": self.stdout.truncated,
                "stderr": self.stderr.text(),
                "leftover": len(self.leftover),
                "survivors": survivors,
            }
        )

    def _kill_tree(self) -> list[int]:
        """Stop all, so that nothing forks on; then kill until no child is left. Returns what could not be killed."""
        stopped: set[int] = set()
        for _ in range(50):
            new = [pid for pid in self.tree.pids() if pid not in stopped]
            if not new:
                break
            for pid in new:
                self._signal(pid, signal.SIGSTOP)
            stopped.update(new)
        if self.verdict is None:
            self.leftover = stopped
        give_up_at = time.monotonic() + GIVE_UP_S
        while True:
            pids = self.tree.pids()
            for pid in pids:
                self._signal(pid, signal.SIGKILL)
            self.reap()
            if self.childless:
                return []
            if time.monotonic() > give_up_at:
                return pids
            self._read_all(0.01)

    @staticmethod
    def _signal(pid: int, number: signal.Signals) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)


def read_config(control: int) -> tuple[dict[str, Any], bytes]:
    data = b""
    while b"\n" not in data:
        part = os.read(control, 65536)
        if not part:
            sys.exit(0)  # the engine went away before it said what to run
        data += part
    line, _, rest = data.partition(b"\n")
    return json.loads(line), rest


def main() -> None:
    control = int(sys.argv[1])
    os.set_inheritable(control, False)
    supervisor = Supervisor(control, *read_config(control))
    if supervisor.start():
        supervisor.supervise()
        supervisor.end()


if __name__ == "__main__":
    main()
