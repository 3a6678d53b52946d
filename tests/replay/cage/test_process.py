"""The portable cage with real programs: each test is a small Python program in the cage."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import pytest
import uvloop

from replay.cage.contract import CageResult, CageSpec, StopRequest
from replay.cage.process import PortableCage
from tests.support.processes import PYTHON, alive, wait_until_gone
from trajectory.errors import CageError
from trajectory.runs import Limits

ENV = {"PATH": os.environ["PATH"]}
FOREVER = "import signal\nwhile True: signal.pause()\n"
DAEMON = """
import os, sys
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.write(1, b"%d\\n" % os.getpid())
        os.close(ready[1])
        {work}
    os._exit(0)
"""


@pytest.fixture(params=["children", "scan"])
def cage(request: pytest.FixtureRequest) -> PortableCage:
    return PortableCage(force_scan=request.param == "scan")


async def run(program: str, cage: PortableCage | None = None, **limits: float) -> CageResult:
    spec = CageSpec((*PYTHON, program), Path("/"), ENV, Limits(**limits))  # type: ignore[arg-type]
    return await (cage or PortableCage()).run(spec)


def daemon(work: str, then: str) -> str:
    """A program that leaves a double-forked daemon in a session of its own, and goes on once it alone is left."""
    start = DAEMON.format(work=work)
    return f"import os\nready = os.pipe()\n{start}\nos.close(ready[1])\nos.read(ready[0], 1)\nos.wait()\n{then}"


async def test_command_that_ends_by_itself_has_its_exit_code_and_no_cause(cage: PortableCage) -> None:
    result = await run("import sys; print('out'); print('err', file=sys.stderr); sys.exit(7)", cage)
    certificate = result.certificate
    assert (certificate.exit_code, certificate.signal, certificate.kill_cause) == (7, None, None)
    assert (result.stdout, certificate.stderr_tail) == ("out\n", "err\n")
    assert certificate.grade == "portable"


async def test_exit_code_of_a_command_that_ends_at_once_is_not_lost() -> None:
    results = await asyncio.gather(*(run(f"import os; os._exit({code})") for code in (0, 1, 2, 137, 255)))
    assert [r.certificate.exit_code for r in results] == [0, 1, 2, 137, 255]


async def test_death_by_signal_is_told_and_is_not_taken_for_a_limit() -> None:
    certificate = (await run("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", memory_mb=500)).certificate
    assert (certificate.exit_code, certificate.signal, certificate.kill_cause) == (None, 9, None)


async def test_program_above_its_memory_limit_is_killed_for_memory(cage: PortableCage) -> None:
    certificate = (await run("hoard = bytearray(150 << 20)\n" + FOREVER, cage, memory_mb=100)).certificate
    assert certificate.kill_cause == "memory"
    assert certificate.signal == 9
    assert "limit 100 MB" in certificate.kill_evidence
    assert certificate.peak_memory_mb is not None
    assert certificate.peak_memory_mb > 100


async def test_memory_of_forked_children_is_summed(cage: PortableCage) -> None:
    program = "import os\nfor _ in range(2):\n    if os.fork() == 0: break\nhoard = bytearray(60 << 20)\n" + FOREVER
    certificate = (await run(program, cage, memory_mb=120)).certificate
    assert certificate.kill_cause == "memory"
    assert certificate.largest_process_mb is not None
    assert certificate.largest_process_mb < 120, "no single process was above the limit"


async def test_pages_shared_by_a_forked_tree_count_once() -> None:
    # 4 processes show 4 x 80 MB of resident memory, all of it the same pages.
    program = """
import os, time
hoard = bytearray(80 << 20)
held = os.pipe()
for _ in range(3):
    if os.fork() == 0:
        os.close(held[1])
        os.read(held[0], 1)
        os._exit(0)
end = time.monotonic() + 0.3
while time.monotonic() < end: pass
os._exit(4)
"""
    certificate = (await run(program, memory_mb=160)).certificate
    assert certificate.kill_cause is None, certificate.kill_evidence
    assert certificate.exit_code == 4
    assert certificate.peak_memory_mb is not None
    assert 80 < certificate.peak_memory_mb < 130


async def test_tool_process_above_the_limit_is_killed_with_its_agent() -> None:
    program = f"""
