"""What one who counts is told of a participant; where nobody does, each place costs one `if`."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from time import perf_counter
from typing import Protocol, TypeVar

from iec62746.errors import Iec62746Error
from iec62746.exchange import Output
from iec62746.message import Message, Result
from iec62746.outputs import Ticket

T = TypeVar("T")


class Watcher(Protocol):
    """Told of each thing once, in the event loop: it must neither wait nor raise. Times are seconds."""

    def reported(self, output: Output) -> None:
        """Take an output of the exchange that is not to be sent."""

    def request_ended(self, verb: str, seconds: float, ended: Message | BaseException) -> None:
        """Take how a request of the application ended."""

    def event_ended(self, verb: str, node: str | None, seconds: float, ended: object) -> None:
        """Take how an event of the application was sent: an error where it was not."""

    def announced(self, seconds: float, ended: object) -> None:
        """Take how an announcement of our presence was sent: an error where it was not."""

    def heard(self, party: str | None) -> None:
        """Take that an announcement of the presence of `party` came."""

    def answered(self, result: Result) -> None:
        """Take what a request that had come as far as the handlers was answered."""

    def handled(self, ticket: Ticket, seconds: float) -> None:
        """Take how long the handlers of a message ran."""

    def connected(self) -> None:
        """Take that a session is open."""

    def lost(self, cause: Iec62746Error) -> None:
        """Take what ended the session, or the connection for good."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """How much is under way at a participant, and whether it can be."""

    is_connected: bool
    is_blocked: bool
    pending: int
    running: int
    waiting: int


async def ending(tell: Callable[[float, T | BaseException], None], work: Awaitable[T]) -> T:
    """Return what `work` returns, and tell how long it took and how it ended."""
    began = perf_counter()
    try:
        result = await work
    except BaseException as exc:
        tell(perf_counter() - began, exc)
        raise
    tell(perf_counter() - began, result)
    return result
