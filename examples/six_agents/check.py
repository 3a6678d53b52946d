"""Whether a run answered its task: the sum of the ledgers that the task names, computed from the files themselves.

Runs after each agent, in its folder. Exit code 0 passed, 1 failed, 2 undecided.
"""

from __future__ import annotations

import csv
import json
import os
import re
import sys
from pathlib import Path

from tasks import TASKS


def main() -> int:
    run = json.loads(Path(os.environ["IRONCAGE_RUN_FILE"]).read_text(encoding="utf-8"))
    expected = sum(total(ledger) for ledger in re.findall(r"\bq[1-4]\b", TASKS[run["task"]]))
    answer = run["answer"] or ""
    said = re.findall(r"-?\d+", answer.rpartition("add up to")[2])
    if [str(expected)] == said:
        sys.stdout.write(f"the ledgers add up to {expected}, as answered\n")
        return 0
    sys.stdout.write(f"the ledgers add up to {expected}, the answer was {answer.strip()!r}\n")
    return 1


def total(ledger: str) -> int:
    with Path(f"{ledger}.csv").open(encoding="utf-8", newline="") as file:
        return sum(int(row["amount"]) for row in csv.DictReader(file))


if __name__ == "__main__":
    sys.exit(main())
