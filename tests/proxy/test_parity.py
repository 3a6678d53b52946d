"""Same policy everywhere: each cell of the parity matrix, against real servers, through the real doors."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
import pytest_asyncio

from tests.support.parity import model_scenarios as model
from tests.support.parity import tool_scenarios as tool
from tests.support.parity.formats import MODEL_FORMATS
from tests.support.parity.table import FORMATS, RULES, TABLE, Cell, Enforced, Impossible, cells
from tests.support.parity.visiting import House, Visit, open_house

Scenario = Callable[[Visit], Awaitable[None]]

# Of each rule: on a model's routes, and on a tool's.
SCENARIOS: dict[str, tuple[Scenario, Scenario | None]] = {
    "tool refused by name": (model.refused_by_name, tool.refused_by_name),
    "tool refused by arguments": (model.refused_by_arguments, tool.refused_by_arguments),
    "approval asked": (model.approval_asked, tool.approval_asked),
    "PII masked in request": (model.masked, None),
    "PII restored in reply": (model.restored, None),
    "secret refused": (model.secret_refused, tool.secret_refused),
    "egress cut": (model.egress_cut, tool.egress_cut),
    "retry budget": (model.retry_budget, tool.retry_budget),
    "spend budget": (model.spend_budget, None),
    "context budget": (model.context_budget, None),
}
MODELS = {form.name for form in MODEL_FORMATS}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    async with open_house(tmp_path_factory.mktemp("parity")) as opened:
        yield opened


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("cell", [c for c in cells() if isinstance(c.outcome, Enforced)], ids=str)
async def test_a_cell_is_enforced(house: House, cell: Cell) -> None:
    scenario = SCENARIOS[cell.rule][cell.form not in MODELS]
    assert scenario is not None, "a cell is said to be enforced, and nothing proves it"
    visit = house.visit(cell)
    await scenario(visit)
    assert visit.attempts and {attempt.session for attempt in visit.attempts} == {visit.session}
    assert {a.door for a in visit.attempts} == {"base_url" if cell.door == "base URL" else "proxy"}


def test_no_cell_is_empty() -> None:
    assert [str(cell) for cell in cells() if cell.outcome is None] == []
    assert TABLE.keys() == RULES.keys() and all(row.keys() == FORMATS.keys() for row in TABLE.values())
    assert FORMATS.keys() >= MODELS


def test_what_is_impossible_says_why() -> None:
    reasons = [c.outcome.reason for c in cells() if isinstance(c.outcome, Impossible)]
    assert reasons and all(len(reason.split()) > 4 and reason.endswith(".") for reason in reasons)
