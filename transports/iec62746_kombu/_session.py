"""One session: what the loop sees of two threads, and who gets what comes."""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from iec62746 import (
    Address,
    Closed,
    Config,
    Deliver,
    Delivery,
    Expired,
    Inbox,
    Observer,
    Outcome,
    Outgoing,
    PermissionDenied,
    Presence,
    Proof,
    Receipt,
    ReceiptLevel,
    ReplyTo,
    SessionLost,
    TooLarge,
    TransportError,
)
from iec62746_kombu import _errors
from iec62746_kombu._consumer import Consumer
from iec62746_kombu._publisher import Publisher
from iec62746_kombu._topology import Binding, Route, Topology
from iec62746_kombu._url import Kind, Place
from iec62746_kombu._wire import CONTENT_TYPE, Incoming, Parcel, Wire
from iec62746_kombu._wires import wire
from iec62746_kombu._worker import Messenger, Worker

log = logging.getLogger(__name__)

CLOSE: Final = 1.5
"""Seconds that closing takes at most; a thread that hangs longer ends by itself, when its socket gives up."""
TURN: Final = 4
"""Deliveries that are given before others in the loop get their turn."""


@dataclass(frozen=True, slots=True)
class _Answer:
    """Where a message may be answered."""

    domain: str
    route: Route


class KombuSubscription:
    """One subscription of one session."""

    __slots__ = ("_session", "address", "deliver", "is_live")

    def __init__(self, session: "KombuSession", address: Address, deliver: Deliver) -> None:
        """Have `deliver` called for what comes to `address`."""
        self._session, self.address, self.deliver = session, address, deliver
        self.is_live = True

    async def cancel(self) -> None:
        """End it."""
        if self.is_live:
            self.is_live = False
            await self._session.forget(self)


