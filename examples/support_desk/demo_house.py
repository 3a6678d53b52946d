"""The demo's processes and every ironcage command that it gives: started, waited for, and ended here."""

from __future__ import annotations

import json
import os
import shlex
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

HERE = Path(__file__).resolve().parent
IRONCAGE = [sys.executable, "-m", "ironcage"]
START_TIMEOUT_S = 30.0


class DemoFailed(Exception):  # noqa: N818 -- reads as what happened
    """Something that the demo needs did not work; the message says what, and where to look."""


@dataclass(frozen=True)
class Model:
    """A model as the demo names it: upstream of ironcage.yaml, and the id in requests."""

    upstream: str
    id: str


class House:
    """Servers, proxy and commands of one demo, in a folder of its own. All processes end with the `with` block."""

    def __init__(self, folder: Path, model_url: str | None, api_key: str) -> None:
        self.folder = folder
        self.config = folder / "ironcage.yaml"
        self.report = folder / "report.html"
        self._model_url = model_url
        self._api_key = api_key
        self._processes: list[subprocess.Popen[str]] = []
        self.orders_url = ""
        self.admin = ""

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        for old in (*self.folder.glob("ironcage.db*"), self.report):
            old.unlink(missing_ok=True)
        return self

    def __exit__(self, *_: object) -> None:
        started = self._processes[::-1]
        for process in started:
            if process.poll() is None:
                process.terminate()
        for process in started:
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None and not pipe.closed:
                    pipe.close()

    def start_servers(self) -> None:
        self.orders_url = self._start_server("orders_server.py")
        if self._model_url is None:
            self._model_url = self._start_server("scripted_models.py")

    def start_proxy(self) -> None:
        listen, self.admin = (f"127.0.0.1:{port}" for port in free_ports(2))
        settings = {
            "listen": listen,
            "admin_listen": self.admin,
            "store": f"sqlite:///{self.folder / 'ironcage.db'}",
            "upstreams": {
                "desk": {"base_url": self._model_url, "wire": "openai_chat"},
                "orders": {"base_url": self.orders_url, "kind": "tool"},
            },
            "constraints": str(HERE / "constraints.json"),
            "policies": {"redaction": {}},
        }
        # JSON is YAML; one writer less to get wrong
        self.config.write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")
        log = (self.folder / "serve.log").open("w", encoding="utf-8")
        with log:
            proxy = subprocess.Popen(
                self._command("serve"),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                text=True,
                env=self._environment(),
            )
        self._processes.append(proxy)
        self._await_ready(proxy)

    def run_agent(self, task: str, session: str, model: Model) -> subprocess.CompletedProcess[str]:
        agent = [sys.executable, str(HERE / "agent.py"), "--task", task]
        return self._finish("run", "--session", session, "--task", task, "--", *agent, DESK_MODEL=model.id)

    def trajectories(self) -> list[dict[str, Any]]:
        listed = json.loads(self._must("trajectories", "list", "--json"))
        return listed if isinstance(listed, list) else listed["trajectories"]

    def trajectory(self, trajectory_id: str) -> dict[str, Any]:
        shown: dict[str, Any] = json.loads(self._must("trajectories", "show", trajectory_id, "--json"))
        return shown

    def build_tasks(self) -> str:
        return self._must("tasks", "build", "--check", shlex.join([sys.executable, str(HERE / "check.py")]))

    def bakeoff(self, candidates: dict[str, Model], *, trials: int, seed: int) -> int:
        """Runs in the foreground and prints its own table. Returns its exit code: 1 is a finding, not a failure."""
        named = [f"{name}={model.upstream}/{model.id}" for name, model in candidates.items()]
        flags = [flag for name in named for flag in ("--candidate", name)]
        numbers = ["--trials", str(trials), "--seed", str(seed), "--report", str(self.report)]
        command = self._command("bakeoff", "run", *flags, *numbers)
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, text=True, env=self._environment())
        self._processes.append(process)
        return process.wait()

    def calls_of(self, session: str) -> list[dict[str, Any]]:
        """What the run did at the orders server, asked of that server itself."""
        with urllib.request.urlopen(f"{self.orders_url}/state?run={session}", timeout=10) as reply:
            calls: list[dict[str, Any]] = json.loads(reply.read())["calls"]
        return calls

    def _command(self, *arguments: str) -> list[str]:
        return [*IRONCAGE, "-c", str(self.config), *arguments]

    def _environment(self, **more: str) -> dict[str, str]:
        path = os.pathsep.join(filter(None, [str(HERE.parents[1]), os.environ.get("PYTHONPATH", "")]))
        return {**os.environ, "PYTHONPATH": path, "OPENAI_API_KEY": self._api_key, **more}

    def _finish(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        process = subprocess.Popen(
            self._command(*arguments),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=self._environment(**environment),
        )
        self._processes.append(process)
        out, err = process.communicate()
        self._processes.remove(process)
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def _must(self, *arguments: str) -> str:
        finished = self._finish(*arguments)
        if finished.returncode != 0:
            raise DemoFailed(f"ironcage {' '.join(arguments[:2])} ended with {finished.returncode}: {finished.stderr}")
        return finished.stdout

    def _start_server(self, script: str) -> str:
        process = subprocess.Popen(
            [sys.executable, str(HERE / script)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self._processes.append(process)
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise DemoFailed(f"{script} did not start; try: {sys.executable} {HERE / script}")
        return str(json.loads(line)["url"])

    def _await_ready(self, proxy: subprocess.Popen[str]) -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline and proxy.poll() is None:
            try:
                with urllib.request.urlopen(f"http://{self.admin}/readyz", timeout=1):
                    return
            except (urllib.error.URLError, OSError):
                time.sleep(0.05)
        log = (self.folder / "serve.log").read_text(encoding="utf-8")[-2000:]
        raise DemoFailed(f"ironcage serve did not get ready; {self.folder / 'serve.log'} ends with:\n{log}")


def free_ports(count: int) -> list[int]:
    """Loopback ports that were free a moment ago, all different."""
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    try:
        return [server.getsockname()[1] for server in held]
    finally:
        for server in held:
            server.close()
