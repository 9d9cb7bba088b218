"""One session with RabbitMQ: addresses become routes and queues, and what comes is looked at before it is believed."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial

from aiormq.abc import AbstractChannel

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
from iec62746_rabbitmq._lane import CONTENT_TYPE, Consumer, Incoming, Lane, Parcel
from iec62746_rabbitmq._topology import EXCHANGES, Binding, Queue, Route, Topology

log = logging.getLogger(__name__)

MAX_MESSAGE = 8_388_608
"""Octets of the largest message; RabbitMQ 4 takes 16 MiB at most, unless told otherwise."""

_COPIES = frozenset({"CC", "BCC"})
_ROUTED, _BROKER = Receipt(ReceiptLevel.ROUTED), Receipt(ReceiptLevel.BROKER)


@dataclass(frozen=True, slots=True)
class _Answer:
    """Where a message may be answered."""

    domain: str
    route: Route


class RabbitSubscription:
    """One subscription of one session."""

    __slots__ = ("_session", "address", "deliver", "is_live")

    def __init__(self, session: "RabbitSession", address: Address, deliver: Deliver) -> None:
        """Have `deliver` called for what comes to `address`."""
        self._session, self.address, self.deliver = session, address, deliver
        self.is_live = True

    async def cancel(self) -> None:
        """End it."""
        if self.is_live:
            self.is_live = False
            await self._session.forget(self)


class RabbitSession:
    """One session: a lane, the queues of its party, and who gets what comes there."""

    def __init__(self, config: Config, observer: Observer, *, user: str, is_open: bool, inbox: str) -> None:
        """Prepare; `attach` gives it the lane that it lives on."""
        self._observer, self._is_open, self._inbox_kind = observer, is_open, inbox
        self._topology = Topology(config.domain, config.party, config.vtn, config.session)
        self._accounts = {**config.accounts, config.party: user}
        self._user_id = "" if is_open else user
        self._proof = Proof.CLAIMED if is_open else Proof.BROKER
        self._lane: Lane | None = None
        self._rest: list[Callable[[], Awaitable[None]]] = []
        self._subscriptions: dict[Address, list[RabbitSubscription]] = {}
        self._consumers: dict[Queue, Consumer] = {}
        self._changing = asyncio.Lock()
        self._cause: TransportError | None = None
        self._is_closed = self._is_blocked = False

    @property
    def topology(self) -> Topology:
        """The names that it uses."""
        return self._topology

    async def attach(self, lane: Lane) -> None:
        """Live on `lane`; in the open way, declare the exchanges."""
        self._lane = lane
        if self._cause is not None:
            raise self._ended()
        if self._is_open:
            await lane.ask("declare the exchanges", self._declare_exchanges)

    def closes(self, close: Callable[[], Awaitable[None]]) -> None:
        """Have `close` called when the session is closed."""
        self._rest.append(close)

    async def _declare_exchanges(self, channel: AbstractChannel) -> None:
        for name in EXCHANGES:
            await channel.exchange_declare(f"{self._topology.domain}.{name}", exchange_type="topic", durable=True)

    # ---------------------------------------------------------------- out

    async def send(self, to: Address | ReplyTo, message: Outgoing) -> Receipt:
        """Publish `message`; to an inbox, or in answer, it is mandatory."""
        lane = self._live()
        if len(message.body) > MAX_MESSAGE:
            raise TooLarge(f"{len(message.body)} octets: this transport takes {MAX_MESSAGE}")
        if message.expires <= time.time():
            raise Expired("its Deadline has passed")
        is_mandatory = isinstance(to, ReplyTo) or isinstance(to, Inbox)
        route = self._answer_route(to) if isinstance(to, ReplyTo) else self._topology.route(to)
        reply_to = ""
        if message.expects_reply and not isinstance(to, ReplyTo):
            reply_to = self._topology.reply_key(to)
        await lane.publish(
            Parcel(
                exchange=route.exchange,
                key=route.key,
                body=message.body,
                expires=message.expires,
                is_mandatory=is_mandatory,
                correlation_id=message.correlation_id,
                reply_to=reply_to,
                user_id=self._user_id,
                headers=message.headers,
            )
        )
        return _ROUTED if is_mandatory else _BROKER

    def _answer_route(self, to: ReplyTo) -> Route:
        answer = to.token
        if (
            not isinstance(answer, _Answer)
            or answer.domain != self._topology.domain
            or not self._topology.may_answer(answer.route)
        ):
            raise PermissionDenied("this reply address was made by another transport, or for another domain or party")
        return answer.route

    def _live(self) -> Lane:
        if self._lane is None or self._cause is not None or self._is_closed:
            raise self._ended()
        return self._lane

    def _ended(self) -> TransportError | Closed:
        if self._cause is None:
            return Closed("the session is closed: open another")
        error = SessionLost(f"the session is lost: {self._cause}", outcome=Outcome.NOT_SENT)
        error.__cause__ = self._cause
        return error

    # ---------------------------------------------------------------- subscriptions

    async def subscribe(self, address: Address, deliver: Deliver) -> RabbitSubscription:
        """Bind, and consume where nothing of that queue is consumed yet; live when it returns."""
        lane = self._live()
        bindings = self._topology.bindings(address)
        subscription = RabbitSubscription(self, address, deliver)
        async with self._changing:
            self._subscriptions.setdefault(address, []).append(subscription)
            try:
                for binding in bindings:
                    await self._bind(lane, binding)
            except BaseException:
                subscription.is_live = False
                self._drop(subscription)
                raise
        self._live()
        return subscription

    async def _bind(self, lane: Lane, binding: Binding) -> None:
        queue = binding.queue
        what = f"bind {queue.name} to {binding.exchange} by {binding.key}"
        await lane.ask(what, partial(self._declare_and_bind, binding))
        if queue not in self._consumers:
            self._consumers[queue] = await lane.consume(queue.name, partial(self._take, queue))

    async def _declare_and_bind(self, binding: Binding, channel: AbstractChannel) -> None:
        queue = binding.queue
        if queue not in self._consumers:
            await channel.queue_declare(
                queue.name,
                durable=queue.is_shared,
                exclusive=not queue.is_shared,
                arguments=queue.arguments(is_open=self._is_open, kind=self._inbox_kind) or None,
            )
        await channel.queue_bind(queue.name, binding.exchange, routing_key=binding.key)

    async def forget(self, subscription: RabbitSubscription) -> None:
        """End `subscription`."""
        async with self._changing:
            self._drop(subscription)
            if subscription.address in self._subscriptions or self._lane is None or self._cause or self._is_closed:
                return
            # What is shared first: what comes there meanwhile is not to be taken for nobody, but for another replica.
            for binding in sorted(
                self._topology.bindings(subscription.address), key=lambda one: one.queue.is_shared, reverse=True
            ):
                await self._unbind(self._lane, binding)

    async def _unbind(self, lane: Lane, binding: Binding) -> None:
        queue = binding.queue
        if queue.is_shared:
            # Its binding is every replica's.
            if (consumer := self._consumers.pop(queue, None)) is not None:
                await consumer.cancel()
            return
        try:
            await lane.ask(f"unbind {queue.name}", partial(_unbound, binding))
        except TransportError as exc:
            log.info("%s stays bound to %s until the session ends: %s", queue.name, binding.key, exc)

    def _drop(self, subscription: RabbitSubscription) -> None:
        some = self._subscriptions.get(subscription.address, [])
        if subscription in some:
            some.remove(subscription)
        if not some:
            self._subscriptions.pop(subscription.address, None)

    # ---------------------------------------------------------------- in

    async def _take(self, queue: Queue, message: Incoming) -> None:
        delivery = self._delivery(queue, message)
        for subscription in self._receivers(delivery):
            if self._cause is not None or self._is_closed:
                raise self._ended()  # not taken: it is not to be acked
            if subscription.is_live:
                await subscription.deliver(delivery)

    def _delivery(self, queue: Queue, message: Incoming) -> Delivery:
        place = self._topology.place(queue, message.exchange, message.key)
        if place is None:
            return self._unproven(message, f"{message.exchange} {message.key} leads not to {queue.name}")
        if (flaw := self._flaw(message, place.sender)) is not None:
            return self._unproven(message, flaw, place.address)
        answer = self._topology.answer(message.reply_to, place.sender) if message.reply_to else None
        return Delivery(
            body=message.body,
            address=place.address,
            sender=place.sender,
            proof=self._proof,
            reply_to=ReplyTo(_Answer(self._topology.domain, answer)) if answer is not None else None,
            correlation_id=message.correlation_id,
            redelivered=message.redelivered,
            headers=message.headers,
        )

    def _flaw(self, message: Incoming, sender: str) -> str | None:
        """Return why `message` is not believed to be from `sender`, or None."""
        if message.content_type not in (CONTENT_TYPE, ""):
            return f"content_type is {message.content_type!r}, not {CONTENT_TYPE}"
        if not _COPIES.isdisjoint(message.headers):
            return "it has a header CC or BCC, which leads past the rights on keys"
        # The broker checks user_id where there is one: so there has to be one.
        if not self._is_open and message.user_id != self._accounts.get(sender, sender):
            return f"user_id is {message.user_id or 'absent'}"
        return None

    def _unproven(self, message: Incoming, why: str, address: Address | None = None) -> Delivery:
        """Return what the core counts and drops: nobody proves who sent it."""
        log.info("%s does not believe a message: %s", self._topology.party, why)
        return Delivery(
            body=message.body,
            address=address or Inbox(self._topology.party),
            sender=None,
            proof=Proof.NONE,
            redelivered=message.redelivered,
        )

    def _receivers(self, delivery: Delivery) -> tuple[RabbitSubscription, ...]:
        found = self._subscriptions.get(delivery.address, [])
        if type(delivery.address) is Presence:
            found = [*found, *self._subscriptions.get(Presence(), [])]
        if not found and delivery.proof is Proof.NONE and self._subscriptions:
            # Somebody has to hear of it.
            found = next(iter(self._subscriptions.values()))
        return tuple(found)

    # ---------------------------------------------------------------- what the lane tells

    def lost(self, cause: TransportError) -> None:
        """End the session; only the first time is told."""
        if self._cause is not None or self._is_closed:
            return
        self._cause = cause
        self._observer.lost(cause)

    def blocked(self, is_blocked: bool) -> None:
        """Tell that the broker takes no more, or again."""
        if self._cause is None and not self._is_closed and is_blocked != self._is_blocked:
            self._is_blocked = is_blocked
            self._observer.blocked(is_blocked)

    def gone(self, party: str) -> None:
        """Tell that the last session of `party` ended, if its presence is subscribed to."""
        wanted = Presence() in self._subscriptions or Presence(party) in self._subscriptions
        if wanted and self._cause is None and not self._is_closed:
            self._observer.gone(party)

    # ---------------------------------------------------------------- the end

    async def aclose(self) -> None:
        """Close."""
        self._is_closed = True
        for close in self._rest:
            await close()
        if self._lane is not None:
            await self._lane.aclose()


async def _unbound(binding: Binding, channel: AbstractChannel) -> None:
    await channel.queue_unbind(binding.queue.name, binding.exchange, routing_key=binding.key)