import os, sys
os.write(1, b"%d" % os.getpid())
os.spawnv(os.P_WAIT, sys.executable, [sys.executable, "-I", "-S", "-c", 'hoard = bytearray(150 << 20)\\n{FOREVER!r}'])
"""
    program = program.replace(repr(FOREVER), "while True: pass")
    result = await run(program, memory_mb=100)
    assert result.certificate.kill_cause == "memory"
    assert not alive(int(result.stdout))


async def test_daemon_left_behind_is_found_and_killed(cage: PortableCage) -> None:
    result = await run(daemon(FOREVER.replace("\n", "\n        "), "os._exit(3)"), cage)
    assert result.certificate.exit_code == 3
    assert result.certificate.kill_cause is None
    assert wait_until_gone(int(result.stdout), 0)
    assert "1 processes left behind by the command were killed" in result.certificate.notes


async def test_memory_of_a_daemon_counts() -> None:
    result = await run(daemon("hoard = bytearray(150 << 20)\n        while True: pass", FOREVER), memory_mb=100)
    assert result.certificate.kill_cause == "memory"
    assert wait_until_gone(int(result.stdout), 0)


async def test_spinner_is_killed_for_cpu_time(cage: PortableCage) -> None:
    certificate = (await run("while True: pass", cage, cpu_s=0.3, wall_s=30)).certificate
    assert certificate.kill_cause == "cpu_time"
    assert certificate.cpu_s is not None
    assert 0.3 <= certificate.cpu_s < 0.6


async def test_cpu_time_is_that_of_the_whole_tree() -> None:
    program = "import os\nfor _ in range(2):\n    if os.fork() == 0: break\nwhile True: pass"
    certificate = (await run(program, cpu_s=0.6, wall_s=30)).certificate
    assert certificate.kill_cause == "cpu_time"
    assert certificate.cpu_s is not None
    assert 0.6 <= certificate.cpu_s < 1.0


async def test_cpu_time_of_children_that_have_ended_counts(cage: PortableCage) -> None:
    # None of them lives longer than 50 ms of CPU time: only their parent's account of the reaped has it.
    program = """
import os, time
while True:
    if os.fork() == 0:
        while time.process_time() < 0.05: pass
        os._exit(0)
    os.wait()
