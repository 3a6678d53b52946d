from __future__ import annotations

from contextlib import closing

from tests.support.command_line import CommandLine
from tests.support.scored_runs import table
from trajectory.sql.opening import open_store


def test_power_is_told_from_numbers_alone(cli: CommandLine) -> None:
    cli.config(store=f"sqlite:///{cli.folder}/ironcage.db")
    found = cli("bakeoff", "power", "--tasks", "50", "--trials", "2", "--difference", "10", "--json")
    assert found.code == 0
    assert [one["trials"] for one in found.json["designs"]] == [1, 2]
    assert found.json["designs"][0]["tasks_needed"] == 393
    assert "at 5 % and a power of 80 %" in cli("bakeoff", "power", "--tasks", "50").out


def test_power_takes_rate_and_resemblance_from_an_earlier_bakeoff(cli: CommandLine) -> None:
    cli.config(store=f"sqlite:///{cli.folder}/ironcage.db")
    plan, runs = table({"m": {f"t{i}": [i < 6, i < 6] for i in range(10)}})
    with closing(open_store(f"sqlite:///{cli.folder}/ironcage.db")) as store:
        store.put_bakeoff(plan)
        store.put_runs(runs)
    found = cli("bakeoff", "power", "--tasks", "20", "--like", "newest", "--json")
    assert (found.json["rate"], found.json["icc"]) == (0.6, 1.0)


def test_power_without_tasks_is_an_operator_error(cli: CommandLine) -> None:
    cli.config(store=f"sqlite:///{cli.folder}/ironcage.db")
    found = cli("bakeoff", "power")
    assert (found.code, "there are no tasks yet" in found.err) == (2, True)


def test_schema_describes_the_report(cli: CommandLine) -> None:
    found = cli("bakeoff", "schema")
    assert found.json["title"] == "Scorecard"
    assert {"candidates", "pairs", "decision"} <= found.json["properties"].keys()
