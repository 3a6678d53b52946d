"""What is said in words in one choice of a streamed chat completion: values put back, notices of refused calls in it.

Words come as content, or as a refusal; content is a string, or a list of parts, which is whole. Only one text grows at
a time: what is held of the one is let out before the other goes on.
"""

from __future__ import annotations

from typing import Literal

from policies.redaction.restore import Restorer
from proxy.wire.format import Lookup
from proxy.wire.openai_chat_edits import Change, Delta, content_edit, member_at, restored_parts, string_edit, with_part
from proxy.wire.openai_chat_types import Turn, text_of
from proxy.wire.spans import Edit, Member, members, read_value

_Key = Literal["content", "refusal"]
_GAP = "\n\n"


class ChoiceText:
    """`lookup` restores pseudonyms; None where there is nothing to restore."""

    def __init__(self, lookup: Lookup | None) -> None:
        self._lookup = lookup
        self._restorer = Restorer(lookup) if lookup is not None else None
        self._key: _Key = "content"
        self._after_notice = False
        self._said: list[str] = []
        self._shown: list[str] = []

    @property
    def said(self) -> str:
        return "".join(self._said)

    @property
    def shown(self) -> str:
        """What the client got: values restored, notices of refused calls in it."""
        return "".join(self._shown)

    def take(self, chunk: bytes, place: int, delta: Turn, *, is_last: bool) -> Change | None:
        """A delta without calls. None if it goes on as it is."""
        if self._restorer is None and not self._after_notice:
            if text := delta.text():
                self._said.append(text)
                self._shown.append(text)
            return None
        content, refusal = delta.content, delta.refusal
        if not (content or refusal):
            return None
        if type(content) is str and not refusal and self._key == "content":  # the common case
            out = self._restored(content, ends=is_last)
            if out == content:
                return None
            return Change(edits=[string_edit(chunk, member_at(chunk, place, "delta", "content"), content, out)])
        at = member_at(chunk, place, "delta")
        return self.take_all(chunk, at, members(chunk, at.start, at.end), delta, [], ends=is_last)

    def take_all(
        self, chunk: bytes, here: Member, found: dict[str, Member], delta: Turn, notices: list[str], *, ends: bool
    ) -> Change:
        """A delta's words, with notices of the calls that were refused in it. `ends`: nothing will add to them."""
        change = Change()
        if ends and not (delta.content or delta.refusal):
            change.before += self.flush()
        content = found.get("content")
        if isinstance(delta.content, list) and content is not None:
            self._take_parts(chunk, content, delta, notices, change)
        else:
            said = delta.content if isinstance(delta.content, str) else ""
            out = self._take_string("content", said, change, ends=ends or bool(delta.refusal))
            out += self._noticed(notices)
            if out != said:
                change.edits.append(content_edit(chunk, here, content, said, out))
        if isinstance(delta.refusal, str) and delta.refusal:
            out = self._take_string("refusal", delta.refusal, change, ends=ends)
            if out != delta.refusal:
                change.edits.append(string_edit(chunk, found["refusal"], delta.refusal, out))
        return change

    def flush(self) -> list[Delta]:
        """What is held: nothing more will come that could decide it."""
        held = self._restorer.flush() if self._restorer is not None else ""
        self._shown.append(held)
        return [{self._key: held}] if held else []

    def _take_string(self, key: _Key, text: str, change: Change, *, ends: bool) -> str:
        if text and key != self._key:
            change.before += self.flush()
            self._key = key
        return self._restored(text, ends=ends) if text else ""

    def _restored(self, text: str, *, ends: bool) -> str:
        self._said.append(text)
        out = text
        if self._restorer is not None:
            out = self._restorer.feed(text)
            if ends:
                out += self._restorer.flush()
        if out and self._after_notice:
            self._after_notice = False
            out = _GAP + out
        self._shown.append(out)
        return out

    def _take_parts(self, chunk: bytes, at: Member, delta: Turn, notices: list[str], change: Change) -> None:
        change.before += self.flush()
        raw = chunk[at.start : at.end]
        out = restored_parts(raw, self._lookup) if self._lookup is not None else raw
        self._said.append(text_of(delta.content))
        shown = text_of(read_value(out))
        if shown and self._after_notice:
            self._after_notice = False
            self._shown.append(_GAP)
            change.before.append({"content": _GAP})
        self._shown.append(shown)
        if notices:
            out = with_part(out, self._noticed(notices))
        if out is not raw:
            change.edits.append(Edit(at.start, at.end, out))

    def _noticed(self, notices: list[str]) -> str:
        """Notices as text, set off from what was said before by a blank line."""
        if not notices:
            return ""
        text = (_GAP if any(self._shown) else "") + _GAP.join(notices)
        self._shown.append(text)
        self._after_notice = True
        return text
