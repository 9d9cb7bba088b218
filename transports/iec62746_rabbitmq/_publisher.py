"""Publishes on one channel of the fast lane: a window, publisher confirms, returns, and one write for many."""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from itertools import takewhile

from aiormq.abc import AbstractChannel

from iec62746_rabbitmq._demux import Demux
from iec62746_rabbitmq._frames import (
    ACK,
    BODY,
    CHANNEL_CLOSE,
    HEADER,
    METHOD,
    NACK,
    RETURN,
    Assembler,
    BadFrame,
    Content,
    Decoder,
    Encoder,
)
from iec62746_rabbitmq._lane import CONTENT_TYPE, WINDOW, Parcel

WINDOW_OCTETS = 8_388_608
"""Octets of bodies that may be unconfirmed; one that is larger goes alone."""


class Returned(Exception):
    """Basic.Return: nobody takes it; code and text are the broker's."""


class Nacked(Exception):
    """Basic.Nack: the broker, or the queue, does not take it."""


class Lost(Exception):
    """The channel or its connection ended.

    `is_sent` is False if nothing of the message had been written, `is_alone` True if no other was unanswered.
    """

    def __init__(self, cause: BaseException | None, *, is_sent: bool, is_alone: bool = False) -> None:
        """Say why, and whether it may have been taken."""
        super().__init__(str(cause) if cause is not None else "the channel was closed")
        self.cause, self.is_sent, self.is_alone = cause, is_sent, is_alone


class Late(Exception):
    """The Deadline passed, and the broker had not answered."""


class Publish:
    """One message on its way: `outcome` is done when the broker has answered."""

    __slots__ = ("is_sent", "outcome", "parcel")

    def __init__(self, parcel: Parcel, outcome: "asyncio.Future[None]") -> None:
        self.parcel, self.outcome, self.is_sent = parcel, outcome, False


