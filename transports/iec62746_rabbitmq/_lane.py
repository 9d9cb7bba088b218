"""How a session's messages travel: the narrow interface, and the plain way, on aiormq's own channels.

The other way is in `_fast.py`. `?lane=` picks one; both pass the same kit.
"""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any, NamedTuple, Protocol, TypeVar

import aiormq
from aiormq.abc import AbstractChannel, DeliveredMessage
from aiormq.exceptions import ChannelInvalidStateError, DeliveryError, PublishError
from pamqp.commands import Basic

from iec62746 import Expired, NoReceiver, Outcome, Overloaded, SessionLost, TooLarge, TransportError
from iec62746_rabbitmq import _errors
from iec62746_rabbitmq._links import CLOSE, COMMAND, Links, Target, Watch

T = TypeVar("T")

CONTENT_TYPE = "application/xml"
WINDOW = 100
"""Messages on their way, of which the broker has not said yet that it took them; the next wait their turn."""
PREFETCH = 200
"""Deliveries of one queue that the broker sends ahead of our acks: what waits here is never more."""
ACK_EACH = PREFETCH // 2
"""Deliveries acked at once while more wait: a write for each would cost the most, and so the broker need not wait."""
TURN = 16
"""Deliveries that are taken before others get their turn."""


class Parcel(NamedTuple):
    """One message to publish; `expires` is seconds since 1970, UTC. "" stands for a property that is not sent."""

    exchange: str
    key: str
    body: bytes
    expires: float
    is_mandatory: bool
    """True in the lane of inboxes and replies: `NoReceiver` if no queue takes it."""
    correlation_id: str = ""
    reply_to: str = ""
    user_id: str = ""
    headers: Mapping[str, str] = {}

    @property
    def expiration(self) -> str:
        """Return milliseconds until it expires, at least one."""
        return str(max(int((self.expires - time.time()) * 1000), 1))


class Incoming(NamedTuple):
    """One message that came; "" stands for a property that it has not."""

    body: bytes
    exchange: str
    key: str
    redelivered: bool
    content_type: str
    correlation_id: str
    reply_to: str
    user_id: str
    headers: Mapping[str, Any]


Take = Callable[[Incoming], Awaitable[None]]
"""Takes one message; it is acked when this has returned. What it raises ends the session."""


class Consumer(Protocol):
    """One queue that is being consumed."""

    async def cancel(self) -> None:
        """End it: `take` is not called any more, and what it has not taken goes back. Idempotent, never raises."""
        ...


class Lane(Protocol):
    """A session's connections, open."""

    async def publish(self, parcel: Parcel) -> None:
        """Return when the broker has taken it.

        Raises `NoReceiver` if it is mandatory and no queue took it, `Overloaded` if a queue is full (a lane of events:
        others may have taken it) or the broker is blocked, `Expired`, `PermissionDenied`, `TooLarge`, `SessionLost`.
        Never waits longer than until `parcel.expires`: what is then still unknown ends the session, so that what has
        not left us by then never does.
        """
        ...

    async def consume(self, queue: str, take: Take) -> Consumer:
        """Call `take` for each message of `queue`, one after the other, from now on; raises as `ask` does."""
        ...

    async def ask(self, what: str, do: Callable[[AbstractChannel], Awaitable[T]]) -> T:
        """Return what `do` returns, given a channel for topology of the consuming connection.

        Raises `PermissionDenied`, `Unreachable`, `SessionLost`, which say that we cannot do `what`.
        """
        ...

    async def aclose(self) -> None:
        """Close; idempotent, never raises; within 2 s."""
        ...


class _Opening(Lane, Protocol):
    async def open(self) -> None:
        """Open the channels to publish by, so that no message waits for that."""
        ...


Opening = TypeVar("Opening", bound=_Opening)
Opener = Callable[[Target, Watch], Awaitable[Lane]]
"""Opens a lane; raises `Unreachable`, `AuthenticationFailed`, `PermissionDenied`."""


async def open_plain(target: Target, watch: Watch) -> "PlainLane":
    """Open the plain lane."""
    links = Links(target, watch)
    await links.open()
    return await opened(PlainLane(links, watch))


async def opened(lane: Opening) -> Opening:
    """Return `lane`, with its channels open."""
    try:
        await lane.open()
    except BaseException:
        await lane.aclose()
        raise
    return lane


