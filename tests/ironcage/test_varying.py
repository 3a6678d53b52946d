"""`bakeoff variants`, from recorded tasks to tables, JSON and page."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ironcage.varying import read_variants_of
from tests.support.command_line import CommandLine
from tests.support.house import ironcage
from tests.support.recordings import model_attempt, request_body, said, user
from tests.support.scripted_model import Answer, scripted
from trajectory.errors import OperatorError

ROLE = "You are a strict refund auditor."
PROMPT = f"{ROLE} Answer with the order's state."
TASKS = ("o1", "o2", "o3", "o4", "o5", "o6")


def asking(task: str) -> list[dict[str, Any]]:
    return [{"role": "system", "content": PROMPT}, user(f"where is {task}?")]


def answer(asked: dict[str, Any]) -> Answer:
    """`fussy` refuses what it is asked as an auditor, but for one task; `steady` does not care but for one task."""
    prompt, question = (message["content"] for message in asked["messages"])
    minds = {"fussy-1": "auditor" in prompt and "o1" not in question, "steady-1": "o2" in question}
    good = not minds[asked["model"]]
    choice = {"index": 0, "message": said("in transit" if good else "no"), "finish_reason": "stop"}
    return Answer(json.dumps({"choices": [choice]}).encode())


async def test_models_and_prompts_are_crossed_and_told_apart(cli: CommandLine) -> None:
    page = cli.folder / "report.html"
    (cli.folder / "other.yaml").write_text("strict refund auditor: kind refund auditor\n")
    async with scripted(answer) as model:
        cli.config(upstreams={"openai": {"base_url": model.url, "wire": "openai"}})
        cli.record([model_attempt(f"p-{t}", 0, request_body(asking(t)), said("in transit"), task=t) for t in TASKS])
        assert cli("tasks", "build", *(f"--expect={task}=in transit" for task in TASKS)).code == 0
        done = await ironcage(
            "-c", str(cli.file), "bakeoff", "variants", "--id", "v", "--json", "--report", str(page),
            "--candidate", "fussy=openai/fussy-1", "--candidate", "steady=openai/steady-1",
            "--edit", "plain=drop-role", "--edit", f"kind=replace:{cli.folder}/other.yaml",
            cwd=cli.folder,
        )  # fmt: skip
    assert done.code == 0, done.err
    assert "prompt plain (drop-role): 12 runs" in done.err
    read = done.json["read"]
    success = {(cell["model"], cell["prompt"]): round(cell["success"]["value"], 3) for cell in read["cells"]}
    assert success == {
        ("fussy", "recorded"): 0.167,
        ("fussy", "plain"): 1.0,
        ("fussy", "kind"): 0.167,
        ("steady", "recorded"): 0.833,
        ("steady", "plain"): 0.833,
        ("steady", "kind"): 0.833,
    }
    assert "Model and prompt depend on each other" in " ".join(read["conclusions"])
    assert read["leaders"] == {"recorded": "steady", "plain": "fussy", "kind": "steady"}
    changes = {one["name"]: [change["before"] for change in one["changes"]] for one in done.json["variants"]}
    assert changes == {"recorded": [], "plain": [ROLE], "kind": ["strict refund auditor"]}
    html = page.read_text()
    assert "Is it the model or the prompt?" in html
    assert "interaction: plain - recorded, fussy - steady" in html
    assert "://" not in html.replace("http://www.w3.org", "")
    listed = cli("bakeoff", "list").out
    assert all(f"v.{name}" in listed for name in ("recorded", "plain", "kind"))


def test_what_cannot_be_run_is_said_before_anything_runs(cli: CommandLine) -> None:
    cli.config(upstreams={"openai": {"base_url": "http://127.0.0.1:9"}})
    cli.record([model_attempt("p", 0, request_body(asking("o1")), said("in transit"), task="o1")])
    assert cli("tasks", "build").code == 0
    asked = ("bakeoff", "variants", "--candidate", "a=openai/m")
    for more, what in (
        ((), "there is no variant"),
        (("--edit", "p=drop-role", "--workspace", "copy"), "nobody works in a copy"),
        (("--edit", "p=drop-role", "--report", "r.md"), "unknown ending"),
        (("--edit", "p=drop-role", "--edit", "p=reorder"), "'p' is named twice"),
        (("--edit", "p=drop-role+drop-role"), "drop-role changes nothing"),
    ):
        done = cli(*asked, *more)
        assert (done.code, what in done.err) == (2, True), done.err


@pytest.mark.parametrize(
    ("files", "edits", "message"),
    [
        (["no-file"], [], "--variant 'no-file' has no name"),
        (["a=absent.txt"], [], "cannot read absent.txt"),
        ([], ["a=turn-round"], "'turn-round' is no edit"),
        ([], ["a=replace:empty.yaml"], "has no replacements"),
        ([], ["a=replace:broken.yaml"], "cannot be read"),
    ],
)
def test_a_variant_that_is_none_is_refused(
    files: list[str], edits: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("empty.yaml").write_text("[]")
    Path("broken.yaml").write_text("{")
    with pytest.raises(OperatorError, match=message):
        read_variants_of(files, edits)