class Publisher:
    """The publishing side of one channel that was opened with publisher confirms, and that nobody else uses.

    Messages go in the order in which they were given. Nothing is written while the connection is blocked.
    """

    def __init__(
        self,
        channel: AbstractChannel,
        demux: Demux,
        *,
        frame_max: int,
        late: Callable[[], object],
        window: int = WINDOW,
        window_octets: int = WINDOW_OCTETS,
    ) -> None:
        """Take over the content and confirms of `channel`.

        `late` is called when the broker has not answered a message by its Deadline whose caller has given up.
        """
        self._loop = asyncio.get_running_loop()
        self._demux, self._late, self._window, self._window_octets = demux, late, window, window_octets
        self._encoder = Encoder(channel.number, frame_max)
        self._decoder, self._assembler = Decoder(), Assembler(keeps_bodies=False)
        self._waiting: deque[Publish] = deque()
        self._sent: dict[int, Publish] = {}
        self._returned: dict[int, Returned] = {}
        self._octets = self._tag = self._given_up = 0
        self._out: list[bytes] = []
        self._cause: BaseException | None = None
        self._alarm: asyncio.TimerHandle | None = None
        self._alarm_at = float("inf")
        self._is_over = self._is_silent = False
        self._number = channel.number
        demux.channels[channel.number] = self
        channel.closing.add_done_callback(self._on_closing)

    @property
    def is_over(self) -> bool:
        """True if the channel has ended."""
        return self._is_over

    @property
    def unconfirmed(self) -> int:
        """How many messages have been written and not been answered by the broker."""
        return len(self._sent)

    @property
    def waiting(self) -> int:
        """How many messages wait for a place in the window."""
        return len(self._waiting)

    # ---------------------------------------------------------------- out

    def publish(self, parcel: Parcel) -> Publish:
        """Send `parcel`, or queue it for its turn; its `outcome` ends None, or in one of the errors above.

        `ValueError` for what cannot be encoded. A caller that gives up cancels the outcome: before its turn nothing
        is sent, afterwards it keeps its place until the broker answers.
        """
        publish = Publish(parcel, self._loop.create_future())
        if self._is_over:
            publish.outcome.set_exception(Lost(self._cause, is_sent=False))
            return publish
        if parcel.expires < self._alarm_at:
            self._set_alarm(parcel.expires)
        if self._waiting or not self._has_room(len(parcel.body)):
            self._waiting.append(publish)
        else:
            self._write(publish)
        return publish

    def _has_room(self, octets: int) -> bool:
        if self._demux.wire.is_blocked or self._is_silent:
            return False
        sent = len(self._sent)
        return not sent or (sent < self._window and self._octets + octets <= self._window_octets)

    def _write(self, publish: Publish) -> None:
        """Write `publish`: at once if it is alone, else at the end of this loop turn, all of a turn in one write."""
        # A Basic.Return names the message only by its message_id: that is the delivery tag.
        tag = self._tag + 1
        try:
            frames = self._encoded(publish.parcel, str(tag))
        except ValueError as exc:
            publish.outcome.set_exception(exc)
            return
        self._tag, self._sent[tag], publish.is_sent = tag, publish, True
        self._octets += len(publish.parcel.body)
        if len(self._sent) == 1:
            self._demux.transport.write(frames)
            return
        if not self._out:
            self._loop.call_soon(self._flush)
        self._out.append(frames)

    def _encoded(self, parcel: Parcel, message_id: str) -> bytes:
        encoder = self._encoder
        block = encoder.properties(
            message_id,
            correlation_id=parcel.correlation_id,
            reply_to=parcel.reply_to,
            expiration=parcel.expiration,
            user_id=parcel.user_id,
            content_type=CONTENT_TYPE,
            headers=parcel.headers,
        )
        return encoder.publish(parcel.exchange, parcel.key, parcel.body, block, mandatory=parcel.is_mandatory)

    def _fall_silent(self) -> None:
        """Write no more: what comes behind aiormq's Channel.CloseOk would end the whole connection."""
        self._is_silent = True
        if self._out:
            for publish in list(self._sent.values())[-len(self._out) :]:
                publish.is_sent = False
            self._out.clear()

    def _flush(self) -> None:
        out, self._out = self._out, []
        if out:  # else the channel has ended meanwhile
            self._demux.transport.write(b"".join(out))

    def _let_in(self) -> None:
        """Write those who wait, the first first, as far as there is room."""
        waiting = self._waiting
        while waiting and (waiting[0].outcome.done() or self._has_room(len(waiting[0].parcel.body))):
            publish = waiting.popleft()
            if not publish.outcome.done():  # its caller may have given up
                self._write(publish)

    # ---------------------------------------------------------------- Deadlines

    def _set_alarm(self, at: float) -> None:
        """Look at `at` who is late: one timer for all, since one for each would cost more than its frames."""
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm_at = at
        self._alarm = self._loop.call_later(max(at - time.time(), 0.0), self._end_late)

    def _end_late(self) -> None:
        self._alarm, self._alarm_at = None, float("inf")
        now, first, is_late = time.time(), float("inf"), False
        for publish in (*self._sent.values(), *self._waiting):
            if publish.parcel.expires > now:
                first = min(first, publish.parcel.expires)
            elif not publish.outcome.done():
                publish.outcome.set_exception(Late())
            elif publish.is_sent:
                is_late = True
        self._forget_given_up()
        if is_late:
            self._late()
        if first < float("inf"):
            self._set_alarm(first)

    def give_up(self, publish: Publish) -> None:
        """Take that the caller of `publish` was cancelled."""
        if not publish.is_sent:
            self._given_up += 1
            if 2 * self._given_up > len(self._waiting):
                self._forget_given_up()

    def _forget_given_up(self) -> None:
        self._given_up = 0
        self._waiting = deque(one for one in self._waiting if not one.outcome.done())

    def unblocked(self) -> None:
        """Go on."""
        self._let_in()

    # ---------------------------------------------------------------- what the broker answers

    def frame(self, kind: int, payload: bytes) -> bool:
        """Take a confirm or a return; all other methods are aiormq's."""
        if kind == METHOD:
            name = payload[:4]
            if name == ACK or name == NACK:
                self._confirm(*self._decoder.confirmed(payload), is_nack=name == NACK)
            elif name == RETURN:
                self._assembler.begin(payload)
            else:
                if name == CHANNEL_CLOSE:
                    self._fall_silent()
                return False
        elif kind == HEADER:
            self._take_return(self._assembler.header(payload))
        elif kind == BODY:
            self._take_return(self._assembler.part(payload))
        else:
            return False
        return True

    def _take_return(self, content: Content | None) -> None:
        """Note why a message came back; its confirm comes right behind."""
        if content is None:
            return
        code, text = self._decoder.returned(content.method)
        try:
            tag = int(self._decoder.properties(content.head).message_id)
        except ValueError as exc:
            raise BadFrame("a message came back that is none of ours") from exc
        if tag in self._sent:
            self._returned[tag] = Returned(f"{code} {text}")

    def _confirm(self, tag: int, multiple: bool, *, is_nack: bool) -> None:
        tags = list(takewhile(tag.__ge__, self._sent)) if multiple else (tag,)
        for one in tags:
            publish = self._sent.pop(one, None)
            if publish is None:
                raise BadFrame(f"a confirm of {one}, which is not unconfirmed")
            self._octets -= len(publish.parcel.body)
            error: Exception | None = self._returned.pop(one, None) or (Nacked() if is_nack else None)
            if not publish.outcome.done():
                publish.outcome.set_exception(error) if error is not None else publish.outcome.set_result(None)
        if self._waiting:
            self._let_in()

    # ---------------------------------------------------------------- the end

    def _on_closing(self, closing: "asyncio.Future[None]") -> None:
        self.lost(None if closing.cancelled() else closing.exception())

    def lost(self, cause: BaseException | None) -> None:
        """End every message that is not answered: what was written may have been taken."""
        if self._is_over:
            return
        self._fall_silent()
        self._is_over, self._cause = True, cause
        self._demux.drop(self._number, self)
        unanswered = [*self._sent.values(), *self._waiting]
        is_alone = 1 == sum(publish.is_sent for publish in unanswered)
        self._sent.clear()
        self._waiting.clear()
        self._returned.clear()
        if self._alarm is not None:
            self._alarm.cancel()
        for publish in unanswered:
            if not publish.outcome.done():
                publish.outcome.set_exception(Lost(cause, is_sent=publish.is_sent, is_alone=is_alone))
