"""Identifiers: random, and made at the edge, so that the core gets them as arguments."""

import os
from os import urandom

_AT_ONCE = 64
_made: list[str] = []
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_made.clear)


def message_id() -> str:
    """Return a random UUID (version 4)."""
    # uuid.uuid4() takes three times as long; the kernel is asked for many at once.
    try:
        return _made.pop()
    except IndexError:
        first, *rest = _uuids(_AT_ONCE)
        _made.extend(rest)
        return first


def _uuids(count: int) -> list[str]:
    text = urandom(16 * count).hex()
    return [
        f"{text[at : at + 8]}-{text[at + 8 : at + 12]}-4{text[at + 13 : at + 16]}"
        f"-{'89ab'[int(text[at + 16], 16) & 3]}{text[at + 17 : at + 20]}-{text[at + 20 : at + 32]}"
        for at in range(0, 32 * count, 32)
    ]


def session_name() -> str:
    """Return a random name for a session, in `[A-Za-z0-9_-]{1,32}`."""
    return urandom(8).hex()
