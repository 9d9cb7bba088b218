"""Keeps a session alive and pumps it through the exchange (62746-3, 5.1: the connection stays open)."""

import asyncio
import copy
import logging
import random
import time
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import replace
from typing import Any, Never

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, wait_random_exponential

from iec62746._ids import session_name
from iec62746._watcher import Watcher, ending
from iec62746.address import Address, Inbox, Node, Presence
from iec62746.errors import (
    AuthenticationFailed,
    Iec62746Error,
    LocalError,
    Outcome,
    Overloaded,
    PermissionDenied,
    SessionLost,
    Superseded,
    TransportError,
    Unreachable,
)
from iec62746.exchange import Exchange, Output
from iec62746.outputs import Notice, Send, SessionSuperseded, What, cut
from iec62746.roster import Changed, State
from iec62746.transport import Config, Delivery, Outgoing, ReplyTo, Session, Transport

log = logging.getLogger(__name__)

RETRY_FIRST = 0.1
"""Seconds: the upper end of the first random pause before a session is opened again."""
RETRY_MOST = 10.0
"""Seconds: the upper end of every later one, doubled up to this; it starts anew after a session that lasted as long."""
REANNOUNCE = 1.0
"""Seconds in which at most one announcement is made because somebody came."""
CLOCK_PUT = 1.0
"""Seconds by which the clock must have left the time of the loop to count as put: less is its slewing."""
GOODBYE = 2.0
"""Seconds that saying goodbye, and then closing the session, may each take."""

FINAL = (AuthenticationFailed, PermissionDenied, Superseded, LocalError)
"""What trying again cannot heal."""


