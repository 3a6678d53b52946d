"""Verdicts on the calls of a stream that tells a call more than once: when it begins, when it is done, at the end."""

from __future__ import annotations

from policies.verdict import Refuse
from proxy.wire.arguments import ArrivingArguments, is_same_json
from proxy.wire.format import ReplyJudge

_Given = str | ArrivingArguments


class Verdicts:
    """Each call is judged once, however often it is told. Two calls with one id and name are two calls."""

    def __init__(self, judge: ReplyJudge) -> None:
        self._judge = judge
        self._known: dict[tuple[str, str], list[tuple[_Given, Refuse | None]]] = {}
        self.refused: list[Refuse] = []

    def __len__(self) -> int:
        return sum(map(len, self._known.values()))

    def begun(self, name: str, call_id: str, key: str, arguments: _Given) -> Refuse | None:
        """Of a call that was not told before. `key` is what it will be known by when it is told again."""
        verdict = self._judge.call(name, call_id, arguments)
        self._known.setdefault((name, key), []).append((arguments, verdict))
        if verdict is not None:
            self.refused.append(verdict)
        return verdict

    def again(self, name: str, call_id: str, key: str, text: str) -> Refuse | None:
        """Of a call with these arguments, told before or not. Raises FormatError if it was judged by other ones."""
        known = self._known.get((name, key))
        if known is None:
            return self.begun(name, call_id, key, text)
        for arguments, verdict in known:
            said = arguments if isinstance(arguments, str) else arguments.text
            if is_same_json(said, text):
                return verdict
        arguments, verdict = known[0]
        if isinstance(arguments, str):
            return self.begun(name, call_id, key, text)
        arguments.told_again(text)
        return verdict