class KombuSession:
    """One session: a thread that publishes and one that consumes, each with its own connection."""

    def __init__(self, place: Place, config: Config, observer: Observer) -> None:
        """Prepare; `open` starts the threads."""
        self._place, self._observer = place, observer
        self._topology = Topology(config.domain, config.party, config.vtn, config.session, config.parties)
        self._has = place.capabilities
        self._receipts = {
            False: Receipt(self._has.receipt),
            True: Receipt(ReceiptLevel.ROUTED if place.kind is Kind.AMQP else self._has.receipt),
        }
        messenger = Messenger(asyncio.get_running_loop())
        name = f"{config.domain}/{config.party}"
        out, into = (wire(place, config, self._topology, has_lease=has_lease) for has_lease in (True, False))
        self._publisher = Publisher(f"{name} publishes", out, messenger, self._broken)
        self._consumer = Consumer(f"{name} consumes", into, messenger, self._broken, self._take)
        self._workers: tuple[Worker, ...] = (self._publisher, self._consumer)
        self._subscriptions: dict[Address, list[KombuSubscription]] = {}
        self._waiting: deque[Incoming] = deque()
        self._pump: asyncio.Task[None] | None = None
        self._changing = asyncio.Lock()
        self._cause: TransportError | None = None
        self._is_closed = False

    async def open(self) -> None:
        """Start the threads; returns when both are connected. Raises `TransportError`."""
        for worker in self._workers:
            worker.start()
        try:
            await asyncio.gather(*(worker.opened for worker in self._workers))
        except Exception as exc:
            raise _errors.opening(exc, f"kombu+{self._place.name}") from exc

    def abandon(self) -> None:
        """End without waiting for anything."""
        self._is_closed = True
        for worker in self._workers:
            worker.stop()
        self._publisher.end_all(self._cause)

    # ---------------------------------------------------------------- out

    async def send(self, to: Address | ReplyTo, message: Outgoing) -> Receipt:
        """Publish `message`; to an inbox, or in answer, it is mandatory where the transport knows that."""
        self._check_live()
        most = self._has.max_message
        if most is not None and len(message.body) > most:
            raise TooLarge(f"{len(message.body)} octets: this transport takes {most}")
        if message.expires <= time.time():
            raise Expired("its Deadline has passed")
        is_mandatory = isinstance(to, ReplyTo | Inbox)
        parcel = Parcel(
            route=self._answer_route(to) if isinstance(to, ReplyTo) else self._route(to),
            body=message.body,
            expires=message.expires,
            is_mandatory=is_mandatory,
            correlation_id=message.correlation_id,
            reply_to=self._topology.reply_key(to) if message.expects_reply and not isinstance(to, ReplyTo) else "",
            headers=message.headers,
        )
        await self._publisher.publish(parcel)
        return self._receipts[is_mandatory]

    def _route(self, to: Address) -> Route:
        if not self._has.carries_nodes:
            self._topology.check_point(to)
        return self._topology.route(to)

    def _answer_route(self, to: ReplyTo) -> Route:
        answer = to.token
        if (
            not isinstance(answer, _Answer)
            or answer.domain != self._topology.domain
            or not self._topology.may_answer(answer.route)
        ):
            raise PermissionDenied("this reply address was made by another transport, or for another domain or party")
        return answer.route

    def _check_live(self) -> None:
        if self._cause is not None or self._is_closed:
            raise self._ended()

    def _ended(self) -> TransportError | Closed:
        if self._cause is None:
            return Closed("the session is closed: open another")
        error = SessionLost(f"the session is lost: {self._cause}", outcome=Outcome.NOT_SENT)
        error.__cause__ = self._cause
        return error

    # ---------------------------------------------------------------- subscriptions

    async def subscribe(self, address: Address, deliver: Deliver) -> KombuSubscription:
        """Bind, and consume where nothing of that queue is consumed yet; live when it returns."""
        self._check_live()
        if not self._has.carries_nodes:
            self._topology.check_point(address)
        bindings = self._topology.bindings(address)
        subscription = KombuSubscription(self, address, deliver)
        async with self._changing:
            self._subscriptions.setdefault(address, []).append(subscription)
            try:
                await self._ask(f"subscribe to {address}", lambda its: self._bind(its, bindings))
            except BaseException:
                subscription.is_live = False
                self._drop(subscription)
                raise
        return subscription

    def _bind(self, its: Wire, bindings: tuple[Binding, ...]) -> None:
        """Bind all of them; in the consumer's thread."""
        for binding in bindings:
            its.bind(binding)
            self._consumer.consume(binding.queue, its)

    async def forget(self, subscription: KombuSubscription) -> None:
        """End `subscription`."""
        async with self._changing:
            self._drop(subscription)
            if subscription.address in self._subscriptions or self._cause is not None or self._is_closed:
                return
            bindings = self._topology.bindings(subscription.address)
            try:
                await self._ask(f"unsubscribe from {subscription.address}", lambda its: _unbind(its, bindings))
            except (TransportError, Closed) as exc:
                log.info("%s: %s", self._topology.party, exc)

    async def _ask(self, what: str, function: Callable[[Wire], None]) -> None:
        try:
            await self._consumer.do(function)
        except Exception as exc:
            self._check_live()
            raise _errors.refused(exc, what) from exc
        self._check_live()

    def _drop(self, subscription: KombuSubscription) -> None:
        some = self._subscriptions.get(subscription.address, [])
        if subscription in some:
            some.remove(subscription)
        if not some:
            self._subscriptions.pop(subscription.address, None)

    # ---------------------------------------------------------------- in

    def _take(self, incoming: Incoming) -> None:
        """Take what came; a bounded number waits here."""
        self._waiting.append(incoming)
        self._start_pump()

    def _start_pump(self) -> None:
        if self._pump is None and self._waiting and not self._is_over:
            self._pump = asyncio.get_running_loop().create_task(self._deliver_all(), name="kombu deliveries")
            self._pump.add_done_callback(self._on_pumped)

    @property
    def _is_over(self) -> bool:
        return self._cause is not None or self._is_closed

    async def _deliver_all(self) -> None:
        given = 0
        while self._waiting and not self._is_over:
            await self._hand_over(self._delivery(self._waiting.popleft()))
            self._consumer.taken()
            given += 1
            if given % TURN == 0:
                await asyncio.sleep(0)

    def _on_pumped(self, pump: "asyncio.Task[None]") -> None:
        self._pump = None
        error = None if pump.cancelled() else pump.exception()
        if error is not None or pump.cancelled():
            cause = SessionLost(f"a delivery was not taken: {type(error).__name__}: {error}" if error else "cancelled")
            cause.__cause__ = error
            self._lose(cause)
        self._start_pump()

    def _delivery(self, incoming: Incoming) -> Delivery:
        origin = self._topology.origin(incoming.exchange, incoming.key)
        if origin is None or incoming.content_type not in (CONTENT_TYPE, ""):
            log.info("%s does not believe a message by %s", self._topology.party, incoming.exchange)
            inbox = Inbox(self._topology.party)
            return Delivery(body=incoming.body, address=inbox, sender=None, proof=Proof.NONE)
        answer = self._topology.answer(incoming.reply_to, origin.sender) if incoming.reply_to else None
        return Delivery(
            body=incoming.body,
            address=origin.address,
            sender=origin.sender,
            proof=self._has.proof,
            reply_to=ReplyTo(_Answer(self._topology.domain, answer)) if answer is not None else None,
            correlation_id=incoming.correlation_id,
            redelivered=incoming.redelivered,
            headers=incoming.headers,
        )

    async def _hand_over(self, delivery: Delivery) -> None:
        found = self._subscriptions.get(delivery.address, [])
        if isinstance(delivery.address, Presence):
            found = [*found, *self._subscriptions.get(Presence(), [])]
        for subscription in tuple(found):
            if subscription.is_live and not self._is_over:
                await subscription.deliver(delivery)

    # ---------------------------------------------------------------- the end

    def _broken(self, cause: Exception) -> None:
        self._lose(_errors.lost(cause))

    def _lose(self, cause: TransportError) -> None:
        """End the session; only the first time is told."""
        if self._is_over:
            return
        self._cause = cause
        for worker in self._workers:
            worker.stop()
        self._publisher.end_all(cause)
        self._observer.lost(cause)

    async def aclose(self) -> None:
        """Close; idempotent, and within `CLOSE` even where nothing answers."""
        self.abandon()
        started = [worker.ended for worker in self._workers if worker.is_started]
        if started:
            await asyncio.wait(started, timeout=CLOSE)
        pump = self._pump
        if pump is not None and pump is not asyncio.current_task():
            await asyncio.wait([pump], timeout=CLOSE)


def _unbind(its: Wire, bindings: tuple[Binding, ...]) -> None:
    for binding in bindings:
        its.unbind(binding)
