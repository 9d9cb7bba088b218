"""Every bound of the core, with its name and default."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The bounds of one communication domain: its `[limits]` table."""

    real_time: float = 30.0
    """Seconds from Timestamp to Deadline (62746-3, 5.1)."""
    set_up: float = 60.0
    """Seconds to be connected, authenticated and subscribed (62746-3, 5.1)."""
    clock_skew: float = 5.0
    """Seconds by which a peer's clock may differ."""
    presence: float = 30.0
    """Seconds between two heartbeats; a party is gone after 2.5 times that (62746-3, 5.5.5)."""
    message: int = 1_048_576
    """Octets of one message on the wire."""
    handling: float = 20.0
    """Seconds a handler may run, then the reply is 4.1."""
    pending: int = 1_000
    """Unanswered requests per peer, each way."""
    handlers: int = 64
    """Handlers running at once."""
    waiting: int = 10_000
    """Messages waiting for a handler, in all; then the reply is 5.1."""
    remembered: int = 100_000
    """MessageIDs kept against duplicates."""
    answers: int = 16_777_216
    """Octets of answers kept for the duplicates of requests that were answered."""
    depth: int = 100
    """Levels of elements in one message."""
    attributes: int = 256
    """Attributes of one element."""
    inflated: int = 10_485_760
    """Octets that may come out of Compressed."""
