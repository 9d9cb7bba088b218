"""Keeps a session alive and pumps it through the exchange (62746-3, 5.1: the connection stays open)."""

import asyncio
import logging
import random
import time
from collections.abc import Iterable
from dataclasses import replace
from typing import Protocol

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, wait_random_exponential

from iec62746._ids import session_name
from iec62746.address import Address, Inbox, Node, Presence
from iec62746.errors import (
    AuthenticationFailed,
    Closed,
    Iec62746Error,
    LocalError,
    PermissionDenied,
    SessionLost,
    Superseded,
    TransportError,
    Unreachable,
)
from iec62746.exchange import Exchange, Output
from iec62746.outputs import Send, SessionSuperseded
from iec62746.roster import Changed, State
from iec62746.transport import Config, Delivery, Outgoing, ReplyTo, Session, Transport

log = logging.getLogger(__name__)

RETRY_FIRST = 0.1
"""Seconds: the upper end of the first random pause before a session is opened again."""
RETRY_MOST = 10.0
"""Seconds: the upper end of every later one, doubled each time up to this."""
REANNOUNCE = 1.0
"""Seconds that pass at least between two announcements made because somebody came."""

_FINAL = (AuthenticationFailed, PermissionDenied, Superseded, LocalError)


class Application(Protocol):
    """What stands on a connection."""

    def output(self, output: Output) -> None:
        """Take what the exchange put out, but what is to be sent."""

    def connected(self) -> None:
        """The session is open, subscribed and announced."""

    def lost(self, cause: Iec62746Error, *, is_final: bool) -> None:
        """The session broke; if `is_final`, it will not come back."""


