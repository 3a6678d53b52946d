"""Six ways for an agent to go wrong, told apart in one report. Offline, about a minute.

    python examples/six_agents/run_six.py [FOLDER] [TASK ...]

The agent is one program; the model decides what it does. Under a limit of 100 MB `hoarding` needs about 130 MB and
`leaking` takes more and more; `stuttering` gets its answer at the fifth try; `shopping` installs five packages that it
does not need; `quitting` stops early; `guessing` does everything and is wrong. The production runs are of `frugal`.
A sweep then gives more memory to what ran out of it: more helps one of the two.

Writes FOLDER/report.html and FOLDER/sweep.html (six-agents-out if no folder is given), for all tasks or those named.
"""

from __future__ import annotations

import json
import os
import random
import shlex
import shutil
import socket
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(HERE))
from models import PACKAGES  # noqa: E402
from tasks import TASKS  # noqa: E402

FAILING = ("hoarding", "leaking", "stuttering", "shopping", "quitting", "guessing")
TRIALS = 3


def main() -> int:
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "six-agents-out").resolve()
    shutil.rmtree(folder, ignore_errors=True)
    work = folder / "work"
    work.mkdir(parents=True)
    write_ledgers(work)
    write_wheels(work / "wheels")
    command = [sys.executable, str(HERE / "models.py")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as models:
        assert models.stdout is not None
        config = configured(folder, int(models.stdout.readline()))
        try:
            with serving(config):
                record_production(config, work, sys.argv[2:] or list(TASKS))
            compare(config, folder)
        finally:
            assert models.stdin is not None
            models.stdin.close()
    sys.stderr.write(f"reports: {folder / 'report.html'} and {folder / 'sweep.html'}\n")
    return 0


def write_ledgers(folder: Path) -> None:
    numbers = random.Random(4)
    for ledger in ("q1", "q2", "q3", "q4"):
        rows = "\n".join(f"{row},{numbers.randrange(10_000)}" for row in range(2000))
        (folder / f"{ledger}.csv").write_text(f"row,amount\n{rows}\n", encoding="utf-8")


def write_wheels(folder: Path) -> None:
    """Packages of one module each, from 40 to 200 KB."""
    folder.mkdir()
    for number, name in enumerate(PACKAGES, 1):
        info = f"{name}-1.0.dist-info"
        files = {f"{name}/__init__.py": "#" * 40_000 * number, f"{info}/METADATA": f"Name: {name}\nVersion: 1.0\n"}
        record = "".join(f"{path},,\n" for path in (*files, f"{info}/RECORD"))
        with zipfile.ZipFile(folder / f"{name}-1.0-py3-none-any.whl", "w") as wheel:
            for path, content in {**files, f"{info}/RECORD": record}.items():
                wheel.writestr(path, content)


def configured(folder: Path, port: int) -> Path:
    settings = {
        "listen": f"127.0.0.1:{free_port()}",
        "admin_listen": f"127.0.0.1:{free_port()}",
        "store": f"sqlite:///{folder / 'ironcage.db'}",
        "upstreams": {"openai": {"base_url": f"http://127.0.0.1:{port}"}},
        "constraints": str(HERE / "constraints.json"),
    }
    config = folder / "ironcage.yaml"
    config.write_text(json.dumps(settings, indent=2), encoding="utf-8")  # JSON is YAML
    return config


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@contextmanager
def serving(config: Path) -> Iterator[None]:
    command = [sys.executable, "-m", "ironcage", "-c", str(config), "serve"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment()) as proxy:
        assert proxy.stderr is not None
        said = []
        for line in proxy.stderr:
            said.append(line)
            if line == "ready\n":
                break
        else:
            raise SystemExit(f"ironcage serve did not start:\n{''.join(said)}")
        try:
            yield
        finally:
            proxy.terminate()
            proxy.communicate()


def environment() -> dict[str, str]:
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))
    return {**os.environ, "PYTHONPATH": path}


def record_production(config: Path, work: Path, tasks: list[str]) -> None:
    for task in tasks:
        agent = [sys.executable, str(HERE / "agent.py"), "--task", task]
        ironcage(config, "run", "--session", f"production-{task}", "--task", task, "--", *agent, cwd=work)
    check = shlex.join([sys.executable, str(HERE / "check.py")])
    ironcage(config, "tasks", "build", "--check", check)


def compare(config: Path, folder: Path) -> None:
    trials = ["--trials", str(TRIALS), "--workspace", "copy"]
    named = [part for name in FAILING for part in ("--candidate", f"{name}=openai/{name}")]
    ironcage(config, "bakeoff", "run", "--id", "six", *named, *trials, "--report", str(folder / "report.html"))
    thirsty = [part for name in ("hoarding", "leaking") for part in ("--candidate", f"{name}=openai/{name}")]
    # no step without a limit: one of the two would take all the memory that there is
    ladder = ["--resource", "memory", "--ladder", "1,1.5,3,5", "--report", str(folder / "sweep.html")]
    ironcage(config, "bakeoff", "sweep", "--id", "thirst", *thirsty, *trials, *ladder)


def ironcage(config: Path, *arguments: str, cwd: Path | None = None) -> None:
    """Its own tables go to this program's output; a finding (exit code 1) is no failure."""
    command = [sys.executable, "-m", "ironcage", "-c", str(config), *arguments]
    done = subprocess.run(command, check=False, cwd=cwd, env=environment())
    if done.returncode not in (0, 1):
        raise SystemExit(f"ironcage {' '.join(arguments[:2])} ended with {done.returncode}")


if __name__ == "__main__":
    sys.exit(main())
