from __future__ import annotations

import json

from policies.constraints import Constraints
from policies.loading import load_model
from tests.support.attempts import model_attempt, tool_attempt
from tests.support.command_line import CommandLine


def test_file_goes_to_standard_output_and_the_measures_beside_it(cli: CommandLine) -> None:
    cli.record([model_attempt(0, task="t"), tool_attempt(1, verdicts=(), task="t")])
    done = cli("profile")
    assert done.code == 0
    suggested = load_model(done.out, Constraints)
    assert set(suggested.constraints.allowed_tools or ()) == {"look_up", "orders"}
    for text in ("max_retries", "largest of n", "measured over 1 trajectories", "not known: memory and CPU time"):
        assert text in done.err


def test_output_file_is_valid_and_never_replaced_unasked(cli: CommandLine) -> None:
    cli.record([model_attempt(0)])
    file = cli.folder / "measured.json"
    assert cli("profile", "-o", str(file)).code == 0
    written = file.read_text(encoding="utf-8")
    load_model(file, Constraints)
    file.write_text("{}", encoding="utf-8")
    assert cli("profile", "-o", str(file)).code == 2
    assert file.read_text(encoding="utf-8") == "{}"
    assert cli("profile", "-o", str(file), "--force").code == 0
    assert file.read_text(encoding="utf-8") == written


def test_failed_and_replayed_runs_do_not_count(cli: CommandLine) -> None:
    cli.record(
        [
            model_attempt(0, trajectory="a", session="a"),
            model_attempt(1, id="b1", operation="b", trajectory="b", session="b", end="failed", status=500),
            model_attempt(2, id="b2", operation="b", trajectory="b", session="b", number=2),
        ],
        labels={"b": "failed"},
    )
    found = cli("profile", "--json").json
    assert (found["trajectories"], found["left_out"]) == (1, 1)
    assert found["constraints"]["constraints"]["max_retries"] == 0
    assert all(measure["n"] == 1 and measure["method"] for measure in found["measures"])
    assert json.dumps(found)


def test_nothing_recorded_is_said_with_what_to_do(cli: CommandLine) -> None:
    done = cli("profile")
    assert (done.code, "ironcage run" in done.err) == (2, True)
    cli.record([model_attempt(0, task="t")])
    assert cli("profile", "--task", "other").code == 2