class Connection:
    """One party's connection to its communication server; opens a new session whenever one is lost."""

    def __init__(self, exchange: Exchange, transport: Transport, config: Config, nodes: Iterable[str], application: Application) -> None:
        """Prepare to connect `exchange` by `transport`, subscribed to `nodes`."""
        self._exchange, self._transport, self._config = exchange, transport, config
        self._nodes, self._application = tuple(nodes), application
        self._session: Session | None = None
        self._lost: asyncio.Future[TransportError] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = float("inf")
        self._sends: set[asyncio.Task[None]] = set()
        self._somebody_came = asyncio.Event()
        self.final: Iec62746Error | None = None
        self.is_blocked = False

    # ---------------------------------------------------------------- the life of a session

    async def run(self) -> None:
        """Open sessions, one after another, until cancelled or until it cannot heal: then `final` says why."""
        try:
            while True:
                cause = await self._live()
                self._end_session(cause)
                if isinstance(cause, _FINAL):
                    raise cause
        except _FINAL as exc:
            self.final = exc
            self._application.lost(exc, is_final=True)

    async def _live(self) -> TransportError:
        """Open a session, and return why it ended."""
        await self._open()
        if self._lost is None:
            raise Closed("closed while it was opened")
        self._application.connected()
        heartbeat = asyncio.create_task(self._beat(), name=f"heartbeat {self._config.party}")
        try:
            return await self._lost
        finally:
            heartbeat.cancel()

    async def _open(self) -> None:
        retrying = AsyncRetrying(
            retry=retry_if_exception(lambda exc: isinstance(exc, TransportError) and exc.is_retryable),
            wait=wait_random_exponential(multiplier=RETRY_FIRST, max=RETRY_MOST),
            before_sleep=self._tell_retry,
        )
        async for attempt in retrying:
            with attempt:
                await self._open_once()

    def _tell_retry(self, state: RetryCallState) -> None:
        cause = state.outcome.exception() if state.outcome is not None else None
        log.warning("%s cannot connect (try %d): %s", self._config.party, state.attempt_number, cause)

    async def _open_once(self) -> None:
        """Open, subscribe and announce within `set_up` seconds (62746-3, 5.1)."""
        limit = self._exchange.domain.limits.set_up
        try:
            async with asyncio.timeout(limit):
                await self._set_up()
        except TimeoutError:
            await self._drop()
            raise Unreachable(f"not connected, authenticated and subscribed within {limit:g} s (limit set_up)") from None
        except BaseException:
            await self._drop()
            raise

    async def _set_up(self) -> None:
        exchange, now = self._exchange, time.time()
        name = session_name()
        exchange.opened(name, now)
        self._lost = asyncio.get_running_loop().create_future()
        config = replace(self._config, session=name, will=exchange.will(now))
        session = self._session = await self._transport.open(config, _Watch(self, self._lost))
        for address in self._addresses():
            await session.subscribe(address, self._deliver)
        await self._announce(session, State.ONLINE)
        self._ask_current()
        self._arm()

    def _ask_current(self) -> None:
        """Ask for what was published before we came, or while the VTN was away (62746-3, 7)."""
        for send in self._exchange.current_requests(self._nodes, time.time()):
            self.send_later(send)

    def _addresses(self) -> list[Address]:
        party, vtn = self._config.party, self._config.vtn
        if self._exchange.is_vtn:
            return [Inbox(party), Presence()]
        return [Inbox(party), Presence(vtn), Presence(party), *map(Node, self._nodes)]

    async def _announce(self, session: Session, state: State, reason: str = "") -> None:
        send = self._exchange.announce(state, time.time(), reason)
        await session.send(send.to, send.message)

    async def _beat(self) -> None:
        """Announce at each interval, and soon after somebody came who has not heard us yet (62746-3, 5.5.5)."""
        interval = self._exchange.domain.limits.presence
        while True:
            self._somebody_came.clear()
            try:
                async with asyncio.timeout(interval):
                    await self._somebody_came.wait()
                # Together with everybody who comes in the same moment, and not all VENs at once.
                await asyncio.sleep(REANNOUNCE * (1.0 if self._exchange.is_vtn else random.random()))
            except TimeoutError:
                pass
            if self._session is not None:
                try:
                    await self._announce(self._session, State.ONLINE)
                except TransportError as exc:
                    log.info("%s could not announce itself: %s", self._config.party, exc)

    def _end_session(self, cause: TransportError) -> None:
        self._session = None
        self._dispatch(self._exchange.lost(cause))
        if not isinstance(cause, _FINAL):
            self._application.lost(cause, is_final=False)

    async def _drop(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            await session.aclose()

    async def aclose(self) -> None:
        """Say goodbye and close; idempotent."""
        if self._session is not None:
            try:
                await self._announce(self._session, State.OFFLINE, "closed")
            except TransportError as exc:
                log.info("%s could not say goodbye: %s", self._config.party, exc)
        for task in list(self._sends):
            task.cancel()
        self._disarm()
        await self._drop()
        self._dispatch(self._exchange.lost(SessionLost("the connection was closed")))

    @property
    def is_open(self) -> bool:
        """True while there is a session."""
        return self._session is not None

    # ---------------------------------------------------------------- what goes out

    async def send(self, to: Address | ReplyTo, message: Outgoing) -> None:
        """Send `message`; raises `TransportError`, or what ended the connection for good."""
        if self._session is None:
            if self.final is not None:
                raise self.final
            raise Unreachable("there is no connection: it is being opened again")
        await self._session.send(to, message)

    def send_later(self, send: Send) -> None:
        """Send without waiting: the core's own answers."""
        task = asyncio.create_task(self._send_quietly(send))
        self._sends.add(task)
        task.add_done_callback(self._sends.discard)

    async def _send_quietly(self, send: Send) -> None:
        try:
            await self.send(send.to, send.message)
        except Iec62746Error as exc:
            log.info("%s could not send to %s: %s", self._config.party, send.to, exc)
            if isinstance(exc, TransportError):
                self.bounced(send.message.correlation_id, exc)

    # ---------------------------------------------------------------- what comes in

    async def _deliver(self, delivery: Delivery) -> None:
        self._dispatch(self._exchange.receive(delivery, time.time()))
        if self._timer is None:
            self._arm()

    def _dispatch(self, outputs: Iterable[Output]) -> None:
        for output in outputs:
            if type(output) is Send:
                self.send_later(output)
            elif type(output) is SessionSuperseded:
                self._superseded(output.session)
            else:
                if type(output) is Changed and output.presence.state is State.ONLINE:
                    self._somebody_came.set()
                    if output.presence.party == self._config.vtn:
                        self._ask_current()
                self._application.output(output)

    def _superseded(self, session: str) -> None:
        if self._lost is not None and not self._lost.done():
            self._lost.set_result(Superseded(f"session {session} of {self._config.party} is newer: this one ends"))
            if self._session is not None:
                task = asyncio.create_task(self._session.aclose())
                self._sends.add(task)
                task.add_done_callback(self._sends.discard)

    def gone(self, party: str) -> None:
        """Take the transport's evidence."""
        self._dispatch(self._exchange.gone(party, time.time()))

    def bounced(self, correlation_id: str, cause: TransportError) -> None:
        """Take what was returned."""
        self._dispatch(self._exchange.bounced(correlation_id, cause))

    # ---------------------------------------------------------------- time

    def wake_at(self, at: float) -> None:
        """See to it that the exchange is told the time at `at`."""
        if at < self._timer_at:
            self._disarm()
            self._timer_at = at
            delay = max(at - time.time(), 0.0)
            self._timer = asyncio.get_running_loop().call_later(delay, self._on_timer)

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
        self._dispatch(self._exchange.expire(time.time()))
        self._arm()


class _Watch:
    """The observer of one session: what an earlier one says is not heard any more."""

    def __init__(self, connection: Connection, lost: "asyncio.Future[TransportError]") -> None:
        self._connection, self._lost = connection, lost

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
        self._connection.is_blocked = is_blocked


