"""One party in one domain: handlers in, requests and events out. VTN and VEN are thin façades over it (62746-3, 3.1.17)."""

import asyncio
import inspect
import logging
import signal
import ssl
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from lxml import etree

from iec62746._ids import message_id
from iec62746.address import Inbox
from iec62746.connection import Connection
from iec62746.domain import Domain
from iec62746.envelope import Xml, payload
from iec62746.errors import (
    Closed,
    Iec62746Error,
    InvalidAddress,
    InvalidMessage,
    LocalError,
    MissingCapability,
    Refused,
    RequestFailed,
    TransportError,
    Unreachable,
)
from iec62746.exchange import Exchange, Output
from iec62746.message import ID, REQUEST_VERBS, Kind, Message, Option, Payload, RequestPart, Result
from iec62746.outputs import Completed, Execute, Failed, Notice, Send, Ticket, What
from iec62746.plugins import transport as find_transport
from iec62746.reply import Reply
from iec62746.roster import Changed, PartyConflict, PartyPresence
from iec62746.transport import Config, Outgoing, Transport, lacks

log = logging.getLogger(__name__)

PayloadLike = Payload | Xml | str | bytes | etree._Element
Answer = Reply | Message | PayloadLike | None
RequestHandler = Callable[[Message], Awaitable[Answer] | Answer]
EventHandler = Callable[[Message], Awaitable[None] | None]
R = TypeVar("R", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class _EventRoute:
    noun: str | None
    nodes: frozenset[str] | None
    handler: EventHandler


class Participant:
    """A party of a domain: register handlers, then `async with` it, or `run()` it.

    `domain` is a `Domain` or the path of its file; `urls` one URL or several for fail-over; `password` and `tls` are for the
    transport. Raises `DomainError`, `UnknownTransport`, and `MissingCapability` listing what the transport lacks for the domain.
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
        )
        self._exchange = Exchange(self.domain, party, now=time.time(), new_id=message_id)
        self._requests: dict[tuple[str, str], RequestHandler] = {}
        self._events: list[_EventRoute] = []
        self._listeners: dict[type, list[Callable[..., Any]]] = {Changed: [], Notice: [], PartyConflict: []}
        self._on_connected: list[Callable[[], Any]] = []
        self._on_lost: list[Callable[[Iec62746Error], Any]] = []
        self._answers: dict[str, asyncio.Future[Message]] = {}
        self._waiting: deque[Ticket] = deque()
        self._running: set[asyncio.Task[None]] = set()
        self._is_draining = False
        self._connection: Connection | None = None
        self._life: asyncio.Task[None] | None = None
        self._first: asyncio.Future[None] | None = None
        self._threads: ThreadPoolExecutor | None = None

    def _refuse_lacks(self, urls: tuple[str, ...]) -> None:
        for url in urls:
            missing = lacks(self._transport.capabilities(url), self.domain.transport)
            if missing:
                profile = self.domain.transport
                raise MissingCapability(f"domain {self.domain.name} demands {profile}; {url} lacks: {'; '.join(missing)}")

    # ---------------------------------------------------------------- handlers

    def on_request(self, verb: str, noun: str) -> Callable[[R], R]:
        """Register the handler of requests `verb` `noun`: it returns None for OK, a payload, or a `Reply`; raises `Refused`."""
        if verb not in REQUEST_VERBS:
            raise InvalidMessage(f"{verb!r} is no verb of a request: use one of {', '.join(sorted(REQUEST_VERBS))}")
        if (verb, noun) in self._requests:
            raise LocalError(f"{verb} {noun} has a handler already: there is one for each verb and noun")

        def register(handler: R) -> R:
            self._requests[verb, noun] = handler
            return handler

        return register

    def on_event(self, *, noun: str | None = None, node: str | None = None) -> Callable[[R], R]:
        """Register a handler of events: of one `noun`, on the nodes that the pattern `node` fits, or of all.

        Raises `InvalidAddress` if we may subscribe to none of those nodes.
        """
        nodes = self._subscribable(noun, node)

        def register(handler: R) -> R:
            self._events.append(_EventRoute(noun, nodes, handler))
            return handler

        return register

    def _subscribable(self, noun: str | None, pattern: str | None) -> frozenset[str] | None:
        if self._exchange.is_vtn:
            if pattern is not None:
                raise InvalidAddress("the VTN publishes on nodes; events of VENs have none: leave `node` out")
            return None
        allowed = self.domain.nodes_for(self.party)
        wanted = self.domain.expand(pattern) if pattern is not None else tuple(self.domain.nodes)
        nodes = [one for one in wanted if one in allowed and (noun is None or noun in self.domain.nodes[one].nouns)]
        if not nodes:
            what = " ".join(part for part in (pattern and f"node {pattern}", noun and f"noun {noun}") if part) or "any node"
            raise InvalidAddress(f"{self.party} may subscribe to {', '.join(allowed) or 'no node'}: nothing there fits {what}")
        return frozenset(nodes)

    def on_presence(self, handler: R) -> R:
        """Register a handler of changes of presence: it gets a `PartyPresence`."""
        self._listeners[Changed].append(handler)
        return handler

    def on_notice(self, handler: R) -> R:
        """Register a handler of notices: what was dropped, refused, mended or is worth knowing."""
        self._listeners[Notice].append(handler)
        return handler

    def on_conflict(self, handler: R) -> R:
        """Register a handler of `PartyConflict`: two sessions of one party are live."""
        self._listeners[PartyConflict].append(handler)
        return handler

    def on_connected(self, handler: R) -> R:
        """Register a handler without arguments: connected, again too."""
        self._on_connected.append(handler)
        return handler

    def on_lost(self, handler: R) -> R:
        """Register a handler of the error that ended the connection; it is opened again unless `closed` says otherwise."""
        self._on_lost.append(handler)
        return handler

    @property
    def presence(self) -> Mapping[str, PartyPresence]:
        """The presence of each party that was heard of; asked for another, it says gone."""
        return _PresenceView(self._exchange)

    @property
    def is_connected(self) -> bool:
        """True while there is a session."""
        return self._connection is not None and self._connection.is_open

    # ---------------------------------------------------------------- requests and events out

    async def _request(self, template: Message, to: str, timeout: float | None) -> Message:
        connection = self._open_connection()
        now = time.time()
        outgoing = self._exchange.request(template, to, now, timeout)
        key = outgoing.correlation_id
        answer = self._answers[key] = asyncio.get_running_loop().create_future()
        connection.wake_at(now + (timeout or self.domain.limits.real_time))
        try:
            await connection.send(Inbox(to), outgoing)
            return await answer
        finally:
            del self._answers[key]
            self._exchange.abandon(key)

    async def request_message(self, template: Message, *, to: str | None = None, timeout: float | None = None) -> Message:
        """Send `template` as a request and return the whole answer; the header's ids, Source, Destination, Deadline are ours.

        Otherwise as `request`, but a FAILED answer returns too.
        """
        return await self._request(template, to or self.domain.vtn, timeout)

    async def publish_message(self, template: Message, *, node: str | None = None) -> None:
        """Send `template` as an event; otherwise as `publish`."""
        send = self._exchange.publish(template, node, time.time())
        await self._open_connection().send(send.to, send.message)

    async def _ask(
        self,
        verb: str,
        noun: str,
        given: PayloadLike | None,
        to: str,
        ids: Iterable[ID | str],
        options: Iterable[Option] | Mapping[str, str],
        timeout: float | None,
    ) -> Reply:
        template = Message(
            kind=Kind.REQUEST,
            verb=verb,
            noun=noun,
            request=_request_part(ids, options),
            payload=payload(given) if given is not None else None,
        )
        answer = await self._request(template, to, timeout)
        reply = Reply.of(answer)
        if reply.result == Result.FAILED:
            raise RequestFailed(answer)
        return reply

    def _open_connection(self) -> Connection:
        if self._connection is None:
            raise Closed(f"{self.party} is not connected: use `async with`, or call from a handler while it runs")
        return self._connection

    # ---------------------------------------------------------------- life

    async def __aenter__(self) -> Self:
        """Connect; raises what cannot heal, and `Unreachable` after `set_up` seconds without a connection."""
        if self._life is not None:
            raise Closed(f"{self.party} is open already")
        nodes = sorted({node for route in self._events for node in route.nodes or ()})
        self._is_draining = False
        self._first = asyncio.get_running_loop().create_future()
        self._connection = Connection(self._exchange, self._transport, self._config, nodes, self)
        self._life = asyncio.create_task(self._connection.run(), name=f"connection {self.party}")
        limit = self.domain.limits.set_up
        try:
            async with asyncio.timeout(limit):
                await asyncio.shield(self._first)
        except TimeoutError:
            await self.aclose()
            raise Unreachable(f"not connected within {limit:g} s (limit set_up): {self._connection_trouble()}") from None
        except BaseException:
            await self.aclose()
            raise
        return self

    def _connection_trouble(self) -> str:
        return f"is the communication server at {', '.join(map(_host, self._config.urls))} running?"

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        await self.aclose()

    async def aclose(self) -> None:
        """Finish the handlers that run, say goodbye and close; idempotent. Takes at most `handling` seconds."""
        if self._life is None or self._connection is None:
            return
        self._is_draining = True
        while self._waiting:
            self._refuse(self._waiting.popleft(), What.BUSY, "5.1", "closing")
        if self._running:
            await asyncio.wait(self._running, timeout=self.domain.limits.handling)
        for task in self._running:
            task.cancel()
        life, self._life = self._life, None
        connection, self._connection = self._connection, None
        await connection.aclose()
        life.cancel()
        await asyncio.wait([life])
        if self._threads is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)
            self._threads = None

    async def closed(self) -> None:
        """Wait until the connection has ended for good; raises why."""
        if self._life is not None:
            await asyncio.wait([self._life])
        if self._connection is not None and self._connection.final is not None:
            raise self._connection.final

    def run(self) -> None:
        """Connect and serve until interrupted (SIGINT, SIGTERM), or until it cannot go on: then raises why."""
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        loop = asyncio.get_running_loop()
        task = asyncio.current_task()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, task.cancel if task is not None else lambda: None)
        try:
            async with self:
                await self.closed()
        except asyncio.CancelledError:
            log.info("%s was stopped", self.party)

    # ---------------------------------------------------------------- what the connection tells

    def connected(self) -> None:
        """Tell that there is a session."""
        if self._first is not None and not self._first.done():
            self._first.set_result(None)
        for listener in self._on_connected:
            self._start(_call(listener))

    def lost(self, cause: Iec62746Error, *, is_final: bool) -> None:
        """Tell that the session ended."""
        if is_final and self._first is not None and not self._first.done():
            self._first.set_exception(cause)
        for listener in self._on_lost:
            self._start(_call(listener, cause))

    def output(self, output: Output) -> None:
        """Take one output of the exchange."""
        if type(output) is Execute:
            self._take(output.ticket)
        elif type(output) is Completed:
            self._settle(output.key, output.reply)
        elif type(output) is Failed:
            self._settle(output.key, output.error)
        else:
            self._tell(output)

    def _tell(self, output: Any) -> None:
        if type(output) is Notice:
            log.info("%s: %s: %s: %s", self.party, output.party, output.what.value, output.detail)
        argument = output.presence if type(output) is Changed else output
        for listener in self._listeners[type(output)]:
            self._start(_call(listener, argument))

    def _settle(self, key: str, result: Message | Iec62746Error) -> None:
        answer = self._answers.get(key)
        if answer is None or answer.done():
            return
        if isinstance(result, Message):
            answer.set_result(result)
        else:
            answer.set_exception(result)

    # ---------------------------------------------------------------- handlers at work: bounded in number and time

    def _start(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._running.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._running.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.error("%s: a handler failed", self.party, exc_info=task.exception())
        while self._waiting and len(self._running) < self.domain.limits.handlers:
            self._execute(self._waiting.popleft())

    def _take(self, ticket: Ticket) -> None:
        if self._is_draining:
            self._refuse(ticket, What.BUSY, "5.1", "closing")
        elif len(self._running) < self.domain.limits.handlers:
            self._execute(ticket)
        elif len(self._waiting) < self.domain.limits.waiting:
            self._waiting.append(ticket)
        else:
            self._refuse(ticket, What.BUSY, "5.1", f"{self.domain.limits.waiting} messages wait for a handler")

    def _execute(self, ticket: Ticket) -> None:
        """Start the handlers of one message, if it may still be delivered (62746-3, 5.1)."""
        message = ticket.message
        if self._exchange.is_expired(ticket, time.time()):
            self._refuse(ticket, What.EXPIRED, "4.1", "its Deadline passed while it waited for a handler")
        elif ticket.is_request:
            handler = self._requests.get((message.verb, message.noun))
            if handler is None:
                self._refuse(ticket, What.NO_HANDLER, "5.2", f"no handler for {message.verb} {message.noun}")
            else:
                self._start(self._handle_request(handler, ticket))
        else:
            routes = [route for route in self._events if _fits(route, message)]
            if not routes:
                self._refuse(ticket, What.NO_HANDLER, "5.2", f"no handler for events {message.noun}")
            for route in routes:
                self._start(self._handle_event(route.handler, ticket))

    async def _handle_request(self, handler: RequestHandler, ticket: Ticket) -> None:
        message = ticket.message
        try:
            template = _answer(message.noun, await self._call_in_time(handler, message))
            outputs = self._exchange.answer(ticket, template, time.time())
        except Refused as exc:
            outputs = self._exchange.refuse(ticket, exc.reply_code, exc.reason, time.time())
        except TimeoutError:
            limit = f"the handler took longer than {self.domain.limits.handling:g} s"
            outputs = self._refused(ticket, What.HANDLER_TOO_SLOW, "4.1", limit)
        except Exception as exc:  # noqa: BLE001  # a user's handler may raise anything: its caller gets an answer all the same
            log.error("%s: the handler of %s %s failed", self.party, message.verb, message.noun, exc_info=exc)
            outputs = self._refused(ticket, What.HANDLER_FAILED, "5.3", f"the handler failed: {type(exc).__name__}")
        except asyncio.CancelledError:
            self._refuse(ticket, What.BUSY, "5.1", "closing")
            raise
        await self._send_all(outputs)

    async def _handle_event(self, handler: EventHandler, ticket: Ticket) -> None:
        message = ticket.message
        try:
            await self._call_in_time(handler, message)
        except TimeoutError:
            limit = f"the handler of {message.noun} took longer than {self.domain.limits.handling:g} s"
            self._tell(Notice(What.HANDLER_TOO_SLOW, ticket.sender, limit))
        except Exception as exc:  # noqa: BLE001  # a user's handler may raise anything
            log.error("%s: the handler of events %s failed", self.party, message.noun, exc_info=exc)
            self._tell(Notice(What.HANDLER_FAILED, ticket.sender, f"{message.noun}: {type(exc).__name__}"))

    async def _call_in_time(self, handler: Callable[[Message], Any], message: Message) -> Any:
        async with asyncio.timeout(self.domain.limits.handling):
            if inspect.iscoroutinefunction(handler):
                return await handler(message)
            if self._threads is None:
                self._threads = ThreadPoolExecutor(self.domain.limits.handlers, f"handlers {self.party}")
            return await asyncio.get_running_loop().run_in_executor(self._threads, handler, message)

    async def _send_all(self, outputs: Iterable[Output]) -> None:
        for output in outputs:
            if type(output) is Send and self._connection is not None:
                try:
                    await self._connection.send(output.to, output.message)
                except Iec62746Error as exc:
                    self._tell(Notice(What.UNANSWERED, self.party, f"the answer could not be sent: {exc}"))

    def _refuse(self, ticket: Ticket, what: What, code: str, reason: str) -> None:
        outputs = self._refused(ticket, what, code, reason)
        for output in outputs:
            if type(output) is Send and self._connection is not None:
                self._connection.send_later(output)

    def _refused(self, ticket: Ticket, what: What, code: str, reason: str) -> list[Output]:
        self._tell(Notice(what, ticket.sender, reason, code))
        return self._exchange.refuse(ticket, code, reason, time.time()) if ticket.is_request else []


class _PresenceView(Mapping[str, PartyPresence]):
    """The roster, to look at."""

    def __init__(self, exchange: Exchange) -> None:
        self._roster = exchange.roster

    def __getitem__(self, party: str) -> PartyPresence:
        return self._roster[party]

    def __iter__(self) -> Any:
        return iter(self._roster.known)

    def __len__(self) -> int:
        return len(self._roster.known)


def _fits(route: _EventRoute, message: Message) -> bool:
    is_noun = route.noun is None or route.noun == message.noun
    return is_noun and (route.nodes is None or not route.nodes.isdisjoint(message.destinations))


def _request_part(ids: Iterable[ID | str], options: Iterable[Option] | Mapping[str, str]) -> RequestPart | None:
    all_ids = tuple(one if isinstance(one, ID) else ID(one) for one in ids)
    pairs = [Option(*pair) for pair in options.items()] if isinstance(options, Mapping) else list(options)
    return RequestPart(ids=all_ids, options=tuple(pairs)) if all_ids or pairs else None


def _answer(noun: str, given: Any) -> Message:
    """Return what a handler gave as a message; raises `InvalidMessage` if it is nothing that can be one."""
    if given is None:
        return Reply().to_message(noun)
    if isinstance(given, Reply):
        return given.to_message(noun)
    if isinstance(given, Message):
        if given.kind not in (Kind.RESPONSE, Kind.FAULT):
            raise InvalidMessage(f"a handler answers with a ResponseMessage, not a {given.kind}")
        return given
    if isinstance(given, Payload | str | bytes | etree._Element):
        return Reply(payload=payload(given)).to_message(noun)
    raise InvalidMessage(f"a handler returns None, a payload or a Reply, not {type(given).__name__}")


async def _call(listener: Callable[..., Any], *arguments: Any) -> None:
    result = listener(*arguments)
    if inspect.isawaitable(result):
        await result


def _host(url: str) -> str:
    """Return `url` without its credentials."""
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{rest.rpartition('@')[2]}"


__all__ = ["Answer", "Outgoing", "Participant", "PayloadLike", "TransportError"]
