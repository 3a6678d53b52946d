"""Tokens of a prompt that nobody has counted yet: how many they are at most, and how many they are likely to be.

1. A token of text is at least one byte, in all tokenizers in use, so bytes are a bound; four or five are usual.
2. What a provider says of its own (instructions for tools) is not in the body: a frame stands for it.
3. What is not in the body at all (a file by its id, a page) is taken for so many tokens. That is an assumption.

How far the estimates are off, over recorded traffic: docs/how-to/limit-spend-and-context.md.
"""

from __future__ import annotations

from trajectory.events import ModelAsked, PromptSize

FRAME_TOKENS = 1_024
MEDIUM_TOKENS = 5_000
"""Of an image in full detail, at the providers that count most; other media have at least a byte for each token."""
ELSEWHERE_TOKENS = 100_000
_LIKELY_MEDIUM_TOKENS = 1_000
_TOKENS_PER_BYTE = 0.2
_LEAST_PER_BYTE, _MOST_PER_BYTE = 0.1, 0.5


def prompt_of(asked: ModelAsked) -> PromptSize:
    """Raises where nobody measured it: the rule that asks does not say that it reads sizes (policies.rule)."""
    if asked.prompt is None:
        raise RuntimeError("the size of a prompt is read that was not measured")
    return asked.prompt


def most_tokens(prompt: PromptSize) -> int:
    """A bound, but for what is elsewhere, and for what a provider's own tools read while they answer."""
    new = prompt.text_bytes + prompt.data_bytes + prompt.media * MEDIUM_TOKENS
    return prompt.tokens + new + prompt.elsewhere * ELSEWHERE_TOKENS + FRAME_TOKENS


def likely_tokens(prompt: PromptSize) -> int:
    """The best guess: at the ratio of tokens to bytes that the trajectory has had so far. What is elsewhere is 0."""
    seen = prompt.tokens_per_byte
    ratio = _TOKENS_PER_BYTE if seen is None else min(max(seen, _LEAST_PER_BYTE), _MOST_PER_BYTE)
    return prompt.tokens + round(prompt.text_bytes * ratio) + prompt.media * _LIKELY_MEDIUM_TOKENS


def least_tokens(text_bytes: int) -> int:
    """No tokenizer has tokens so long, on the average of a text."""
    return text_bytes // 32
