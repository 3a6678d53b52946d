"""What the store holds of a run: the trajectory of its agent, and which are those of its sub-agents."""

from __future__ import annotations

from dataclasses import dataclass

from trajectory.store import Store
from trajectory.trajectory import Trajectory, TrajectorySummary


@dataclass(frozen=True, slots=True)
class Recorded:
    """`main` is None where nothing was asked; `sub_agents` are ids, in the order in which they began."""

    main: Trajectory | None = None
    sub_agents: tuple[str, ...] = ()


def recorded_in(store: Store, session: str) -> Recorded:
    """Of a session of its own: the main trajectory is that without a name, or else the first that has one."""
    found = sorted(
        (one for one in store.find(session=session) if one.attempts),
        key=lambda one: (one.agent is not None, one.started_at),
    )
    if not found:
        return Recorded()
    return Recorded(store.trajectory(found[0].id), _ids(found[1:]))


def sub_agents_of(store: Store, main: Trajectory) -> tuple[str, ...]:
    """Of a recorded trajectory: the named ones of its session, at the same task. A named one has none of its own."""
    if main.agent is not None:
        return ()
    found = store.find(session=main.session)
    return _ids([one for one in found if one.agent is not None and one.task in (None, main.task)])


def is_sub_agent(store: Store, one: TrajectorySummary) -> bool:
    """Whether it is named, and its session has a main trajectory."""
    return one.agent is not None and any(other.agent is None for other in store.find(session=one.session))


def _ids(found: list[TrajectorySummary]) -> tuple[str, ...]:
    return tuple(one.id for one in sorted(found, key=lambda one: (one.started_at, one.id)))