class Connection:
    """One party's connection to its communication server: `run` opens a new session whenever one is lost.

    `connected` is called when a session is open, subscribed and announced; `lost` with what ended it, or ended the
    connection for good; `output` with each output of the exchange that is not to be sent.
    """

    def __init__(
        self,
        exchange: Exchange,
        transport: Transport,
        config: Config,
        nodes: Iterable[str],
        *,
        connected: Callable[[], None],
        lost: Callable[[Iec62746Error], None],
        output: Callable[[Output], None],
        watcher: Watcher | None = None,
    ) -> None:
        """Prepare to connect `exchange` by `transport`, subscribed to `nodes`."""
        self._exchange, self._transport, self._config, self._nodes = exchange, transport, config, tuple(nodes)
        self._party, self._tries, self._was_open = config.party, 0, False
        self._tell_connected, self._tell_lost, self._output = connected, lost, output
        self._watcher = watcher
        self._session: Session | None = None
        self._lost: asyncio.Future[Iec62746Error] | None = None
        self._group: asyncio.TaskGroup | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._somebody_came = asyncio.Event()
        self._has_heard_vtn = False
        self._loop = asyncio.get_running_loop()
        # How far the clock is ahead of the time of the loop.
        self._ahead = time.time() - self._loop.time()
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = float("inf")
        self._state, self._reason = State.ONLINE, ""
        self.trouble: Iec62746Error | None = None
        """What keeps it from being open."""
        self.final: Iec62746Error | None = None
        """What ended it for good."""
        self.is_open = False
        """True while there is a session that is subscribed and announced."""
        self.is_blocked = False
        """True while the communication server takes no messages."""

    # ---------------------------------------------------------------- the life of a session

    async def run(self) -> None:
        """Open sessions, one after another, until cancelled, or until it cannot heal: then `final` says why."""
        retrying = AsyncRetrying(
            sleep=asyncio.sleep,
            retry=retry_if_exception(lambda exc: isinstance(exc, TransportError) and not isinstance(exc, FINAL)),
            wait=wait_random_exponential(multiplier=RETRY_FIRST, max=RETRY_MOST),
            before_sleep=self._tell_pause,
        )
        try:
            async for attempt in retrying:
                with attempt:
                    await self._live(attempt.retry_state)
        except FINAL as exc:
            self.final = self.trouble = exc
            self._tell_lost(exc)
        finally:
            self._disarm()

    def _tell_pause(self, state: RetryCallState) -> None:
        log.warning("%s: no connection (try %d): %s", self._party, state.attempt_number, self.trouble)

    async def _live(self, state: RetryCallState) -> Never:
        """Live one session, and raise what ended it."""
        self._lost = self._loop.create_future()
        began = self._loop.time()
        cause: Iec62746Error = SessionLost("the connection was closed")
        was_open = False
        try:
            async with asyncio.TaskGroup() as self._group:
                try:
                    cause = await self._until_lost(self._lost)
                    was_open = self.is_open
                finally:
                    # What is added to a group that ends is not ended with it.
                    self._group = None
                    self._end_tasks()
        finally:
            self.trouble = cause
            await self._end(cause)
        if was_open and self._loop.time() - began > RETRY_MOST:
            state.attempt_number = 1
        if was_open and not isinstance(cause, FINAL):
            self._tell_lost(cause)
        raise cause

    async def _until_lost(self, lost: "asyncio.Future[Iec62746Error]") -> Iec62746Error:
        # Of several URLs each gets its share, so that one that does not answer leaves time for the others.
        limit, urls = self._exchange.domain.limits.set_up, len(self._config.urls)
        try:
            async with asyncio.timeout(limit / urls):
                await self._set_up(_Watch(self, lost))
        except TimeoutError:
            share = "" if urls == 1 else f" for {urls} URLs"
            return Unreachable(
                f"not connected, authenticated and subscribed within {limit / urls:g} s (limit set_up{share})"
            )
        except (TransportError, LocalError) as exc:
            return exc
        except Exception as exc:
            if not self._was_open:
                raise  # who writes a transport wants to see it at once
            return self._breakdown(exc)
        if lost.done():
            return lost.result()
        self.is_open, self._was_open, self.trouble = True, True, None
        self._tell_connected()
        self._later(self._beat())
        self._ask_current()
        return await lost

    async def _set_up(self, watch: "_Watch") -> None:
        """Open, subscribe and announce (62746-3, 5.1)."""
        name, now = session_name(), self.now()
        self._exchange.opened(name, now)
        self._has_heard_vtn = False
        config = replace(self._config, urls=self._urls(), session=name, will=self._exchange.will(now))
        self._tries += 1
        self._session = session = await self._transport.open(config, watch)
        for address in self._addresses():
            await session.subscribe(address, watch.deliver)
        await self._announce()

    def _urls(self) -> tuple[str, ...]:
        """Return the URLs, at each try with another one first: fail-over."""
        urls = self._config.urls
        first = self._tries % len(urls)
        return urls[first:] + urls[:first]

    def _breakdown(self, error: Exception) -> SessionLost:
        """Return what no transport may raise as what it may: the session is lost, and another is opened."""
        name = type(self._transport).__name__
        log.error("%s: the transport %s broke down: please report this to its maker", self._party, name, exc_info=error)
        cause = SessionLost(f"the transport {name} broke down: {type(error).__name__}: {error}")
        cause.__cause__ = error
        return cause

    def _addresses(self) -> list[Address]:
        party, vtn = self._party, self._config.vtn
        if self._exchange.is_vtn:
            return [Inbox(party), Presence()]
        return [Inbox(party), Presence(vtn), Presence(party), *map(Node, self._nodes)]

    async def announce(self, state: State, reason: str) -> None:
        """Announce `state` now, and at each heartbeat from now on (62746-3, 5.5.5)."""
        send = self._exchange.announce(state, self.now(), reason)
        self._state, self._reason = state, reason
        if self._session is not None and self.is_open:
            await self._send_announcement(send)

    async def _announce(self) -> None:
        await self._send_announcement(self._exchange.announce(self._state, self.now(), self._reason))

    async def _send_announcement(self, send: Send) -> None:
        work = self.send(send.to, send.message)
        await (work if self._watcher is None else ending(self._watcher.announced, work))

    async def _beat(self) -> None:
        """Announce at each interval, and soon after somebody came who has not heard us yet (62746-3, 5.5.5)."""
        interval = self._exchange.domain.limits.presence
        while self._session is not None:
            try:
                async with asyncio.timeout(interval):
                    await self._somebody_came.wait()
                # One announcement for all who come in the same moment; and not all VENs at once.
                await asyncio.sleep(REANNOUNCE * (1.0 if self._exchange.is_vtn else random.random()))
            except TimeoutError:
                pass
            self._somebody_came.clear()
            try:
                await self._announce()
            except Iec62746Error as exc:
                log.info("%s could not announce itself: %s", self._party, exc)

    async def _end(self, cause: Iec62746Error) -> None:
        """Close the session, and end what was under way in it: its replies cannot come any more."""
        self.is_open, self.is_blocked, self._group = False, False, None
        session, self._session = self._session, None
        self._dispatch(self._exchange.lost(cause if isinstance(cause, TransportError) else SessionLost(str(cause))))
        if session is not None:
            try:
                async with asyncio.timeout(GOODBYE):
                    await session.aclose()
            except TimeoutError:
                log.warning("%s: the session did not close within %g s", self._party, GOODBYE)
            except Exception as exc:
                self._breakdown(exc)

    def _end_tasks(self) -> None:
        for task in self._tasks:
            task.cancel()

    async def say_goodbye(self) -> None:
        """Announce that we are going, if there is a session."""
        if self._session is None or not self.is_open:
            return
        try:
            async with asyncio.timeout(GOODBYE):
                await self.announce(State.OFFLINE, "closed")
        except (TimeoutError, Iec62746Error) as exc:
            log.info("%s could not say goodbye: %s", self._party, str(exc) or f"not within {GOODBYE:g} s")

    # ---------------------------------------------------------------- what goes out

    def check(self) -> None:
        """Raise what keeps it from being open, if anything does."""
        if not self.is_open:
            raise self._absence()

    async def send(self, to: Address | ReplyTo, message: Outgoing) -> None:
        """Send `message`; raises `TransportError`, or what ended the connection for good."""
        session = self._session
        if session is None:
            raise self._absence()
        try:
            await session.send(to, message)
        except Iec62746Error:
            raise
        except Exception as exc:
            cause = self._breakdown(exc)
            if session is self._session:
                self._end_by(cause)
            raise cause from exc

    def _absence(self) -> Iec62746Error:
        if self.final is not None:
            return copy.copy(self.final)
        return Unreachable(f"there is no connection, it is being opened again: {self.trouble or 'for the first time'}")

    def send_later(self, send: Send) -> None:
        """Send without waiting: the core's own answers. More than the limit `waiting` at once are not sent."""
        most = self._exchange.domain.limits.waiting
        if self._session is None or self._group is None:
            self._bounce(send, self._absence())
        elif len(self._tasks) >= most:
            self._bounce(send, Overloaded(f"{most} are under way (limit waiting)", outcome=Outcome.NOT_SENT))
        else:
            self._later(self._send_quietly(send))

    async def _send_quietly(self, send: Send) -> None:
        try:
            await self.send(send.to, send.message)
        except Iec62746Error as exc:
            self._bounce(send, exc)

    def _bounce(self, send: Send, cause: Iec62746Error) -> None:
        if send.asker:
            self._output(Notice(What.UNANSWERED, send.asker, cut(f"the answer could not be sent: {cause}")))
            return
        log.info("%s could not send to %s: %s", self._party, send.to, cause)
        if isinstance(cause, TransportError):
            self.bounced(send.message.correlation_id, cause)

    def _later(self, work: Coroutine[Any, Any, None]) -> None:
        """Run `work` for as long as the session lives."""
        if self._group is None:
            work.close()
            return
        task = self._group.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _ask_current(self) -> None:
        """Ask for what was published before we came, or while the VTN was away (62746-3, 7)."""
        for send in self._exchange.current_requests(self._nodes, self.now()):
            self.send_later(send)
        self._arm()

    # ---------------------------------------------------------------- what comes in

    def receive(self, delivery: Delivery) -> None:
        """Take one delivery; what breaks us is told and dropped, or it would come again and again."""
        try:
            self._dispatch(self._exchange.receive(delivery, self.now()))
        except Exception as exc:
            log.error("%s: a delivery broke the exchange: please report this", self._party, exc_info=exc)
            reason = f"it broke the exchange: {type(exc).__name__}"
            self._output(Notice(What.BROKE_US, delivery.sender or "?", reason))
        if self._timer is None or type(delivery.address) is Presence:
            self._arm()
            if self._watcher is not None and type(delivery.address) is Presence:
                self._watcher.heard(delivery.sender)

    def _dispatch(self, outputs: Iterable[Output]) -> None:
        for output in outputs:
            if type(output) is Send:
                self.send_later(output)
            elif type(output) is SessionSuperseded:
                self._end_by(self._supersession(output))
            else:
                if type(output) is Changed:
                    self._see(output)
                self._output(output)

    def _see(self, changed: Changed) -> None:
        """Show ourselves to who came; a VTN that came, or came back, is asked for the current values."""
        presence = changed.presence
        if presence.state is not State.ONLINE:
            return
        self._somebody_came.set()
        if presence.party == self._config.vtn:
            # One that was there long before us has been asked when we came.
            margin = self._exchange.domain.limits.clock_skew * 1000
            if self._has_heard_vtn or presence.epoch + margin > self._exchange.epoch:
                self._ask_current()
            self._has_heard_vtn = True

    def _supersession(self, output: SessionSuperseded) -> TransportError:
        if not output.has_ended:
            return Superseded(f"a newer session of {self._party}, {output.session}, is live: this one ends")
        return SessionLost(
            f"a session of {self._party} that has ended, {output.session}, counts as newer, its clock was ahead:"
            " ours is opened again, as the newest"
        )

    def _end_by(self, cause: TransportError) -> None:
        if self._lost is not None and not self._lost.done():
            self._lost.set_result(cause)

    def gone(self, party: str) -> None:
        """Take the transport's evidence."""
        self._dispatch(self._exchange.gone(party, self.now()))

    def bounced(self, correlation_id: str, cause: TransportError) -> None:
        """Take what was returned."""
        self._dispatch(self._exchange.bounced(correlation_id, cause))

    # ---------------------------------------------------------------- time

    def now(self) -> float:
        """Return the time by the clock, in seconds since 1970; if it was put meanwhile, the exchange is told."""
        now = time.time()
        by = now - self._loop.time() - self._ahead
        if not -CLOCK_PUT < by < CLOCK_PUT:
            self._on_clock_put(by)
        return now

    def _on_clock_put(self, by: float) -> None:
        log.warning("%s: the clock was put %s by %.1f s", self._party, "forward" if by > 0 else "back", abs(by))
        self._ahead += by
        self._exchange.clock_put(by)
        self._disarm()
        self._arm()

    def wake_at(self, at: float) -> None:
        """See to it that the exchange is told the time at `at`."""
        if at < self._timer_at:
            self._disarm()
            self._timer_at = at
            self._timer = self._loop.call_later(max(at - time.time(), 0.0), self._on_timer)

    def _arm(self) -> None:
        at = self._exchange.next()
        if at is not None:
            self.wake_at(at)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._timer_at = None, float("inf")

    def _on_timer(self) -> None:
        self._timer, self._timer_at = None, float("inf")
        self._dispatch(self._exchange.expire(self.now()))
        self._arm()


class _Watch:
    """The core, as one session sees it: what a session says after it was lost is not heard any more."""

    def __init__(self, connection: Connection, lost: "asyncio.Future[Iec62746Error]") -> None:
        self._connection, self._lost = connection, lost

    async def deliver(self, delivery: Delivery) -> None:
        if self._lost.done():
            raise SessionLost("the session is over: this is for the next one")
        self._connection.receive(delivery)

    def lost(self, cause: TransportError) -> None:
        if not self._lost.done():
            self._lost.set_result(cause)

    def gone(self, party: str) -> None:
        if not self._lost.done():
            self._connection.gone(party)

    def bounced(self, correlation_id: str, cause: TransportError) -> None:
        if not self._lost.done():
            self._connection.bounced(correlation_id, cause)

    def blocked(self, is_blocked: bool) -> None:
        if not self._lost.done():
            self._connection.is_blocked = is_blocked
            log.warning("the communication server takes %s", "no more" if is_blocked else "messages again")
