"""Names of tools and ids of calls, within the bounds that a format sets them."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

from replay.swap.losses import Losses


@dataclass(frozen=True, slots=True)
class Bounds:
    """`outside` are the characters that may not stand in it; `first` those that it may begin with."""

    length: int
    outside: re.Pattern[str]
    first: re.Pattern[str] = re.compile(r".")

    def fits(self, text: str) -> bool:
        return 0 < len(text) <= self.length and not self.outside.search(text) and self.first.match(text) is not None

    def fitted(self, text: str, prefix: str) -> str:
        """`text` where it fits; else another that is the same for the same text, and for no other."""
        if self.fits(text):
            return text
        mark = hashlib.blake2b(text.encode("utf-8", "surrogateescape"), digest_size=8).hexdigest()
        rest = self.outside.sub("_", text)[: max(0, self.length - len(mark) - len(prefix) - 1)]
        return f"{prefix}{rest}_{mark}"


_WORD = re.compile(r"[^A-Za-z0-9_-]")
OPENAI_NAME = Bounds(64, _WORD)
ANTHROPIC_NAME = Bounds(128, _WORD)
GEMINI_NAME = Bounds(128, re.compile(r"[^A-Za-z0-9_.:-]"), re.compile(r"[A-Za-z_]"))
CHAT_ID = Bounds(40, re.compile(r"[^!-~]"))
RESPONSES_ID = Bounds(64, re.compile(r"[^!-~]"))
ANTHROPIC_ID = Bounds(64, _WORD)
GEMINI_ID = Bounds(256, re.compile(r"[^!-~]"))


class Names:
    """A table of renamed tools that can be read both ways."""

    def __init__(self, bounds: Bounds, losses: Losses) -> None:
        self._bounds, self._losses = bounds, losses
        self._here: dict[str, str] = {}

    def there(self, name: str) -> str:
        """What the tool `name` is called at the candidate."""
        fitted = self._bounds.fitted(name, "tool_")
        if fitted != name:
            self._losses.add("identifier", f"tools[{name}].name", f"it is called {fitted} there")
            self._here[fitted] = name
        return fitted

    def here(self, name: str) -> str:
        """The inverse; a name that was never given stays what it is."""
        return self._here.get(name, name)
