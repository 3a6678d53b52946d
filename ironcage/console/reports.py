"""Reports of bake-offs as pages, kept while nothing new was run."""

from __future__ import annotations

import threading
from collections import OrderedDict

from ironcage.scorecards import scored
from scoring.report.page import render_html
from trajectory.store import Store

KEPT = 8


class Reports:
    """One report is made at a time: plots take a second of CPU, and the proxy lives in the same process."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._turn = threading.Lock()
        self._made: OrderedDict[tuple[str, int], bytes] = OrderedDict()

    def page_of(self, bakeoff: str) -> bytes | None:
        """None if there is no such bake-off. Blocks."""
        found = next((one for one in self._store.bakeoffs() if one.id == bakeoff), None)
        if found is None:
            return None
        version = (bakeoff, len(self._store.runs(bakeoff)))
        with self._turn:
            if version not in self._made:
                self._made[version] = render_html(scored(self._store, found)).encode("utf-8", "replace")
                while len(self._made) > KEPT:
                    self._made.popitem(last=False)
            self._made.move_to_end(version)
            return self._made[version]
