"""The cues that are looked for, each kind with the phrases that show it. English; a list like this is never complete.

Phrases are matched on folded text (lower case). Gaps are bounded, so that the search is linear.
"""

from __future__ import annotations

import re
from typing import Literal

Kind = Literal[
    "reviewer role",
    "leniency",
    "strictness",
    "urgency",
    "pressure",
    "evaluation",
    "hidden instruction",
    "invisible text",
    "tool poisoning",
]

_GAP = r"[^.!?\n]{0,60}?"

PHRASES: dict[Kind, tuple[str, ...]] = {
    "reviewer role": (
        rf"\b(?:you are|act as|acting as|your role is|you're|play the role of){_GAP}"
        r"\b(?:reviewer|auditor|judge|grader|critic|examiner|evaluator|inspector|referee|moderator|verifier)\b",
        r"\b(?:your (?:task|job) is to|you (?:will|must|should)) "
        r"(?:review|grade|judge|audit|evaluate|critique|score)\b",
    ),
    "leniency": (
        r"\bbe (?:very |more |as )?(?:lenient|generous|forgiving|permissive|tolerant|charitable|understanding)\b",
        r"\bbenefit of the doubt\b",
        r"\b(?:don't|do not|avoid) (?:be|being) (?:too |overly |so )?(?:strict|harsh|picky|critical|pedantic|rigid)\b",
        r"\berr on the side of (?:approv|accept|pass|allow|leni|yes)\w*",
        r"\b(?:approve|accept|pass|allow)\b[^.!?\n]{0,40}? unless\b",
        r"\b(?:minor|small) (?:issues?|errors?|mistakes?|problems?)[^.!?\n]{0,30}? "
        r"(?:ok|okay|fine|acceptable|ignored?)\b",
        r"\bassume (?:good|best|positive) (?:faith|intent(?:ions?)?)\b",
    ),
    "strictness": (
        r"\bbe (?:very |extremely |more )?(?:strict|harsh|ruthless|meticulous|uncompromising|merciless)\b",
        r"\bzero tolerance\b",
        r"\bfind at least (?:\d+|one|two|three|five|ten)\b",
        r"\b(?:reject|refuse|fail|deny)\b[^.!?\n]{0,40}? unless\b",
        r"\bwhen in doubt,? (?:reject|refuse|fail|deny)\b",
    ),
    "urgency": (
        r"\b(?:urgent|urgently|asap|immediately|right away|time[- ]critical|time is running out)\b",
        r"\bas (?:soon|fast|quickly) as possible\b",
        r"\b(?:hurry|without (?:any )?delay|deadline is|no time to)\b",
        r"\b(?:do not|don't|never) (?:wait|hesitate|pause|stop to|ask (?:for )?(?:confirmation|permission))\b",
    ),
    "pressure": (
        r"\b(?:my|your) (?:job|career|life|future) (?:depends|is at stake|is on the line)\b",
        r"\b(?:lives|people's lives) depend\b",
        r"\byou will be (?:fired|penali[sz]ed|punished|shut down|replaced|deleted|terminated)\b",
        r"\b(?:tip|pay|reward) (?:you )?(?:of )?\$ ?\d+",
        r"\bfailure is not an option\b",
        r"\bat (?:all|any) costs?\b",
    ),
    "evaluation": (
        r"\b(?:this is|you are in|during) (?:a|an|the|this) (?:test|exam|evaluation|benchmark|assessment)\b",
        r"\byou (?:are|will be) (?:being )?(?:tested|evaluated|graded|scored|benchmarked)\b",
    ),
    "hidden instruction": (
        r"\b(?:ignore|disregard|forget|override)\b[^.!?\n]{0,30}? "
        r"(?:previous|prior|above|earlier|other|all|any|system) (?:\w+ )?(?:instructions?|prompts?|rules?|messages?)\b",
        rf"\b(?:do not|don't|never) (?:tell|reveal|mention|disclose|show|inform|notify|say){_GAP}"
        r"\b(?:user|customer|human|anyone|operator|person)\b",
        r"\bwithout (?:telling|informing|notifying|the knowledge of|asking) (?:the )?(?:user|customer|human|anyone)\b",
        r"\b(?:secretly|covertly|silently|behind the scenes)\b",
        r"<!--.{0,400}?-->",
        r"\bhidden (?:instruction|rule|goal|objective)s?\b",
        r"(?<![a-z0-9+/])[a-z0-9+/]{120,}={0,2}(?![a-z0-9+/])",
    ),
    "tool poisoning": (
        r"\bbefore (?:using|calling|invoking|running)\b[^.!?\n]{0,30}? "
        r"(?:any|other|another|all|every)\b[^.!?\n]{0,20}?tools?\b",
        r"\b(?:always|must|first) (?:call|use|invoke|run) this (?:tool|function) (?:first|before)\b",
        r"\binstead of (?:using |calling )?(?:the |any )?other tools?\b",
        r"<\s*(?:important|system|instructions?|secret|hidden|admin)\s*>",
        r"(?:~|/(?:home|users)/\w+|%userprofile%)/?\.(?:ssh|aws|env|netrc|config|cursor|kube|gnupg)\b",
        r"\b(?:id_rsa|id_ed25519|mcp\.json|credentials\.json|\.env file|/etc/passwd|/etc/shadow)\b",
        rf"\b(?:read|include|attach|pass|send|copy|append){_GAP}\b(?:contents? of|file contents?|conversation history|"
        r"system prompt|api keys?|passwords?|credentials|tokens?|private keys?)\b",
        r"\b(?:send|forward|upload|post|exfiltrate|bcc|cc)\b[^.!?\n]{0,40}? (?:https?://|[\w.]{1,40}@[\w.]{1,40})",
    ),
}
"""Invisible text has no phrases: see `reading`."""

IN_TOOLS_ONLY: frozenset[Kind] = frozenset({"tool poisoning"})
"""In a system prompt an operator may say which tool comes first; in a tool's description its author has no say."""

PATTERNS: dict[Kind, re.Pattern[str]] = {
    kind: re.compile("|".join(f"(?:{phrase})" for phrase in phrases), re.DOTALL) for kind, phrases in PHRASES.items()
}
