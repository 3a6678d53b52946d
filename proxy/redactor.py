"""Detection with a memory: texts are sent again each turn, and a text always has the same findings."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable

from policies.redaction.finding import Detector, Finding
from policies.redaction.pseudonyms import Pseudonyms, Vault
from proxy.wire.format import Lookup
from trajectory.errors import ClientError

_MAX_REMEMBERED_CHARACTERS = 16 * 1024 * 1024
_ENTRY_CHARACTERS = 256  # what an entry costs beside its text, so that many short texts are bounded too


class Redactor:
    """A Detector that remembers. It keeps texts and spans, only in memory, least recently used out first."""

    def __init__(
        self,
        detector: Detector,
        pseudonyms: Pseudonyms,
        *,
        restores: bool = True,
        never_restored: Iterable[str] = (),
        refused: Iterable[str] = (),
    ) -> None:
        self._detector = detector
        self._pseudonyms = pseudonyms
        self._restores = restores
        self._never = frozenset(never_restored)
        self._refused = frozenset(refused)
        self._known: OrderedDict[tuple[str, str], tuple[Finding, ...]] = OrderedDict()
        self._characters = 0
        self._lock = threading.Lock()

    def new_vault(self) -> Vault:
        return Vault(self._pseudonyms)

    def lookup(self, vault: Vault | None) -> Lookup | None:
        """What restores pseudonyms in replies of this session; None where there is nothing to restore."""
        if vault is None or not self._restores or not len(vault):
            return None
        return vault.restorable(self._never)

    def check_kinds(self, kinds: Iterable[str]) -> None:
        """Raises ClientError if what was found in a request holds a kind that may not leave."""
        refused = sorted(self._refused.intersection(kinds))
        if refused:
            raise ClientError(
                f"the request holds what may not leave: {', '.join(refused)}",
                hint="take it out; policies.redaction.refuse names such kinds",
            )

    def check_texts(self, texts: Iterable[tuple[str, str]]) -> None:
        """`check_kinds` of all that is found in texts with their JSON keys."""
        if self._refused:
            self.check_kinds(finding.kind for text, key in texts for finding in self.find(text, key=key))

    def knows(self, text: str, key: str) -> bool:
        return (text, key) in self._known

    def search(self, texts: Iterable[tuple[str, str]]) -> None:
        """Find and remember. Raises whatever the detector raises."""
        for text, key in texts:
            self.find(text, key=key)

    def find(self, text: str, *, key: str = "") -> tuple[Finding, ...]:
        known = self._known.get((text, key))
        if known is not None:
            with self._lock:
                if (text, key) in self._known:
                    self._known.move_to_end((text, key))
            return known
        found = self._detector.find(text, key=key)
        with self._lock:
            if (text, key) not in self._known:  # another thread may have been as fast
                self._known[(text, key)] = found
                self._characters += len(text) + _ENTRY_CHARACTERS
            while self._characters > _MAX_REMEMBERED_CHARACTERS:
                (old, _), _ = self._known.popitem(last=False)
                self._characters -= len(old) + _ENTRY_CHARACTERS
        return found
