"""What the agents are asked. A module of its own: a check that needs no more than this starts twice as fast."""

from __future__ import annotations

TASKS = {
    "first-half": "What do the ledgers q1 and q2 add up to?",
    "second-half": "What do the ledgers q3 and q4 add up to?",
    "edges": "What do the ledgers q1 and q4 add up to?",
}
