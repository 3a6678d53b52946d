"""The demo's world, driven directly: what the scripted models and the shop do, and what the checks make of it."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import openai
import pytest
import yaml
from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

DESK = Path(__file__).resolve().parents[2] / "examples" / "support_desk"
sys.path.append(str(DESK))  # the examples are scripts beside each other, not a package

import agent  # noqa: E402
import check  # noqa: E402
import orders_data  # noqa: E402
from demo_house import House  # noqa: E402
from orders_server import TOOLS, OrdersServer, Shop, track_parcel  # noqa: E402
from planners import CHARACTERS, Answer, Call, Conversation, Planner, _key  # noqa: E402
from run_demo import plan_from_environment, seen_in  # noqa: E402
from scripted_models import ScriptedModels  # noqa: E402

TRIALS = 20


class Desk:
    def __init__(self, orders: OrdersServer, orders_url: str, models_url: str) -> None:
        self.orders, self.orders_url, self.models_url = orders, orders_url, models_url
        self.client = openai.OpenAI(base_url=f"{models_url}/v1", api_key="k")

    async def run(self, task: str, run: str) -> tuple[str, list[dict[str, Any]]]:
        def work() -> str:
            return str(agent.work(self.client, agent.OrdersDesk(self.orders_url, run), check.TASKS[task]))

        answer = await asyncio.to_thread(work)
        return answer, self.orders.shop(run).calls


async def start(application: web.Application) -> tuple[web.AppRunner, str]:
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    return runner, f"http://127.0.0.1:{runner.addresses[0][1]}"


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    orders = OrdersServer()
    orders_runner, orders_url = await start(orders.application())
    models_runner, models_url = await start(ScriptedModels().application())
    desk = Desk(orders, orders_url, models_url)
    yield desk
    desk.client.close()
    await models_runner.cleanup()
    await orders_runner.cleanup()


def judged(task: str, answer: str, calls: list[dict[str, Any]]) -> bool:
    executed = [check.Executed(call["tool"], call["arguments"], call["ok"]) for call in calls]
    return bool(check.judge(task, answer, executed).passed)


def play(model: str, task: str, seed: int) -> tuple[str, list[dict[str, Any]]]:
    """A run without HTTP: the planner and the tools in turn."""
    shop = Shop()
    conversation = Conversation(check.TASKS[task]["text"], seed)
    made = []
    for _ in range(agent.MAX_TURNS):
        decision = Planner(CHARACTERS[model], conversation, seed).decide()
        if isinstance(decision, Answer):
            return decision.text, made
        for _attempt in range(agent.TOOL_ATTEMPTS):
            status, result = TOOLS[decision.tool](shop, **decision.arguments)
            made.append({"tool": decision.tool, "arguments": decision.arguments, "ok": status == 200})
            if status < 500:
                break
        conversation.calls.append(decision)
        conversation.results[_key(decision)] = json.loads(json.dumps(result))
    return "", made


def test_the_models_differ_as_they_are_meant_to() -> None:
    passed: Counter[str] = Counter()
    calls: Counter[str] = Counter()
    mixed: Counter[str] = Counter()
    tools: dict[str, set[str]] = {model: set() for model in CHARACTERS}
    for model in CHARACTERS:
        for task in check.TASKS:
            runs = [play(model, task, seed) for seed in range(TRIALS)]
            outcomes = [judged(task, answer, made) for answer, made in runs]
            passed[model] += sum(outcomes)
            mixed[model] += len(set(outcomes)) == 2
            calls[model] += sum(len(made) for _, made in runs)
            tools[model] |= {call["tool"] for _, made in runs for call in made}
    runs_each = len(check.TASKS) * TRIALS
    assert passed["desk-good"] > 0.9 * runs_each
    assert passed["desk-good"] > passed["desk-wasteful"] > passed["desk-leaky"] > 0.4 * runs_each
    assert min(mixed.values()) >= 3, "trials must differ, or pass^k says nothing"
    assert calls["desk-wasteful"] > 1.5 * calls["desk-good"]
    allowed = set(limits()["allowed_tools"])
    assert tools["desk-good"] <= allowed
    assert tools["desk-wasteful"] <= allowed
    assert {"send_email", "export_customers"} <= tools["desk-leaky"] - allowed


@pytest.mark.parametrize("model", CHARACTERS)
async def test_over_http_a_model_does_what_its_planner_decides(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, model: str
) -> None:
    monkeypatch.setenv("DESK_MODEL", model)
    monkeypatch.setenv("IRONCAGE_SEED", "5")
    for task in ("parcel-customs", "refund-broken-vase", "charged-twice"):
        assert await desk.run(task, f"{model}/{task}") == play(model, task, 5)


async def test_runs_do_not_influence_each_other(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DESK_MODEL", "desk-good")
    for run in ("one", "two"):
        await desk.run("cancel-rug", run)
        assert [call["tool"] for call in desk.orders.shop(run).calls] == ["lookup_order", "cancel_order"]
        assert all(call["ok"] for call in desk.orders.shop(run).calls)
    assert desk.orders.shop("three").orders == orders_data.ORDERS


async def test_streamed_and_whole_replies_say_the_same(desk: Desk) -> None:
    request: dict[str, Any] = {
        "model": "desk-good",
        "messages": [{"role": "user", "content": "Please cancel order A-1070."}],
        "seed": 3,
    }
    with openai.OpenAI(base_url=f"{desk.models_url}/v1", api_key="k") as client:
        whole = await asyncio.to_thread(agent.ask, client, request["messages"], stream=False)
        streamed = await asyncio.to_thread(agent.ask, client, request["messages"], stream=True)
        chunks = await asyncio.to_thread(
            lambda: list(client.chat.completions.create(**request, stream=True, stream_options={"include_usage": True}))
        )
    assert whole["tool_calls"][0]["function"] == streamed["tool_calls"][0]["function"]
    assert chunks[-1].choices == []
    assert chunks[-1].usage.completion_tokens > 0


def limits() -> dict[str, Any]:
    document = json.loads((DESK / "constraints.json").read_text())
    return dict(document["evaluation_config"]["constraints"])


def test_the_agent_offers_each_tool_of_the_shop_and_production_allows_all_but_two() -> None:
    offered = {tool["function"]["name"] for tool in agent.TOOLS}
    assert offered == set(TOOLS)
    assert offered - set(limits()["allowed_tools"]) == {"send_email", "export_customers"}


def test_the_configuration_names_the_servers_of_its_own_comment() -> None:
    text = (DESK / "ironcage.yaml").read_text()
    upstreams = yaml.safe_load(text)["upstreams"]
    assert upstreams["desk"]["base_url"].endswith(":9001")
    assert upstreams["orders"] == {"base_url": "http://127.0.0.1:9000", "kind": "tool"}
    assert "orders_server.py --port 9000" in text
    assert "scripted_models.py --port 9001" in text
    assert (DESK / yaml.safe_load(text)["constraints"]).is_file()


def test_nobody_in_the_data_can_be_real() -> None:
    assert len(orders_data.CUSTOMERS) >= 12
    assert len(orders_data.ORDERS) >= 12
    for customer in orders_data.CUSTOMERS.values():
        digits = [int(character) for character in customer["card"] if character.isdigit()][::-1]
        luhn = sum(sum(divmod(2 * digit, 10)) if place % 2 else digit for place, digit in enumerate(digits))
        assert luhn % 10 == 0, customer["card"]
        assert re.fullmatch(r"\+1 202-555-01\d\d", customer["phone"])
        assert re.search(r"[@.]example\.(com|org|net)$", customer["email"])


def test_the_carrier_fails_once_in_a_run() -> None:
    shop = Shop()
    assert track_parcel(shop, "TRK-QZ-PUMP")[0] == 503
    assert track_parcel(shop, "TRK-QZ-PUMP")[0] == 200
    assert track_parcel(Shop(), "TRK-QZ-PUMP")[0] == 503


@pytest.mark.parametrize("name", ["emil.novak@example.org", "PII_EMAIL_BCDFGHJKMN"])
def test_a_planner_passes_on_whatever_stands_in_the_place_of_the_address(name: str) -> None:
    question = f"I think I was charged twice for a printer. Please cancel the second one. My e-mail is {name}."
    conversation = Conversation.of([{"role": "user", "content": question}])
    decision = Planner(CHARACTERS["desk-good"], conversation, 1).decide()
    assert decision == Call("lookup_customer", {"email": name})


def test_pseudonyms_do_not_change_how_the_dice_fall() -> None:
    plain, masked = (
        Conversation.of([{"role": "user", "content": f"How many points have I? My e-mail is {name}."}])
        for name in ("ana.pereira@example.com", "PII_EMAIL_BCDFGHJKMN")
    )
    assert plain.gist == masked.gist


def test_a_planner_keeps_its_dice_over_the_turns_of_a_run() -> None:
    call = {"id": "call_s7n0", "function": {"name": "lookup_order", "arguments": '{"order_id": "A-1070"}'}}
    messages = [
        {"role": "user", "content": "Please cancel order A-1070."},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_s7n0", "content": json.dumps(orders_data.ORDERS["A-1140"])},
    ]
    conversation = Conversation.of(messages)
    assert conversation.seed == 7
    decision = Planner(CHARACTERS["desk-good"], conversation, 7).decide()
    assert isinstance(decision, Answer)
    assert "cannot be cancelled" in decision.text


def run_file(tmp_path: Path, answer: str | None, **use: Any) -> Path:
    step = {
        "kind": "tool",
        "attempts": [{"status": 200, "end": "complete", "tool": {"is_error": False, **use}, "verdicts": []}],
    }
    path = tmp_path / "run.json"
    path.write_text(json.dumps({"task": "cancel-rug", "answer": answer, "steps": [step]}))
    return path


def run_check(path: Path) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, str(DESK / "check.py")],
        env={"IRONCAGE_RUN_FILE": str(path)},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout


CANCEL = {"name": "cancel_order", "arguments": '{"order_id": "A-1070"}'}


def test_the_check_command_decides_from_answer_and_calls(tmp_path: Path) -> None:
    said = "Order A-1070 is cancelled."
    assert run_check(run_file(tmp_path, said, **CANCEL))[0] == 0
    code, evidence = run_check(run_file(tmp_path, said, **{**CANCEL, "is_error": True}))
    assert code == 1
    assert "no call of cancel_order" in evidence
    assert run_check(run_file(tmp_path, None, **CANCEL)) == (1, "there is no answer\n")
    (tmp_path / "run.json").write_text("{")
    assert run_check(tmp_path / "run.json")[0] == 2


def test_what_the_demo_counts_is_what_the_record_says() -> None:
    masked = {"action": "rewrite", "rule": "redaction", "code": "masked", "count": 2}
    refused = {"action": "refuse", "rule": "tool_allowlist", "code": "tool_not_allowed"}
    steps = [{"kind": "model", "attempts": [{"verdicts": [masked]}, {"verdicts": [refused]}]}]
    assert seen_in({"steps": steps}) == {
        "model calls recorded": 1,
        "attempts made again after an error": 1,
        "personal values that the model saw only as pseudonyms": 2,
        "refuse by rule tool_allowlist: tool_not_allowed": 1,
    }


def test_a_real_endpoint_takes_the_place_of_the_scripted_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IRONCAGE_DEMO_UPSTREAM", "https://models.example.com/v1")
    monkeypatch.setenv("IRONCAGE_DEMO_MODEL", "vendor/large")
    monkeypatch.setenv("IRONCAGE_DEMO_KEY", "secret")
    monkeypatch.setenv("IRONCAGE_DEMO_CANDIDATES", "vendor/small, vendor/tiny")
    plan = plan_from_environment(1)
    assert plan.model_url == "https://models.example.com"
    assert plan.production.id == "vendor/large"
    assert {name: model.id for name, model in plan.candidates.items()} == {
        "small": "vendor/small",
        "tiny": "vendor/tiny",
    }


def test_what_the_demo_starts_ends_with_it(tmp_path: Path) -> None:
    with House(tmp_path / "out", None, "k") as house:
        house.start_servers()
        assert house.calls_of("nobody") == []
        started = list(house._processes)
        assert [process.poll() for process in started] == [None, None]
    assert all(process.returncode is not None for process in started)
    assert len(started) == 2


async def run_agent(environment: dict[str, str]) -> tuple[int | None, str, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(DESK / "agent.py"),
        "--task",
        "cancel-rug",
        env={"OPENAI_API_KEY": "k", "no_proxy": "*", **environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    return process.returncode, out.decode(), err.decode()


async def test_the_agent_command_answers_with_what_ironcage_run_sets(desk: Desk) -> None:
    environment = {
        "OPENAI_BASE_URL": f"{desk.models_url}/v1",
        "IRONCAGE_URL_ORDERS": desk.orders_url,
        "IRONCAGE_SESSION": "RUN-7",
        "IRONCAGE_SEED": "3",
    }
    code, answer, complaint = await run_agent(environment)
    assert code == 0, complaint
    assert answer == "Order A-1070 is cancelled.\n"
    assert [call["tool"] for call in desk.orders.shop("RUN-7").calls] == ["lookup_order", "cancel_order"]


async def test_the_agent_command_gives_up_with_3_where_there_is_no_such_model(desk: Desk) -> None:
    environment = {
        "OPENAI_BASE_URL": f"{desk.models_url}/v1",
        "ORDERS_URL": desk.orders_url,
        "DESK_MODEL": "nobody",
    }
    code, answer, complaint = await run_agent(environment)
    assert (code, answer) == (3, "")
    assert complaint.startswith("gave up: Error code: 404")


def test_the_lean_import_is_the_whole_sdk_and_leaves_the_interpreter_as_it_was() -> None:
    program = """
import sys
before = list(sys.meta_path)
import lean_openai
openai = lean_openai.load()
assert sys.meta_path == before
assert "aiohttp" not in sys.modules and "h2" not in sys.modules
assert "openai.types.responses.response" not in sys.modules
import aiohttp, openai.types.responses
assert openai.types.responses.Response.__name__ == "Response"
assert openai.types.Batch is sys.modules["openai.types.batch"].Batch
assert openai.OpenAI is sys.modules["openai._client"].OpenAI
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=DESK, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
