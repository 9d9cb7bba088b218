"""One party in one domain: handlers in, requests and events out; VTN and VEN are façades of it (62746-3, 3.1.17)."""

import asyncio
import copy
import logging
import ssl
import time
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar, cast

from lxml import etree

from iec62746._handlers import AT_WORK, GRACE, Handlers, Listener, cancelled
from iec62746._ids import message_id
from iec62746._interrupts import interruptible
from iec62746._watcher import Load, Watcher, ending
from iec62746._work import Work
from iec62746.address import Inbox
from iec62746.connection import GOODBYE, Connection
from iec62746.domain import Domain
from iec62746.envelope import Xml, payload
from iec62746.errors import (
    Closed,
    Iec62746Error,
    InvalidAddress,
    InvalidMessage,
    LocalError,
    MissingCapability,
    NoReply,
    RequestFailed,
    SessionLost,
    Unreachable,
)
from iec62746.exchange import Exchange, Output
from iec62746.message import ID, Kind, Message, Option, Payload, RequestPart, Result, maker
from iec62746.outputs import Completed, Execute, Failed, Notice
from iec62746.plugins import scheme_of, without_password
from iec62746.plugins import transport as find_transport
from iec62746.profiles import Typed, installed
from iec62746.reply import Reply
from iec62746.roster import Changed, PartyConflict, PartyPresence, State
from iec62746.transport import Config, Outgoing, Transport, lacks

log = logging.getLogger(__name__)

_message = maker(Message)

PayloadLike = Payload | Xml | str | bytes | etree._Element | Typed
Answer = Reply | Message | PayloadLike | None
R = TypeVar("R", bound=Callable[..., Any])