"""
    certificate = (await run(program, cage, cpu_s=0.4, wall_s=30)).certificate
    assert certificate.kill_cause == "cpu_time"
    assert certificate.cpu_s is not None
    assert certificate.cpu_s < 0.7


async def test_run_is_ended_at_its_wall_time() -> None:
    certificate = (await run(FOREVER, wall_s=0.2)).certificate
    assert certificate.kill_cause == "wall_time"
    assert certificate.wall_s is not None
    assert 0.2 <= certificate.wall_s < 2


async def test_only_the_end_of_a_long_stderr_is_kept() -> None:
    program = "import sys; sys.stderr.write('x' * 3_000_000 + 'the last words')"
    tail = (await run(program)).certificate.stderr_tail
    assert tail.endswith("the last words")
    assert len(tail) == 16 * 1024


async def test_only_the_end_of_a_long_stdout_is_kept_and_said_so() -> None:
    spec = CageSpec((*PYTHON, "print('y' * 5000 + 'end')"), Path("/"), ENV, stdout_cap_bytes=100)
    result = await PortableCage().run(spec)
    assert result.stdout_truncated
    assert len(result.stdout) == 100
    assert result.stdout.endswith("end\n")


async def test_stdout_can_go_to_a_file(tmp_path: Path) -> None:
    spec = CageSpec((*PYTHON, "print('z' * 400_000)"), Path("/"), ENV, stdout_path=tmp_path / "out")
    assert (await PortableCage().run(spec)).stdout == ""
    assert (tmp_path / "out").read_text() == "z" * 400_000 + "\n"


async def test_limits_are_read_back_from_inside_and_certified() -> None:
    program = "import resource as r; print(r.getrlimit(r.RLIMIT_CPU), r.getrlimit(r.RLIMIT_CORE))"
    result = await run(program, memory_mb=300, cpu_s=2.5, wall_s=20)
    assert result.stdout == "(4, 5) (0, 0)\n"
    assert result.certificate.applied == Limits(memory_mb=300, cpu_s=2.5, wall_s=20)
    assert result.certificate.is_valid
    assert "rlimits read back: core [0, 0], cpu [4, 5] s for each process" in result.certificate.notes


async def test_limit_that_the_cage_does_not_enforce_makes_no_valid_certificate_by_itself() -> None:
    assert not (await run("", egress_mb=1)).certificate.is_valid


async def test_agent_sees_the_environment_it_was_given_and_nothing_else() -> None:
    result = await PortableCage().run(CageSpec(("env",), Path("/"), {**ENV, "KEY": "v"}))
    assert {line.partition("=")[0] for line in result.stdout.splitlines()} == {"IRONCAGE_CAGE", "KEY", "PATH"}


async def test_no_secret_stands_in_the_command_line_of_the_supervisor() -> None:
    program = "import os; print(open(f'/proc/{os.getppid()}/cmdline').read())"
    spec = CageSpec((*PYTHON, program), Path("/"), {**ENV, "API_KEY": "very-secret"})
    line = (await PortableCage().run(spec)).stdout
    assert "supervisor.py" in line
    assert "secret" not in line


async def test_size_of_the_engine_is_not_charged_to_the_agent() -> None:
    ballast = bytearray(60 << 20)
    spec = CageSpec(("true",), Path("/"), ENV)
    certificate = (await PortableCage().run(spec)).certificate
    assert certificate.largest_process_mb is not None
    assert certificate.largest_process_mb < 20
    assert len(ballast) == 60 << 20


async def test_what_ended_between_two_samples_is_seen_afterwards() -> None:
    certificate = (
        await run("import os; hoard = bytearray(60 << 20); hoard = None; os._exit(0)", memory_mb=50)
    ).certificate
    assert certificate.largest_process_mb is not None
    assert certificate.peak_memory_mb is not None
    # above the limit of 50 MB: a sample in the middle of the 60 may have ended it a little earlier
    assert 50 < certificate.largest_process_mb <= certificate.peak_memory_mb < 90


async def test_cpu_time_of_a_run_that_ended_is_counted_to_its_end() -> None:
    program = "import os, time\nwhile time.process_time() < 0.15: pass\nos._exit(0)"
    certificate = (await run(program)).certificate
    assert certificate.cpu_s is not None
    assert 0.15 <= certificate.cpu_s < 0.4


async def test_heap_hints_follow_the_memory_limit_and_are_certified() -> None:
    result = await run("import os; print(os.environ['JAVA_TOOL_OPTIONS'])", memory_mb=256)
    assert result.stdout == "-XX:MaxRAM=256m\n"
    assert any("MaxRAM=256m" in note for note in result.certificate.notes)


async def test_stop_from_outside_is_the_cause() -> None:
    stop = StopRequest()
    spec = CageSpec((*PYTHON, FOREVER), Path("/"), ENV, stop=stop)
    running = asyncio.create_task(PortableCage().run(spec))
    stop.stop("egress_budget", "1 048 577 of 1 048 576 bytes")
    stop.stop("cancelled", "too late to be the cause")
    certificate = (await running).certificate
    assert (certificate.kill_cause, certificate.kill_evidence) == ("egress_budget", "1 048 577 of 1 048 576 bytes")
    assert certificate.signal == 9


async def test_cancelled_run_leaves_no_process(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    program = f"import os; print(os.getpid(), file=open({str(fifo)!r}, 'w'), flush=True)\n" + FOREVER
    running = asyncio.create_task(run(program))
    pid = int(await asyncio.to_thread(fifo.read_text))
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert wait_until_gone(pid, 0)


@pytest.mark.parametrize("argv", [("no-such-program-anywhere",), ("/etc/hostname",)])
async def test_command_that_cannot_start_is_an_error_of_the_cage(argv: tuple[str, ...]) -> None:
    with pytest.raises(CageError, match="cannot start"):
        await PortableCage().run(CageSpec(argv, Path("/"), ENV))


async def test_missing_folder_is_an_error_of_the_cage(tmp_path: Path) -> None:
    with pytest.raises(CageError, match="nowhere"):
        await PortableCage().run(CageSpec(("true",), tmp_path / "nowhere", ENV))


async def test_supervisor_that_is_killed_leaves_nothing_running(tmp_path: Path) -> None:
    # The daemon outlives the supervisor (only the agent itself follows it): the engine sweeps it.
    program = daemon(FOREVER.replace("\n", "\n        "), "os.kill(os.getppid(), 9)\n" + FOREVER)
    spec = CageSpec((*PYTHON, program), Path("/"), ENV, stdout_path=tmp_path / "pid")
    with pytest.raises(CageError, match=r"supervisor of a cage was lost .*; [12] processes"):
        await PortableCage().run(spec)
    assert wait_until_gone(int((tmp_path / "pid").read_text()))


ENGINE = """
import asyncio, os, sys
from pathlib import Path
from replay.cage.contract import CageSpec
from replay.cage.process import PortableCage
asyncio.run(PortableCage().run(CageSpec(tuple(sys.argv[1:]), Path("/"), dict(os.environ))))
"""


async def test_agents_die_with_the_engine(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    told = f"print(os.getpid(), child, os.getppid(), file=open({str(fifo)!r}, 'w'), flush=True)"
    agent = f"import os\nchild = os.fork()\nif child: {told}\nelse: os.setsid()\n" + FOREVER
    root = str(Path(__file__).parents[3])
    engine = await asyncio.create_subprocess_exec(
        sys.executable, "-c", ENGINE, *PYTHON, agent, env={**ENV, "PYTHONPATH": root}
    )
    pids = [int(pid) for pid in (await asyncio.to_thread(fifo.read_text)).split()]
    assert all(alive(pid) for pid in pids)
    engine.kill()
    await engine.wait()
    assert [wait_until_gone(pid) for pid in pids] == [True, True, True]


def test_cage_runs_under_uvloop() -> None:
    result = uvloop.run(run("print('fast'); import sys; sys.exit(5)"))
    assert (result.stdout, result.certificate.exit_code) == ("fast\n", 5)