class PlainLane:
    """The lane on aiormq's own channels."""

    def __init__(self, links: Links, watch: Watch) -> None:
        """Use `links`, which are open."""
        self._links, self._watch = links, watch
        # A channel each, so that an error in one does not end the other's messages.
        self._inboxes, self._events = _Publisher(links), _Publisher(links)
        self._consumers: list[_PlainConsumer] = []

    async def open(self) -> None:
        """Open the channels to publish by, so that no message waits for that."""
        try:
            with _errors.not_cancelled():
                await self._inboxes.open()
                await self._events.open()
        except _errors.LIBRARY as exc:
            raise _errors.refused(exc, "open a channel") from exc

    async def publish(self, parcel: Parcel) -> None:
        """Publish `parcel`."""
        await (self._inboxes if parcel.is_mandatory else self._events).publish(parcel)

    async def consume(self, queue: str, take: Take) -> Consumer:
        """Consume `queue`."""
        consumer = _PlainConsumer(self._links, self._watch, queue, take)
        self._consumers.append(consumer)
        await consumer.start()
        return consumer

    async def ask(self, what: str, do: Callable[[AbstractChannel], Awaitable[T]]) -> T:
        """Have `do` done."""
        return await self._links.consuming.ask(what, do)

    async def aclose(self) -> None:
        """Close."""
        for consumer in self._consumers:  # by no task of their own: a delivery may close its own session
            await consumer.stop()
        await self._links.aclose()


class _OnTheWay:
    """The messages of one channel of which nothing is known yet."""

    __slots__ = ("channel", "count", "was_alone")

    def __init__(self, channel: aiormq.Channel) -> None:
        self.channel, self.count = channel, 0
        self.was_alone: bool | None = None
        """Whether there was but one when the channel ended."""


class _Publisher:
    """One channel to publish by, opened again when an error has ended it."""

    def __init__(self, links: Links) -> None:
        self._links = links
        self._window = asyncio.Semaphore(WINDOW)
        self._opening = asyncio.Lock()
        self._way: _OnTheWay | None = None

    async def publish(self, parcel: Parcel) -> None:
        has_begun = False
        try:
            with _errors.not_cancelled():
                async with asyncio.timeout(parcel.expires - time.time()), self._window:
                    way = await self._open_way()
                    has_begun = True
                    await self._publish(way, parcel)
        except TimeoutError:
            if not has_begun:
                raise Expired("its Deadline passed before there was room to send it") from None
            # It may lie in a buffer, here or at the broker, and would be delivered when that is read.
            late = SessionLost("the broker did not take a message before its Deadline: the session is ended")
            self._links.fail(late)
            raise late from None

    async def open(self) -> _OnTheWay:
        """Return a channel that is open; raises what aiormq raises."""
        # Always by the lock: who came first goes first, also while it is being opened.
        async with self._opening:
            if self._way is None or self._way.channel.is_closed:
                self._way = _OnTheWay(await self._links.publishing.channel(has_confirms=True))
            return self._way

    async def _open_way(self) -> _OnTheWay:
        if self._links.publishing.wire.is_blocked:
            raise Overloaded("the broker takes no messages: an alarm", outcome=Outcome.NOT_SENT)
        try:
            return await self.open()
        except _errors.LIBRARY as exc:
            error = _errors.lost(exc, "the connection")
            error.outcome = Outcome.NOT_SENT
            raise error from exc

    async def _publish(self, way: _OnTheWay, parcel: Parcel) -> None:
        way.count += 1
        try:
            await way.channel.basic_publish(
                parcel.body,
                exchange=parcel.exchange,
                routing_key=parcel.key,
                mandatory=parcel.is_mandatory,
                properties=_properties(parcel),
                wait=False,
            )
        except PublishError:
            way.count -= 1
            raise NoReceiver(f"nobody is there: no queue for {parcel.key}") from None
        except DeliveryError:
            way.count -= 1
            outcome = Outcome.REFUSED if parcel.is_mandatory else Outcome.UNKNOWN
            raise Overloaded(f"the queue of {parcel.key} is full", outcome=outcome) from None
        except ChannelInvalidStateError as exc:
            # The channel ended before it was given to it.
            error = _errors.lost(exc, "the channel")
            error.outcome = Outcome.NOT_SENT
            raise error from exc
        except ValueError as exc:
            way.count -= 1
            raise TooLarge(f"it has no room in a frame of AMQP: {exc}") from exc
        except _errors.LIBRARY as exc:
            if way.was_alone is None:
                # Who was cancelled meanwhile still counts: that message is on its way as well.
                way.was_alone = way.count == 1
            raise _errors.unsettled(exc, is_alone=way.was_alone) from exc
        else:
            way.count -= 1


def _properties(parcel: Parcel) -> Basic.Properties:
    # message_id stays free: aiormq makes one for each, by which it knows what was returned.
    return Basic.Properties(
        content_type=CONTENT_TYPE,
        delivery_mode=1,
        expiration=parcel.expiration,
        correlation_id=parcel.correlation_id or None,
        reply_to=parcel.reply_to or None,
        user_id=parcel.user_id or None,
        headers=dict(parcel.headers) or None,
    )