class Participant:
    """A party of a domain: register handlers, then `async with` it, or `run()` it.

    `domain` is a `Domain` or the path of its file; `urls` one URL or several for fail-over; `password` and `tls` are
    for the transport. Raises `DomainError`, `UnknownTransport`, `MissingCapability` listing what the transport lacks.
    """

    def __init__(
        self,
        domain: Domain | str | Path,
        urls: str | Iterable[str],
        party: str,
        *,
        password: str | None = None,
        tls: ssl.SSLContext | None = None,
        transport: Transport | None = None,
    ) -> None:
        """Prepare; nothing is opened yet."""
        self.domain = domain if isinstance(domain, Domain) else Domain.load(domain)
        self.party = party
        all_urls = (urls,) if isinstance(urls, str) else tuple(urls)
        if not all_urls:
            raise InvalidAddress("there is no URL: give one, or several for fail-over")
        if len({scheme_of(url) for url in all_urls}) > 1:
            raise InvalidAddress("the URLs are of several transports: give those of one, for fail-over")
        self._transport = transport or find_transport(all_urls[0])
        self._refuse_lacks(all_urls)
        self._config = Config(
            urls=all_urls,
            domain=self.domain.name,
            party=party,
            vtn=self.domain.vtn,
            session="",
            account=self.domain.party(party).account,
            password=password,
            tls=tls,
            accounts={one.name: one.account for one in self.domain.parties.values() if one.account != one.name},
            parties=self.domain.parties.keys(),
        )
        self._exchange = Exchange(self.domain, party, now=time.time(), new_id=message_id, profiles=installed())
        self._work = Work(self._exchange, output=self._on_output, connection=lambda: self._connection)
        self._listeners: dict[type | str, list[Listener]] = {
            key: [] for key in (Changed, Notice, PartyConflict, "connected", "lost")
        }
        self._answers: dict[str, asyncio.Future[Message | Iec62746Error]] = {}
        self._handlers: Handlers | None = None
        self._connection: Connection | None = None
        self._life: asyncio.Task[None] | None = None
        self._first: asyncio.Future[None] | None = None
        self._closing: asyncio.Task[None] | None = None
        self._spared: set[object] = set()
        self._watcher: Watcher | None = None

    def _refuse_lacks(self, urls: tuple[str, ...]) -> None:
        for url in urls:
            has = self._transport.capabilities(url)
            missing = list(lacks(has, self.domain.transport))
            if self.domain.nodes and not has.carries_nodes:
                missing.append(f"carries_nodes is False, and the domain has {len(self.domain.nodes)} nodes")
            if missing:
                raise MissingCapability(
                    f"domain {self.domain.name} demands {self.domain.transport}; {without_password(url)} lacks: "
                    f"{'; '.join(missing)}"
                )

    # ---------------------------------------------------------------- handlers

    def on_request(self, verb: str, noun: str) -> Callable[[R], R]:
        """Register the handler of requests `verb` `noun`.

        It returns None for OK, a payload, or a `Reply`, or raises `Refused`. One that is not a coroutine function runs
        in a thread. It has `handling` seconds, then the reply is 4.1.
        """
        self._work.check_request(verb, noun)

        def register(handler: R) -> R:
            self._work.add_request(verb, noun, handler)
            return handler

        return register

    def on_event(self, *, noun: str | None = None, node: str | None = None) -> Callable[[R], R]:
        """Register a handler of events: of one `noun`, on the nodes that the pattern `node` fits, or of all.

        Raises `InvalidAddress` if we may subscribe to none of those nodes, `LocalError` once it is open.
        """
        nodes = self._work.subscribable(noun, node)

        def register(handler: R) -> R:
            if self._connection is not None and nodes is not None:
                raise LocalError(f"{self.party} is open and has subscribed: register handlers of events before")
            self._work.add_event(noun, nodes, handler)
            return handler

        return register

    def on_presence(self, handler: R) -> R:
        """Register a listener to changes of presence: it gets a `PartyPresence`."""
        return self._listen(Changed, handler)

    def on_notice(self, handler: R) -> R:
        """Register a listener to notices: what was dropped, refused, mended or is worth knowing."""
        return self._listen(Notice, handler)

    def on_conflict(self, handler: R) -> R:
        """Register a listener to `PartyConflict`: two sessions of one party are live."""
        return self._listen(PartyConflict, handler)

    def on_connected(self, handler: R) -> R:
        """Register a listener without arguments: connected, again too."""
        return self._listen("connected", handler)

    def on_lost(self, handler: R) -> R:
        """Register a listener to what ended the connection; it is opened again unless `closed` says otherwise."""
        return self._listen("lost", handler)

    def _listen(self, what: type | str, function: R) -> R:
        self._listeners[what].append(Listener(function, self.domain.limits.waiting))
        return function

    @property
    def presence(self) -> Mapping[str, PartyPresence]:
        """The presence of each party that was heard of; asked for another, it says gone."""
        return _PresenceView(self._exchange)

    def watch(self, watcher: Watcher) -> None:
        """Tell `watcher`, one only, of all that happens, as `iec62746.metrics` has it.

        Raises `LocalError` once it is open, or for a second one.
        """
        if self._life is not None or self._watcher is not None:
            raise LocalError(f"{self.party} is open or watched already: watch it once, before it is opened")
        self._watcher = self._work.watcher = watcher

    @property
    def load(self) -> Load:
        """How much is under way; may be read from another thread."""
        connection, handlers = self._connection, self._handlers
        return Load(
            is_connected=connection is not None and connection.is_open,
            is_blocked=connection is not None and connection.is_blocked,
            pending=self._exchange.pending,
            running=len(handlers.running) if handlers is not None else 0,
            waiting=handlers.waiting if handlers is not None else 0,
        )

    @property
    def is_connected(self) -> bool:
        """True while there is a session that is subscribed and announced."""
        return self._connection is not None and self._connection.is_open

    # ---------------------------------------------------------------- requests and events out

    async def request_message(
        self,
        template: Message,
        *,
        to: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109  # the caller's patience; the exchange keeps it
    ) -> Message:
        """Send `template` as a request and return the whole answer.

        Its MessageID, Source, Destination and Deadline are made anew. Otherwise as `request`, but a FAILED answer
        returns too.
        """
        return await self._watched(template.verb, self._request(template, to or self.domain.vtn, timeout))

    async def publish_message(self, template: Message, *, node: str | None = None) -> None:
        """Send `template` as an event; otherwise as `publish`."""
        work = self._publish(template, node)
        watcher = self._watcher
        await (work if watcher is None else ending(partial(watcher.event_ended, template.verb, node), work))

    async def _publish(self, template: Message, node: str | None) -> None:
        connection = self._open_connection()
        send = self._exchange.publish(template, node, connection.now())
        await connection.send(send.to, send.message)

    async def announce(self, state: State | str, reason: str = "") -> None:
        """Announce our state, online or away, and why; it is kept until it is changed (62746-3, 5.5.5).

        Raises `InvalidMessage` for another state: who closes is offline.
        """
        if state not in (State.ONLINE, State.AWAY):
            raise InvalidMessage(f"{state!r} is not announced: say online or away, or close")
        await self._open_connection().announce(State(state), reason)

    async def _request(self, template: Message, to: str, given_timeout: float | None) -> Message:
        real_time = self.domain.limits.real_time
        patience = real_time if given_timeout is None else given_timeout
        if given_timeout is not None and not (isinstance(given_timeout, int | float) and given_timeout > 0):
            raise InvalidMessage(
                f"timeout is {given_timeout!r}: give seconds above 0, or None for {real_time:g} (limit real_time)"
            )
        connection = self._open_connection()
        now = connection.now()
        outgoing = self._exchange.request(template, to, now, patience)
        key = outgoing.correlation_id
        answer = self._answers[key] = asyncio.get_running_loop().create_future()
        connection.wake_at(now + patience)
        try:
            if patience < real_time:
                await _send_within(patience, connection, Inbox(to), outgoing)
            else:
                await connection.send(Inbox(to), outgoing)
            result = await answer
        finally:
            # Once it is answered another may be asked under the same key, even before we are told of the answer.
            if self._answers.get(key) is answer:
                del self._answers[key]
                self._exchange.abandon(key)
        if isinstance(result, Message):
            return result
        raise copy.copy(result) from result.__cause__  # one error may end many requests, each with its own traceback

    async def _ask(
        self,
        verb: str,
        noun: str,
        given: PayloadLike | None,
        to: str,
        ids: Iterable[ID | str],
        options: Iterable[Option] | Mapping[str, str],
        given_timeout: float | None,
    ) -> Reply:
        template = _message(
            kind=Kind.REQUEST,
            verb=verb,
            noun=noun,
            request=_request_part(ids, options),
            payload=payload(given) if given is not None else None,
        )
        answer = await self._watched(verb, self._request(template, to, given_timeout))
        reply = Reply.of(answer)
        if reply.result == Result.FAILED:
            raise RequestFailed(answer)
        return reply

    def _watched(self, verb: str, work: Coroutine[Any, Any, Message]) -> Coroutine[Any, Any, Message]:
        """Return `work`, whose end the watcher is told of if there is one."""
        return work if self._watcher is None else ending(partial(self._watcher.request_ended, verb), work)

    def _open_connection(self) -> Connection:
        """Return the connection that a message of the application may be sent by."""
        if self._connection is None:
            raise Closed(f"{self.party} is not open: use `async with`, or call it while it runs")
        self._connection.check()
        return self._connection

    # ---------------------------------------------------------------- life

    async def __aenter__(self) -> Self:
        """Connect; raises what cannot heal, and `Unreachable` after `set_up` seconds without a connection."""
        if self._life is not None:
            raise Closed(f"{self.party} is open already, or still closing: wait for `aclose`")
        loop = asyncio.get_running_loop()
        self._first = first = loop.create_future()
        self._handlers = Handlers(self.domain.limits, self._work.of, self._work.refuse, self._watcher)
        self._connection = connection = self._new_connection()
        self._life = life = loop.create_task(connection.run(), name=f"connection of {self.party}")
        life.add_done_callback(self._on_life_ended)
        limit = self.domain.limits.set_up
        try:
            async with asyncio.timeout(limit):
                await first
        except TimeoutError:
            await self._end(life)
            where = ", ".join(map(without_password, self._config.urls))
            trouble = connection.trouble or "no answer"
            raise Unreachable(
                f"not connected within {limit:g} s (limit set_up) to {where}: {trouble}"
            ) from connection.trouble
        except BaseException:
            await self._end(life)
            raise
        return self

    async def _end(self, life: "asyncio.Task[None]") -> None:
        """Close, unless somebody else did and it has another life by now."""
        if self._life is life:
            await self.aclose()

    def _new_connection(self) -> Connection:
        return Connection(
            self._exchange,
            self._transport,
            self._config,
            self._work.nodes,
            connected=self._on_connected,
            lost=self._on_lost,
            output=self._on_output,
            watcher=self._watcher,
        )

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        await self.aclose()

    async def aclose(self) -> None:
        """Finish the handlers that run, say goodbye and close; idempotent, and safe from anywhere.

        Takes about `handling` seconds at most; requests that come meanwhile are answered 5.1. Called from within a
        handler or a listener, it does not wait for that one.
        """
        if self._life is None or self._handlers is None:
            return
        at_work = AT_WORK.get() or asyncio.current_task()
        if at_work is not None:
            self._spared.add(at_work)
        self._handlers.look_again()
        if self._closing is None:
            self._closing = asyncio.create_task(self._close(self._handlers, self._life), name=f"closing {self.party}")
        # Whoever waits may be cancelled; what was begun is ended all the same.
        await asyncio.shield(self._closing)

    async def _close(self, handlers: Handlers, life: "asyncio.Task[None]") -> None:
        connection = self._connection
        try:
            await handlers.drain(self._spared)
            if connection is not None:
                await connection.say_goodbye()
        finally:
            self._connection = None
            await asyncio.gather(
                cancelled({life}, "the connection", GOODBYE + GRACE),
                handlers.aclose(self._spared),
                self._end_listeners(),
            )
            await self._end_listeners()  # what ended may have told them something more
            self._work.close()
            self._spared.clear()
            self._life = self._handlers = self._closing = None

    async def _end_listeners(self) -> None:
        tasks = {task for some in self._listeners.values() for one in some for task in one.stop()}
        await cancelled(tasks - self._spared, "a listener")

    async def closed(self) -> None:
        """Wait until the connection has ended for good; raises why, unless we closed it."""
        life, connection = self._life, self._connection
        if life is None or connection is None:
            return
        await asyncio.wait([life])
        if connection.final is not None:
            raise copy.copy(connection.final) from connection.final.__cause__

    def run(self) -> None:
        """Connect and serve until interrupted (SIGINT, SIGTERM), or until it cannot go on: then raises why."""
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        with interruptible() as signals:
            async with self:
                await self.closed()
        if signals:
            log.info("%s was stopped by %s", self.party, signals[0].name)

    # ---------------------------------------------------------------- what the connection tells

    def _on_connected(self) -> None:
        if self._first is not None and not self._first.done():
            self._first.set_result(None)
        if self._watcher is not None:
            self._watcher.connected()
        self._tell("connected")

    def _on_lost(self, cause: Iec62746Error) -> None:
        if self._watcher is not None:
            self._watcher.lost(cause)
        self._tell("lost", cause)

    def _on_life_ended(self, life: "asyncio.Task[None]") -> None:
        """Say why there is no connection any more, to who waits for the first."""
        first, connection = self._first, self._connection
        if life.cancelled() or connection is None:
            if first is not None and not first.done():
                first.set_exception(Closed(f"{self.party} was closed while it was being opened"))
            return
        if (error := life.exception()) is not None:
            while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
                error = error.exceptions[0]
            name = type(self._transport).__name__
            log.error("%s: the connection by %s broke down: please report this", self.party, name, exc_info=error)
            connection.final = SessionLost(f"the connection by {name} broke down: {type(error).__name__}: {error}")
            connection.final.__cause__ = error
            self._on_lost(connection.final)
        if first is not None and not first.done() and connection.final is not None:
            first.set_exception(connection.final)

    def _on_output(self, output: Output) -> None:
        if self._watcher is not None:
            self._watcher.reported(output)
        if type(output) is Execute:
            if self._handlers is not None:
                self._handlers.take(output.ticket)
        elif type(output) is Completed:
            self._settle(output.key, output.reply)
        elif type(output) is Failed:
            self._settle(output.key, output.error)
        elif type(output) is Notice:
            log.info("%s: %s: %s: %s", self.party, output.party, output.what, output.detail)
            self._tell(Notice, output)
        else:
            self._tell(type(output), output.presence if type(output) is Changed else output)

    def _settle(self, key: str, result: Message | Iec62746Error) -> None:
        answer = self._answers.get(key)
        if answer is not None and not answer.done():
            answer.set_result(result)

    def _tell(self, what: type | str, *arguments: Any) -> None:
        for listener in self._listeners[what]:
            listener.tell(*arguments)


