"""Names that others chose, made fit for messages, logs and records."""

from __future__ import annotations

from collections.abc import Iterable


def shown(name: str, limit: int = 80) -> str:
    """`name` in printable ASCII, anything else as an escape, cut at `limit` characters.

    A name may come from a model or from the web: raw, it could break lines, hide characters or look like another
    name. A plain name is shown as it is.
    """
    escaped = name[:limit].encode("ascii", "backslashreplace").decode("ascii")
    visible = "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in escaped)
    return visible if len(visible) <= limit and len(name) <= limit else visible[:limit] + "..."


def listed(names: Iterable[str], limit: int = 20) -> str:
    """Names joined with commas, the first `limit` of them; "none" if there are none."""
    all_names = [shown(name) for name in names]
    more = len(all_names) - limit
    text = ", ".join(all_names[:limit]) or "none"
    return f"{text} and {more} more" if more > 0 else text
