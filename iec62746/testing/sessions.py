"""A session, or a participant, of another process, as a rule of the conformance kit sees it."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from typing import Any

from iec62746.address import Address
from iec62746.domain import Domain
from iec62746.errors import Iec62746Error
from iec62746.testing import _wire
from iec62746.testing._peers import NoAnswer, Peer
from iec62746.testing.proxy import Link
from iec62746.transport import Delivery, Outgoing, Receipt, ReceiptLevel, ReplyTo


class Broken(AssertionError):
    """A rule is broken: says what was seen."""


@dataclass(frozen=True, slots=True)
class Times:
    """Seconds: `signal` to wait for what must come, `silence` for what must not."""

    signal: float = 10.0
    silence: float = 0.4


class _Heard:
    """Events of one session, to wait for."""

    def __init__(self, peer: Peer, name: str, times: Times) -> None:
        self.peer, self.name, self._times = peer, name, times
        self.link: Link | None = None
        self.domain: Domain
        self.party = ""
        self.events: list[dict[str, Any]] = []
        self._changed = asyncio.Event()
        peer.hear[name] = self._hear

    def _hear(self, event: dict[str, Any]) -> None:
        self.events.append(event)
        self._changed.set()

    def of(self, event: str) -> list[dict[str, Any]]:
        """Return the events of this kind, the oldest first."""
        return [one for one in self.events if one["event"] == event]

    async def until(self, is_so: Callable[[], object], what: str, within: float | None = None) -> None:
        """Wait until it is so; raises `Broken` past `within` seconds."""
        limit = self._times.signal if within is None else within
        try:
            async with asyncio.timeout(limit):
                while not is_so():
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            raise Broken(f"{what}: not seen within {limit:g} s") from None

    async def lost(self, within: float | None = None) -> Iec62746Error | _wire.Foreign:
        """Wait for `Observer.lost`; returns its cause."""
        await self.until(lambda: self.of("lost"), "Observer.lost", within)
        return _wire.raised(self.of("lost")[0]["cause"])


class RemoteSubscription:
    """A subscription in the party's process."""

    def __init__(self, session: "RemoteSession", name: str) -> None:
        """Know it by `name`."""
        self._session, self._name = session, name

    async def cancel(self) -> None:
        """Cancel it."""
        await self._session.call("cancel", name=self._name)


class RemoteSession(_Heard):
    """A session in the party's process."""

    def __init__(self, peer: Peer, name: str, party: str, times: Times, is_mine: Callable[[str], bool]) -> None:
        """Know it by `name`; deliveries that are not `is_mine` are of other rules."""
        super().__init__(peer, name, times)
        self.party, self._is_mine, self._numbers = party, is_mine, count(1)
        self.deliveries: list[Delivery] = []

    def _hear(self, event: dict[str, Any]) -> None:
        if event["event"] == "delivery":
            delivery = _wire.delivered(event["delivery"])
            if self._is_mine(delivery.correlation_id):
                self.deliveries.append(delivery)
        super()._hear(event)

    @property
    def bodies(self) -> list[bytes]:
        """Return the bodies that were delivered, the first first."""
        return [one.body for one in self.deliveries]

    async def got(self, number: int = 1, within: float | None = None) -> list[Delivery]:
        """Wait for so many deliveries."""
        try:
            await self.until(lambda: len(self.deliveries) >= number, f"{number} deliveries", within)
        except Broken as exc:
            raise Broken(f"{exc} ({self.party} got {len(self.deliveries)})") from None
        return self.deliveries

    async def call(self, command: str, within: float = 60.0, **arguments: Any) -> Any:
        """Call a method of the session; what does not return in time is `Broken`."""
        try:
            return await self.peer.call(command, within, session=self.name, **arguments)
        except NoAnswer as exc:
            raise Broken(str(exc)) from None

    async def send(self, to: Address | ReplyTo, message: Outgoing, within: float = 60.0) -> Receipt:
        """Send; raises what the transport raises."""
        level = await self.call("send", within, to=_wire.target(to), message=_wire.outgoing(message))
        return Receipt(ReceiptLevel(level))

    async def send_all(
        self, sends: list[tuple[Address | ReplyTo, Outgoing]], *, in_turn: bool = False
    ) -> list[int | Iec62746Error]:
        """Send all of them at once, or in turn; returns level or error of each; a foreign error is `Broken`."""
        written = [{"to": _wire.target(to), "message": _wire.outgoing(message)} for to, message in sends]
        answers = await self.call("send_in_turn" if in_turn else "send_all", sends=written)
        return [_outcome(answer) for answer in answers]

    async def subscribe(self, address: Address) -> RemoteSubscription:
        """Subscribe; raises what the transport raises."""
        name = f"{next(self._numbers)}"
        await self.call("subscribe", name=name, address=_wire.target(address))
        return RemoteSubscription(self, name)

    async def mode(self, mode: str) -> None:
        """Change what becomes of deliveries."""
        await self.call("mode", mode=mode)

    async def aclose(self, times: int = 1) -> None:
        """Close, so many times at once."""
        await self.call("close", 20.0, times=times)


def _outcome(answer: dict[str, Any]) -> int | Iec62746Error:
    if "error" not in answer:
        return int(answer["result"])
    error = _wire.raised(answer)
    if isinstance(error, _wire.Unwritten):
        raise error
    if isinstance(error, _wire.Foreign):
        raise Broken(f"send raised {error}, which is none of our errors")
    return error


class Member(_Heard):
    """A real VTN or VEN in the party's process."""

    @property
    def handled(self) -> list[str]:
        """Return the texts of requests and events that its handlers got."""
        return [one["text"] for one in self.of("handled")]

    async def ask(self, text: str, *, to: str = "", patience: float | None = None, within: float = 60.0) -> str:
        """Send a request that carries `text`; returns its result, or raises what the participant raises."""
        try:
            answer: str = await self.peer.call("ask", within, session=self.name, to=to, text=text, patience=patience)
        except NoAnswer as exc:
            raise Broken(str(exc)) from None
        return answer

    async def publish(self, text: str, *, node: str | None = None) -> None:
        """Publish an event that carries `text`."""
        await self.peer.call("publish", session=self.name, node=node, text=text)