class _PlainConsumer:
    """One queue consumed on a channel of its own."""

    def __init__(self, links: Links, watch: Watch, queue: str, take: Take) -> None:
        self._links, self._watch, self._queue, self._take = links, watch, queue, take
        self._channel: AbstractChannel | None = None
        self._waiting: deque[DeliveredMessage] = deque()
        self._arrived = asyncio.Event()
        self._is_over = False
        self._pump: asyncio.Task[None] | None = None
        self._taken, self._unacked = 0, 0
        """The tag of the last delivery that was taken, and how many of them have not been acked."""

    async def start(self) -> None:
        """Begin; live when it returns."""
        what = f"consume {self._queue}"
        try:
            with _errors.not_cancelled():
                async with asyncio.timeout(COMMAND):
                    self._channel = channel = await self._links.consuming.channel(has_confirms=False)
                    await channel.basic_qos(prefetch_count=PREFETCH)
                    channel.on_consumer_cancel_callbacks.add(self._on_cancelled_by_broker)
                    channel.closing.add_done_callback(self._on_closing)
                    self._pump = asyncio.create_task(self._deliver_all(channel), name=what)
                    await channel.basic_consume(self._queue, self._on_message)
        except (*_errors.LIBRARY, TimeoutError) as exc:
            await self.cancel()
            raise _errors.refused(exc, what) from exc
        except BaseException:
            await self.cancel()
            raise

    async def _on_message(self, message: DeliveredMessage) -> None:
        # aiormq runs this in a task for each message, begun in their order: so it does nothing but hand over.
        self._waiting.append(message)
        self._arrived.set()

    async def _deliver_all(self, channel: AbstractChannel) -> None:
        try:
            while not self._is_over:
                await self._arrived.wait()
                self._arrived.clear()
                while self._waiting and not self._is_over:
                    for _ in range(min(len(self._waiting), TURN)):
                        message = self._waiting.popleft()
                        await self._take(_incoming(message))
                        self._taken, self._unacked = message.delivery_tag or 0, self._unacked + 1
                        if self._is_over:  # the delivery closed its own session
                            break
                    if self._unacked >= ACK_EACH or not self._waiting:
                        await self._ack(channel)
                    if self._waiting:
                        await asyncio.sleep(0)
        except ChannelInvalidStateError:
            pass  # `_on_closing` tells of it; what was taken may come again, with `redelivered`
        except Exception as exc:  # the deliver of the core
            with suppress(*_errors.LIBRARY, TransportError):
                await self._ack(channel)  # of what was taken before
            self._end(SessionLost(f"a delivery was not taken: {type(exc).__name__}: {exc}"), exc)

    async def _ack(self, channel: AbstractChannel, *, waits: bool = False) -> None:
        """Ack what was taken; `waits` until it is written."""
        if count := self._unacked:
            await channel.basic_ack(self._taken, multiple=True, wait=waits)
            self._unacked -= count

    def _on_cancelled_by_broker(self, _: Basic.Cancel) -> None:
        self._end(SessionLost(f"the broker ended the consumer of {self._queue}: the queue was deleted, or has moved"))

    def _on_closing(self, closing: "asyncio.Future[Any]") -> None:
        exc = None if closing.cancelled() else closing.exception()
        self._end(_errors.lost(exc, f"the channel that consumes {self._queue}"))

    def _end(self, cause: SessionLost, exc: Exception | None = None) -> None:
        if self._is_over:
            return
        self._is_over = True
        cause.__cause__ = cause.__cause__ or exc
        self._watch.lost(cause)

    async def stop(self) -> None:
        """Take nothing more, and ack what was taken; idempotent."""
        self._is_over = True
        pump = self._pump
        # A delivery that closes its own session ends by itself.
        if pump is not None and pump is not asyncio.current_task():
            pump.cancel()
            await asyncio.wait([pump])
        if self._channel is not None:
            with suppress(*_errors.LIBRARY, TransportError, TimeoutError), _errors.not_cancelled():
                async with asyncio.timeout(CLOSE):
                    await self._ack(self._channel, waits=True)

    async def cancel(self) -> None:
        """End it."""
        await self.stop()
        if self._channel is not None:
            with suppress(*_errors.LIBRARY, TransportError, TimeoutError), _errors.not_cancelled():
                async with asyncio.timeout(COMMAND):
                    await self._channel.close()


def _incoming(message: DeliveredMessage) -> Incoming:
    properties = message.header.properties
    return Incoming(
        body=message.body,
        exchange=message.exchange or "",
        key=message.routing_key or "",
        redelivered=bool(message.redelivered),
        content_type=properties.content_type or "",
        correlation_id=properties.correlation_id or "",
        reply_to=properties.reply_to or "",
        user_id=properties.user_id or "",
        headers=properties.headers or {},
    )
