"""Which handlers a message goes to, and what their answer becomes."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from lxml import etree

from iec62746._handlers import Run, Threads, is_cancelled, is_coroutine_function
from iec62746._watcher import Watcher
from iec62746.address import Address, Node
from iec62746.connection import Connection
from iec62746.domain import OWN_NOUNS
from iec62746.envelope import payload
from iec62746.errors import EnvelopeError, Iec62746Error, InvalidAddress, InvalidMessage, LocalError, Refused
from iec62746.exchange import Exchange, Output
from iec62746.message import REQUEST_VERBS, Kind, Message, Payload, Result
from iec62746.outputs import Notice, Send, Ticket, What, cut
from iec62746.profiles import is_typed
from iec62746.reply import Reply, result_of

log = logging.getLogger(__name__)

Handler = Callable[[Message], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class _EventRoute:
    noun: str | None
    nodes: frozenset[str] | None
    handler: Handler

    def takes(self, node: str | None) -> bool:
        return self.nodes is None or node in self.nodes


class Work:
    """The handlers of one party, by what they take; answers go by `connection`, if there is one."""

    def __init__(
        self, exchange: Exchange, *, output: Callable[[Output], None], connection: Callable[[], Connection | None]
    ) -> None:
        """Start without handlers."""
        self._exchange, self._output, self._connection = exchange, output, connection
        self._domain, self._party = exchange.domain, exchange.party
        self._requests: dict[tuple[str, str], Handler] = {}
        self._events: list[_EventRoute] = []
        # One for each noun and node of the domain that came: what else comes is refused before.
        self._routed: dict[tuple[str, str | None], list[Handler]] = {}
        self._ok: dict[str, Message] = {}
        self._threads = Threads(self._domain.limits.handlers, self._party)
        self.watcher: Watcher | None = None

    # ---------------------------------------------------------------- who takes what

    def check_request(self, verb: str, noun: str) -> None:
        """Raise `InvalidMessage` unless requests `verb` `noun` can have a handler."""
        if verb not in REQUEST_VERBS:
            raise InvalidMessage(f"{verb!r} is no verb of a request: use one of {', '.join(sorted(REQUEST_VERBS))}")
        if noun not in self._domain.nouns and noun not in OWN_NOUNS:
            known = ", ".join(sorted(self._domain.nouns)) or "no noun"
            raise InvalidMessage(f"no request for {noun!r} can come: domain {self._domain.name} knows {known}")

    def add_request(self, verb: str, noun: str, handler: Callable[..., Any]) -> None:
        """Register the handler of requests `verb` `noun`."""
        if (verb, noun) in self._requests:
            raise LocalError(f"{verb} {noun} has a handler already: there is one for each verb and noun")
        self._requests[verb, noun] = self._in_threads(handler)

    def add_event(self, noun: str | None, nodes: frozenset[str] | None, handler: Callable[..., Any]) -> None:
        """Register a handler of events of `noun`, on `nodes`."""
        self._events.append(_EventRoute(noun, nodes, self._in_threads(handler)))
        self._routed.clear()

    def subscribable(self, noun: str | None, pattern: str | None) -> frozenset[str] | None:
        """Return the nodes that fit and that we may see; None for the VTN; raises `InvalidAddress` for none."""
        if self._exchange.is_vtn:
            if pattern is not None:
                raise InvalidAddress("the VTN publishes on nodes; events of VENs have none: leave `node` out")
            return None
        allowed = self._domain.nodes_for(self._party)
        wanted = self._domain.expand(pattern) if pattern is not None else tuple(self._domain.nodes)
        nodes = [one for one in wanted if one in allowed and (noun is None or noun in self._domain.nodes[one].nouns)]
        if not nodes:
            what = (
                " ".join(part for part in (pattern and f"node {pattern}", noun and f"noun {noun}") if part)
                or "any node"
            )
            raise InvalidAddress(
                f"{self._party} may subscribe to {', '.join(allowed) or 'no node'}: nothing there fits {what}"
            )
        return frozenset(nodes)

    @property
    def nodes(self) -> list[str]:
        """The nodes that there are handlers for."""
        return sorted({node for route in self._events for node in route.nodes or ()})

    def _in_threads(self, handler: Callable[..., Any]) -> Handler:
        """Return `handler` as it is if it is a coroutine function, else as one that runs in a thread."""
        return handler if is_coroutine_function(handler) else partial(self._threads.run, handler)

    def close(self) -> None:
        """Let no more threads begin."""
        self._threads.close()

    # ---------------------------------------------------------------- a message at work

    def of(self, ticket: Ticket) -> Run | None:
        """Return the work of the handlers for one message, if it may still be delivered (62746-3, 5.1)."""
        message = ticket.message
        if self._exchange.is_expired(ticket, time.time()):
            self.refuse(ticket, What.EXPIRED, "4.1", "its Deadline passed while it waited for a handler")
        elif ticket.is_request:
            handler = self._requests.get((message.verb, message.noun))
            if handler is not None:
                return self._handle_request(handler, ticket)
            self.refuse(ticket, What.NO_HANDLER, "5.2", f"no handler for {message.verb} {message.noun}")
        else:
            handlers = self._handlers_of(message.noun, ticket.address)
            if len(handlers) == 1:
                return self._handle_one(handlers[0], ticket)
            if handlers:
                return self._handle_all(handlers, ticket)
            self.refuse(ticket, What.NO_HANDLER, "5.2", f"no handler for events {message.noun}")
        return None

    def _handlers_of(self, noun: str, address: Address) -> list[Handler]:
        """Return the handlers of events of `noun` that come at `address`."""
        node = address.name if type(address) is Node else None
        handlers = self._routed.get((noun, node))
        if handlers is None:
            handlers = [one.handler for one in self._events if one.noun in (None, noun) and one.takes(node)]
            self._routed[noun, node] = handlers
        return handlers

    async def _handle_request(self, handler: Handler, ticket: Ticket) -> None:
        message = ticket.message
        try:
            template = self._answer(message.noun, await handler(message))
            outputs = self._exchange.answer(ticket, template, time.time())
            if outputs and self.watcher is not None:
                self.watcher.answered(result_of(template))
        except Refused as exc:
            outputs = self._refused_by_handler(ticket, exc)
        except EnvelopeError as exc:
            # What the peer sent cannot be bound: it is not the handler that failed.
            outputs = self._refusal(ticket, What.INVALID_PAYLOAD, exc.reply_code, cut(str(exc)))
        except asyncio.CancelledError as exc:
            if is_cancelled():
                raise
            outputs = self._failed(ticket, exc)
        except Exception as exc:
            outputs = self._failed(ticket, exc)
        connection = self._connection()
        for output in outputs:
            if type(output) is Send and connection is not None:
                await self._send_answer(connection, output, ticket)

    def _answer(self, noun: str, given: Any) -> Message:
        """Return what a handler gave as a message; raises `InvalidMessage` if it is nothing that can be one."""
        if given is None:
            ok = self._ok.get(noun)
            if ok is None:
                ok = self._ok[noun] = Reply().to_message(noun)
            return ok
        if isinstance(given, Reply):
            return given.to_message(noun)
        if isinstance(given, Message):
            is_reply = given.kind is Kind.FAULT or given.kind is Kind.RESPONSE and given.verb == "reply"
            if not is_reply and (given.kind is not Kind.RESPONSE or self._domain.reading != "tolerant"):
                raise InvalidMessage(f"a handler answers by a ResponseMessage, not by {given.verb} in a {given.kind}")
            return given
        if isinstance(given, Payload | str | bytes | etree._Element) or is_typed(given):
            return Reply(payload=payload(given)).to_message(noun)
        raise InvalidMessage(f"a handler returns None, a payload or a Reply, not {type(given).__name__}")

    def _refused_by_handler(self, ticket: Ticket, exc: Refused) -> list[Output]:
        try:
            outputs = self._exchange.refuse(ticket, exc.reply_code, exc.reason, time.time())
        except LocalError as unwritable:
            return self._failed(ticket, unwritable)
        if outputs and self.watcher is not None:
            self.watcher.answered(Result.FAILED)
        return outputs

    def _failed(self, ticket: Ticket, exc: BaseException) -> list[Output]:
        message = ticket.message
        log.error("%s: the handler of %s %s failed", self._party, message.verb, message.noun, exc_info=exc)
        return self._refusal(ticket, What.HANDLER_FAILED, "5.3", f"the handler failed: {type(exc).__name__}")

    async def _send_answer(self, connection: Connection, answer: Send, ticket: Ticket) -> None:
        try:
            await connection.send(answer.to, answer.message)
        except Iec62746Error as exc:
            self._output(Notice(What.UNANSWERED, ticket.sender, f"the answer could not be sent: {exc}"))

    async def _handle_all(self, handlers: list[Handler], ticket: Ticket) -> None:
        async with asyncio.TaskGroup() as group:
            for handler in handlers:
                group.create_task(self._handle_one(handler, ticket))

    async def _handle_one(self, handler: Handler, ticket: Ticket) -> None:
        try:
            await handler(ticket.message)
        except asyncio.CancelledError as exc:
            if is_cancelled():
                raise
            self._failed(ticket, exc)
        except Exception as exc:
            self._failed(ticket, exc)

    def refuse(self, ticket: Ticket, what: What, code: str, reason: str) -> None:
        """Report `what`, and answer a request FAILED with `code`."""
        connection = self._connection()
        for output in self._refusal(ticket, what, code, reason):
            if type(output) is Send and connection is not None:
                connection.send_later(output)

    def _refusal(self, ticket: Ticket, what: What, code: str, reason: str) -> list[Output]:
        self._output(Notice(what, ticket.sender, reason, code))
        outputs = self._exchange.refuse(ticket, code, reason, time.time()) if ticket.is_request else []
        if outputs and self.watcher is not None:
            self.watcher.answered(Result.FAILED)
        return outputs
