"""The fast lane: channels for publishing and consuming whose frames aiormq does not see.

aiormq keeps handshake, TLS, heartbeats and topology; the session above is the same as with the plain lane.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, TypeVar

from aiormq.abc import AbstractChannel
from pamqp.commands import Basic

from iec62746 import Expired, NoReceiver, Outcome, Overloaded, SessionLost, TooLarge, TransportError
from iec62746_rabbitmq import _errors, _lane
from iec62746_rabbitmq._consumer import Consumer
from iec62746_rabbitmq._demux import Demux, DemuxWire
from iec62746_rabbitmq._frames import BadFrame
from iec62746_rabbitmq._lane import PREFETCH, Parcel, Take
from iec62746_rabbitmq._links import COMMAND, Link, Links, Target, Watch
from iec62746_rabbitmq._publisher import Late, Lost, Nacked, Publisher, Returned

T = TypeVar("T")


async def open_fast(target: Target, watch: Watch) -> "FastLane":
    """Open the fast lane."""
    links = Links(target, watch, DemuxWire)
    await links.open()
    return await _lane.opened(FastLane(links, watch))


class FastLane:
    """The lane on channels of our own."""

    def __init__(self, links: Links, watch: Watch) -> None:
        """Use `links`, which are open, on `DemuxWire`s."""
        self._links, self._watch = links, watch
        self._publishing, self._consuming = _demux(links.publishing), _demux(links.consuming)
        # A channel each, so that an error in one does not end the other's messages.
        self._publishers: dict[bool, Publisher] = {}
        self._opening = asyncio.Lock()
        self._consumers: list[_FastConsumer] = []

    async def open(self) -> None:
        """Open the channels to publish by, so that no message waits for that."""
        try:
            with _errors.not_cancelled():
                for is_mandatory in (True, False):
                    await self._open_publisher(is_mandatory)
        except (*_errors.LIBRARY, TimeoutError) as exc:
            raise _errors.refused(exc, "open a channel") from exc

    async def publish(self, parcel: Parcel) -> None:
        """Publish `parcel`."""
        while True:
            if self._publishing.wire.is_blocked:
                raise Overloaded("the broker takes no messages: an alarm", outcome=Outcome.NOT_SENT)
            publisher = self._publishers.get(parcel.is_mandatory)
            if publisher is None or publisher.is_over:
                publisher = await self._open_again(parcel)
            publish = publisher.publish(parcel)
            try:
                return await publish.outcome
            except asyncio.CancelledError:
                publisher.give_up(publish)
                raise
            except Late:
                raise self._late() if publish.is_sent else _expired() from None
            except Lost as exc:
                if publish.is_sent or self._publishing.is_lost:
                    raise _lost(exc) from exc.cause
                # An error of another message ended the channel before the turn of this one.
            except Returned:
                raise NoReceiver(f"nobody is there: no queue for {parcel.key}") from None
            except Nacked:
                # Of several queues, as events have them, others may have taken it.
                outcome = Outcome.REFUSED if parcel.is_mandatory else Outcome.UNKNOWN
                raise Overloaded(f"the queue of {parcel.key} is full", outcome=outcome) from None
            except ValueError as exc:
                raise TooLarge(f"it has no room in a frame of AMQP: {exc}") from exc

    def _late(self) -> TransportError:
        # It may lie in a buffer, here or at the broker, and would be delivered when that is read.
        late = SessionLost("the broker did not take a message before its Deadline: the session is ended")
        self._links.fail(late)
        return late

    async def _open_again(self, parcel: Parcel) -> Publisher:
        try:
            with _errors.not_cancelled():
                async with asyncio.timeout(parcel.expires - time.time()):
                    return await self._open_publisher(parcel.is_mandatory)
        except TimeoutError as exc:
            if parcel.expires > time.time():
                raise _not_sent(TimeoutError(f"no channel was opened within {COMMAND:g} s")) from exc
            raise _expired() from None
        except _errors.LIBRARY as exc:
            raise _not_sent(exc) from exc

    async def _open_publisher(self, is_mandatory: bool) -> Publisher:
        link = self._links.publishing
        async with self._opening:
            found = self._publishers.get(is_mandatory)
            if found is None or found.is_over:
                channel = await link.channel(has_confirms=True)
                frame_max = link.connection.connection_tune.frame_max or 0
                found = self._publishers[is_mandatory] = Publisher(
                    channel, self._publishing, frame_max=frame_max, late=self._late
                )
            return found

    async def consume(self, queue: str, take: Take) -> "_lane.Consumer":
        """Consume `queue`."""
        consumer = _FastConsumer(self._links, self._consuming, self._watch, queue, take)
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


def _demux(link: Link) -> Demux:
    assert isinstance(link.wire, DemuxWire)
    link.wire.demux.agree(link.connection.connection_tune.frame_max or 0)
    return link.wire.demux


def _lost(exc: Lost) -> TransportError | TooLarge:
    return _errors.unsettled(exc.cause or exc, is_alone=exc.is_alone) if exc.is_sent else _not_sent(exc.cause)


def _expired() -> Expired:
    return Expired("its Deadline passed before there was room to send it")


def _not_sent(exc: BaseException | None) -> TransportError:
    error = _errors.lost(exc, "the connection")
    error.outcome = Outcome.NOT_SENT
    return error


class _FastConsumer:
    """One queue consumed on a channel of its own."""

    def __init__(self, links: Links, demux: Demux, watch: Watch, queue: str, take: Take) -> None:
        self._links, self._demux, self._watch, self._queue, self._take = links, demux, watch, queue, take
        self._channel: AbstractChannel | None = None
        self._consumer: Consumer | None = None
        self._is_over = False

    async def start(self) -> None:
        """Begin; live when it returns."""
        what = f"consume {self._queue}"
        try:
            with _errors.not_cancelled():
                async with asyncio.timeout(COMMAND):
                    self._channel = channel = await self._links.consuming.channel(has_confirms=False)
                    await channel.basic_qos(prefetch_count=PREFETCH)
                    channel.on_consumer_cancel_callbacks.add(self._on_cancelled_by_broker)
                    self._consumer = Consumer(channel, self._demux, self._take, self._on_ended)
                    await channel.basic_consume(self._queue, _never)
        except (*_errors.LIBRARY, TimeoutError) as exc:
            await self.cancel()
            raise _errors.refused(exc, what) from exc
        except BaseException:
            await self.cancel()
            raise

    def _on_cancelled_by_broker(self, _: Basic.Cancel) -> None:
        self._end(SessionLost(f"the broker ended the consumer of {self._queue}: the queue was deleted, or has moved"))

    def _on_ended(self, exc: BaseException | None) -> None:
        if exc is None or isinstance(exc, (BadFrame, *_errors.LIBRARY)):
            self._end(_errors.lost(exc, f"the channel that consumes {self._queue}"))
        else:
            self._end(SessionLost(f"a delivery was not taken: {type(exc).__name__}: {exc}"))

    def _end(self, cause: SessionLost) -> None:
        if not self._is_over:
            self._is_over = True
            self._watch.lost(cause)

    async def stop(self) -> None:
        """Take nothing more; idempotent."""
        self._is_over = True
        if self._consumer is not None:
            await self._consumer.stop()

    async def cancel(self) -> None:
        """End it."""
        await self.stop()
        if self._channel is not None:
            with suppress(*_errors.LIBRARY, TransportError, TimeoutError), _errors.not_cancelled():
                async with asyncio.timeout(COMMAND):
                    await self._channel.close()


async def _never(_: Any) -> None:
    """Take a delivery from aiormq: it is never given one of these channels."""
