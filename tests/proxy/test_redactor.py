from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from policies.redaction.finding import Finding
from policies.redaction.pseudonyms import Pseudonyms
from proxy import redactor as module
from proxy.redactor import Redactor
from tests.support.detecting import EmailDetector


def test_a_text_is_searched_once_for_each_key_it_stands_under() -> None:
    detector = EmailDetector()
    redactor = Redactor(detector, Pseudonyms(b"k" * 32))
    assert not redactor.knows("to bob@example.org", "content")
    first = redactor.find("to bob@example.org", key="content")
    assert redactor.find("to bob@example.org", key="content") is first == (Finding(3, 18, "EMAIL"),)
    redactor.find("to bob@example.org", key="other")
    assert [key for _, key in detector.asked] == ["content", "other"]


def test_what_was_used_longest_ago_is_forgotten_first_and_found_again_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MAX_REMEMBERED_CHARACTERS", 3 * (module._ENTRY_CHARACTERS + 20))
    detector = EmailDetector()
    redactor = Redactor(detector, Pseudonyms(b"k" * 32))
    texts = [f"{c} bob@example.org" for c in "abc"]
    found = [redactor.find(text) for text in texts]
    redactor.find(texts[0])
    redactor.find("d bob@example.org")
    assert [redactor.knows(text, "") for text in texts] == [True, False, True]
    assert redactor.find(texts[1]) == found[1]


def test_memory_is_bounded_for_many_short_texts_and_for_long_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MAX_REMEMBERED_CHARACTERS", 10_000)
    redactor = Redactor(EmailDetector(), Pseudonyms(b"k" * 32))
    for number in range(150):  # the bound is reached within five
        redactor.find(str(number))
        redactor.find("x" * 2000 + str(number))
        assert redactor._characters <= 10_000
        assert len(redactor._known) <= 10_000 // module._ENTRY_CHARACTERS


def test_threads_that_search_the_same_text_at_once_count_it_once(monkeypatch: pytest.MonkeyPatch) -> None:
    both = Barrier(2)

    class Slow(EmailDetector):
        def find(self, text: str, *, key: str = "") -> tuple[Finding, ...]:
            both.wait(30)
            return super().find(text, key=key)

    redactor = Redactor(Slow(), Pseudonyms(b"k" * 32))
    with ThreadPoolExecutor(2) as pool:
        one, other = pool.map(redactor.find, ["bob@example.org"] * 2)
    assert one == other
    assert redactor._characters == len("bob@example.org") + module._ENTRY_CHARACTERS


def test_an_error_of_the_detector_is_the_callers_to_refuse_on() -> None:
    redactor = Redactor(EmailDetector(RuntimeError("no")), Pseudonyms(b"k" * 32))
    with pytest.raises(RuntimeError):
        redactor.search([("a", "")])
    assert not redactor.knows("a", "")


def test_nothing_is_restored_where_nothing_was_issued_or_restoring_is_off() -> None:
    pseudonyms = Pseudonyms(b"k" * 32)
    redactor = Redactor(EmailDetector(), pseudonyms, never_restored=("SECRET",))
    vault = redactor.new_vault()
    assert redactor.lookup(None) is None and redactor.lookup(vault) is None
    token, secret = vault.issue("EMAIL", "bob@example.org"), vault.issue("SECRET", "hunter22")
    lookup = redactor.lookup(vault)
    assert lookup is not None and lookup(token) == "bob@example.org" and lookup(secret) is None
    assert Redactor(EmailDetector(), pseudonyms, restores=False).lookup(vault) is None