class _PresenceView(Mapping[str, PartyPresence]):
    """The roster, to look at."""

    def __init__(self, exchange: Exchange) -> None:
        self._roster = exchange.roster

    def __getitem__(self, party: str) -> PartyPresence:
        return self._roster[party]

    def __contains__(self, party: object) -> bool:
        return party in self._roster.known

    def __iter__(self) -> Iterator[str]:
        return iter(self._roster.known)

    def __len__(self) -> int:
        return len(self._roster.known)


def event(verb: str, noun: str, given: PayloadLike | None) -> Message:
    """Return an event, to be published; raises `InvalidMessage` for what is no payload."""
    return _message(kind=Kind.EVENT, verb=verb, noun=noun, payload=payload(given) if given is not None else None)


async def _send_within(patience: float, connection: Connection, to: Inbox, outgoing: Outgoing) -> None:
    """Send, but do not wait for room at the receiver longer than `patience` seconds."""
    try:
        async with asyncio.timeout(patience):
            await connection.send(to, outgoing)
    except TimeoutError:
        raise NoReply(f"{to.party} could not be sent the request within {patience:g} s: it takes no more") from None


def _request_part(ids: Iterable[ID | str], options: Iterable[Option] | Mapping[str, str]) -> RequestPart | None:
    if isinstance(ids, str):
        ids = (ids,)  # a string is no list of its characters
    all_ids = tuple(one if isinstance(one, ID) else ID(one) for one in ids)
    if isinstance(options, Mapping):
        options = [Option(*pair) for pair in cast(Mapping[str, str], options).items()]
    pairs = tuple(options)
    return RequestPart(ids=all_ids, options=pairs) if all_ids or pairs else None
