"""Consumes one queue in the fast lane: on a channel of its own, with acks for many at once."""

import asyncio
from collections import deque
from collections.abc import Callable

from aiormq.abc import AbstractChannel

from iec62746_rabbitmq._demux import Demux
from iec62746_rabbitmq._frames import (
    BODY,
    CHANNEL_CLOSE,
    DELIVER,
    HEADER,
    METHOD,
    UNREADABLE,
    Assembler,
    BadFrame,
    Content,
    Decoder,
    Delivered,
    Encoder,
)
from iec62746_rabbitmq._lane import ACK_EACH, TURN, Incoming, Take

WAITING_OCTETS = 8_388_608
"""Octets of bodies that may wait; then the connection is not read until half of them are gone."""
HELD = 10.0
"""Seconds for which it is not read; then it is ended, since a dead peer would not be noticed meanwhile."""
ACK_WITHIN = 0.02
"""Seconds in which what was taken is acked, where fewer than `ACK_EACH` are: a write for each would cost the most."""


class TooSlow(Exception):
    """Deliveries were not taken."""


class Consumer:
    """The consuming side of one channel that nobody else uses; `take` is called for one delivery after another.

    A delivery is acked after `take` returned. `ended` is told once what ended it: what `take` raised, or what closed
    the channel or its connection. How many wait is bounded by the channel's prefetch.
    """

    def __init__(
        self,
        channel: AbstractChannel,
        demux: Demux,
        take: Take,
        ended: Callable[[BaseException | None], None],
        *,
        octets: int = WAITING_OCTETS,
        held: float = HELD,
    ) -> None:
        """Take over the deliveries of `channel`, before its first Basic.Consume."""
        self._loop = asyncio.get_running_loop()
        self._demux, self._take, self._ended, self._number = demux, take, ended, channel.number
        self._most_octets, self._held = octets, held
        self._encoder, self._decoder, self._assembler = Encoder(channel.number, 0), Decoder(), Assembler()
        self._waiting: deque[tuple[Delivered, Content]] = deque()
        self._octets = self._taken = self._acked = 0
        self._arrived: asyncio.Future[None] | None = None
        self._holding: asyncio.TimerHandle | None = None
        self._acking: asyncio.TimerHandle | None = None
        self._is_over = self._is_silent = False
        demux.channels[channel.number] = self
        channel.closing.add_done_callback(self._on_closing)
        self._pump = self._loop.create_task(self._deliver_all(), name=f"deliveries of channel {channel.number}")
        self._pump.add_done_callback(self._on_pump_done)

    @property
    def waiting(self) -> int:
        """How many deliveries wait."""
        return len(self._waiting)

    # ---------------------------------------------------------------- in

    def frame(self, kind: int, payload: bytes) -> bool:
        """Take a delivery, or a part of it; all other methods are aiormq's."""
        if kind == METHOD:
            if payload[:4] != DELIVER:
                if self._assembler.is_amid:
                    raise BadFrame("a method came where the content of another was expected")
                if payload[:4] == CHANNEL_CLOSE:
                    # An ack behind aiormq's Channel.CloseOk would end the whole connection.
                    self._is_silent = True
                return False
            self._assembler.begin(payload)
            return True
        if kind == HEADER:
            content = self._assembler.header(payload)
        elif kind == BODY:
            content = self._assembler.part(payload)
        else:
            return False
        if content is not None and not self._is_over:
            self._put(content)
        return True

    def _put(self, content: Content) -> None:
        self._waiting.append((self._decoder.deliver(content.method), content))
        self._octets += len(content.body)
        if self._octets >= self._most_octets and self._holding is None:
            self._holding = self._loop.call_later(self._held, self._end_slow)
            self._demux.hold(self)
        arrived = self._arrived
        if arrived is not None:
            self._arrived = None
            if not arrived.done():
                arrived.set_result(None)

    def _end_slow(self) -> None:
        self._demux.abort(TooSlow(f"{self._octets} octets of deliveries were not taken for {self._held:g} s"))

    def _release(self) -> None:
        if self._holding is not None:
            self._holding.cancel()
            self._holding = None
            self._demux.release(self)

    # ---------------------------------------------------------------- out

    async def _deliver_all(self) -> None:
        waiting = self._waiting
        while not self._is_over:
            for _ in range(min(len(waiting), TURN)):
                delivered, content = waiting.popleft()
                self._octets -= len(content.body)
                if self._holding is not None and 2 * self._octets <= self._most_octets:
                    self._release()
                await self._take(self._incoming(delivered, content))
                self._taken = delivered.tag
                if self._is_over:  # the delivery closed its own session
                    self._ack()
                    return
            if self._taken - self._acked >= ACK_EACH:
                self._ack()
            elif self._acking is None:
                self._acking = self._loop.call_later(ACK_WITHIN, self._ack_rest)
            if waiting:
                await asyncio.sleep(0)
            else:
                self._arrived = self._loop.create_future()
                await self._arrived

    def _incoming(self, delivered: Delivered, content: Content) -> Incoming:
        try:
            properties = self._decoder.properties(content.head)
        except ValueError:
            properties = UNREADABLE
        return Incoming(
            content.body,
            delivered.exchange,
            delivered.key,
            delivered.redelivered,
            properties.content_type,
            properties.correlation_id,
            properties.reply_to,
            properties.user_id,
            properties.headers,
        )

    def _ack_rest(self) -> None:
        self._acking = None
        if not self._is_over:
            self._ack()

    def _ack(self) -> None:
        """Ack what was taken: no other consumer has a delivery tag on this channel."""
        if self._taken > self._acked and not self._is_silent:
            self._acked = self._taken
            self._demux.transport.write(self._encoder.ack(self._taken))

    # ---------------------------------------------------------------- the end

    def unblocked(self) -> None:
        """Nothing that concerns a consumer."""

    def lost(self, cause: BaseException | None) -> None:
        """End, since the channel or its connection did."""
        self._demux.drop(self._number, self)
        self._end(cause)

    def _on_closing(self, closing: "asyncio.Future[None]") -> None:
        self.lost(None if closing.cancelled() else closing.exception())

    def _on_pump_done(self, pump: "asyncio.Task[None]") -> None:
        if not self._is_over and not self._demux.is_lost:
            self._ack()  # of what was taken before the one that was not
        self._end(None if pump.cancelled() else pump.exception())

    def _end(self, cause: BaseException | None) -> None:
        if not self._is_over:
            self._stop()
            self._pump.cancel()
            self._ended(cause)

    def _stop(self) -> None:
        self._is_over = True
        self._waiting.clear()
        self._octets = 0
        self._release()
        if self._acking is not None:
            self._acking.cancel()

    async def stop(self) -> None:
        """Deliver nothing more, and ack what was taken; the rest goes back when the channel closes. Idempotent."""
        if not self._is_over:
            self._stop()
            self._ack()
        if self._pump is not asyncio.current_task() and not self._pump.done():
            self._pump.cancel()
            await asyncio.wait([self._pump])
