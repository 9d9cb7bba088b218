"""Identifiers: random, and made at the edge, so that the core gets them as arguments."""

from os import urandom


def message_id() -> str:
    """Return a random UUID (version 4)."""
    # uuid.uuid4() takes four times as long.
    text = urandom(16).hex()
    return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-{'89ab'[int(text[16], 16) & 3]}{text[17:20]}-{text[20:]}"


def session_name() -> str:
    """Return a random name for a session, in `[A-Za-z0-9_-]{1,32}`."""
    return urandom(8).hex()
