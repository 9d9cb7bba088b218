"""One connection of kombu's, for one thread only: declares, binds, publishes and drains, each within a known time."""

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, Protocol

from kombu.connection import Connection
from kombu.entity import Queue
from kombu.messaging import Consumer, Producer

from iec62746 import Config, NoReceiver, Overloaded, TransportError
from iec62746_kombu._errors import Removed
from iec62746_kombu._leases import Leases
from iec62746_kombu._topology import Binding, Route, Topology
from iec62746_kombu._url import Kind, Place

CONNECT: Final = 5
"""Seconds in which a connection has to be there; kombu would try for ever, and we once: the core tries again."""
ANSWER: Final = 10.0
"""Seconds for which an answer is waited for, be it a confirm, before the connection counts as lost."""
HEARTBEAT: Final = 5
"""Seconds of AMQP's heartbeat."""
PREFETCH: Final = 500
"""Deliveries that a broker of AMQP sends ahead, over all queues of a session."""
LENGTH: Final = 10_000
"""Messages that a queue holds."""
OCTETS: Final = 67_108_864
"""Octets that a queue of AMQP holds."""
WINDOW: Final = 64
"""Messages that wait for their confirms at once."""
POLL: Final = 0.02
"""Seconds between looks, where there is nothing but looking."""
TICK: Final = 1.0
"""Seconds between signs of life of a connection."""
CONTENT_TYPE: Final = "application/xml"
LONGEST: Final = 4_294_967.0
"""Seconds: the largest expiration of AMQP."""

_EXCHANGE, _KEY = "Exchange", "RoutingKey"


@dataclass(frozen=True, slots=True, kw_only=True)
class Parcel:
    """What is published, and where."""

    route: Route
    body: bytes
    expires: float
    is_mandatory: bool
    correlation_id: str = ""
    reply_to: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Incoming:
    """What came, and where it had been published."""

    body: bytes
    exchange: str
    key: str
    content_type: str
    correlation_id: str
    reply_to: str
    redelivered: bool
    headers: Mapping[str, Any]


Take = Callable[[Incoming, Any], None]
"""Takes what came, and the tag to acknowledge it by."""
Settle = Callable[[int, TransportError | None], None]
"""Takes the outcome of the parcel with that index; None: it was taken."""


class Wire(Protocol):
    """What either thread of a session has."""

    window: int
    """Parcels that may be on their way at once."""

    def open(self) -> None:
        """Connect; raises what kombu raises."""
        ...

    def publish(self, parcels: Sequence[Parcel], settle: Settle) -> None:
        """Publish all of them, and return when each is settled; raises what ends the connection."""
        ...

    def bind(self, binding: Binding) -> None:
        """Declare and bind a queue of the session's."""
        ...

    def unbind(self, binding: Binding) -> None:
        """Undo that, where it can be."""
        ...

    def consume(self, queue: str, take: Take) -> None:
        """Have `take` called, in `drain`, for what comes to `queue`."""
        ...

    def drain(self, seconds: float) -> None:
        """Wait for something to come, for so long."""
        ...

    def ack(self, tag: Any) -> None:
        """Acknowledge all up to `tag`."""
        ...

    def tick(self) -> None:
        """Give a sign of life, if it is time; raises if the other end gave none."""
        ...

    def close(self, *, is_lost: bool) -> None:
        """Close; what cannot be said any more is not said."""
        ...


def wire(place: Place, config: Config, topology: Topology, *, has_lease: bool) -> Wire:
    """Return an unopened connection to `place`; the one that `has_lease` keeps the session alive, and ends the dead."""
    if place.kind is Kind.AMQP:
        return AmqpWire(place, config, topology)
    if place.kind is Kind.LEASED:
        return LeasedWire(place, config, topology, has_lease)
    return PointWire(place, config, topology)


class _Wire:
    """What all kinds have in common."""

    window = 1

    def __init__(self, place: Place, config: Config, topology: Topology) -> None:
        """Prepare to connect."""
        self._place, self._config, self._topology = place, config, topology
        self._connection: Any = None
        self._channel: Any = None
        self._producer: Any = None
        self._consumers: list[Any] = []
        self._next_tick = 0.0

    # ---------------------------------------------------------------- its life

    def open(self) -> None:
        """Connect once, and declare the exchanges: whoever publishes, and whoever binds, has to."""
        password = self._config.password
        self._connection = Connection(
            self._place.url,
            connect_timeout=CONNECT,
            transport_options=self._options(),
            **self._own(),
        )
        if password is not None and self._connection.userid is None:
            self._connection.userid, self._connection.password = self._config.account, password
        self._connection.ensure_connection(max_retries=0, reraise_as_library_errors=False)
        self._opened()
        self._channel = self._connection.channel()
        self._declare()
        self._producer = Producer(self._channel, auto_declare=False)

    def _own(self) -> dict[str, Any]:
        """Return the options that only this kind has."""
        return {}

    def _options(self) -> dict[str, Any]:
        """Return kombu's transport_options."""
        return {}

    def _opened(self) -> None:
        """Do what can be done only now."""

    def _declare(self) -> None:
        for exchange in self._topology.exchanges:
            self._channel.exchange_declare(exchange, "topic", durable=True, auto_delete=False)

    def tick(self) -> None:
        """Give a sign of life each `TICK`."""
        now = time.monotonic()
        if now >= self._next_tick:
            self._next_tick = now + TICK
            self._live()

    def _live(self) -> None:
        """Give it."""

    def close(self, *, is_lost: bool) -> None:
        """Close."""
        connection, self._connection = self._connection, None
        if connection is not None:
            if is_lost:
                connection.collect()
            else:
                self._leave()
            connection.release()

    def _leave(self) -> None:
        """Take the session's queues away."""

    # ---------------------------------------------------------------- in

    def bind(self, binding: Binding) -> None:
        """Declare and bind."""
        self._channel.queue_declare(binding.queue, durable=False, auto_delete=False)
        self._channel.queue_bind(binding.queue, binding.exchange, routing_key=binding.key)

    def unbind(self, binding: Binding) -> None:
        """Leave it bound: kombu cannot unbind everywhere, and who calls us does not deliver what comes still."""

    def consume(self, queue: str, take: Take) -> None:
        """Consume without acknowledgement: what a dead session had would be given to others, an hour later."""
        self._consume(queue, take, no_ack=True)

    def _consume(self, queue: str, take: Take, *, no_ack: bool) -> None:
        def on_message(message: Any) -> None:
            take(self._incoming(message), message.delivery_tag)

        consumer = Consumer(
            self._channel,
            [Queue(queue, no_declare=True)],
            no_ack=no_ack,
            auto_declare=False,
            on_message=on_message,
            accept=None,
        )
        consumer.consume()
        self._consumers.append(consumer)

    def _incoming(self, message: Any) -> Incoming:
        exchange, key = self._published(message)
        properties = message.properties
        body = message.body
        return Incoming(
            body=body.encode() if isinstance(body, str) else bytes(body),
            exchange=exchange,
            key=key,
            content_type=message.content_type or "",
            correlation_id=properties.get("correlation_id") or "",
            reply_to=properties.get("reply_to") or "",
            redelivered=bool(message.delivery_info.get("redelivered")),
            headers=message.headers or {},
        )

    def _published(self, message: Any) -> tuple[str, str]:
        """Return exchange and key."""
        return message.delivery_info["exchange"], message.delivery_info["routing_key"]

    def drain(self, seconds: float) -> None:
        """Wait for something to come."""
        try:
            self._connection.drain_events(timeout=seconds)
        except TimeoutError:
            pass

    def ack(self, tag: Any) -> None:
        """Do nothing: nothing is kept."""

    # ---------------------------------------------------------------- out

    def publish(self, parcels: Sequence[Parcel], settle: Settle) -> None:
        """Publish them one by one: each is taken when kombu returns."""
        for index, parcel in enumerate(parcels):
            settle(index, self._publish_one(parcel))

    def _publish_one(self, parcel: Parcel) -> TransportError | None:
        self._publish(parcel, parcel.route.exchange, parcel.route.key)
        return None

    def _publish(self, parcel: Parcel, exchange: str, key: str, **options: Any) -> None:
        headers = {**parcel.headers, **options.pop("headers", {})}
        if parcel.reply_to:
            options["reply_to"] = parcel.reply_to
        self._producer.publish(
            parcel.body,
            exchange=exchange,
            routing_key=key,
            content_type=CONTENT_TYPE,
            content_encoding="binary",
            headers=headers,
            delivery_mode=1,
            correlation_id=parcel.correlation_id,
            retry=False,
            **options,
        )


class AmqpWire(_Wire):
    """AMQP 0-9-1 by py-amqp: exclusive queues, confirms, returns, acknowledgements, heartbeats."""

    window = WINDOW

    def __init__(self, place: Place, config: Config, topology: Topology) -> None:
        """Prepare."""
        super().__init__(place, config, topology)
        self._tag = 0
        self._unconfirmed: dict[int, Callable[[TransportError | None], None]] = {}
        self._returned: set[int] = set()

    def open(self) -> None:
        """Connect, and hear of confirms and returns: kombu would wait for each confirm before the next message."""
        super().open()
        self._channel.confirm_select()
        self._channel.events["basic_ack"].add(self._on_ack)
        self._channel.events["basic_nack"].add(self._on_nack)
        self._channel.events["basic_return"].add(self._on_return)
        self._channel.auto_decode = False

    def _own(self) -> dict[str, Any]:
        return {"heartbeat": HEARTBEAT}

    def _options(self) -> dict[str, Any]:
        return {"client_properties": {"connection_name": self._topology.owner}}

    def _opened(self) -> None:
        # py-amqp waits for ever otherwise, for each answer that has no limit of its own.
        self._connection.connection.transport.sock.settimeout(ANSWER)

    def _live(self) -> None:
        self._connection.heartbeat_check()
        self.drain(0)

    def bind(self, binding: Binding) -> None:
        """Declare an exclusive queue, which ends with the connection, and bind it."""
        is_inbox = binding.queue == self._topology.inbox
        arguments = {
            "x-max-length": LENGTH,
            "x-max-length-bytes": OCTETS,
            # A full inbox refuses; but one slow VEN must not refuse what the others get.
            "x-overflow": "reject-publish" if is_inbox else "drop-head",
        }
        self._channel.queue_declare(
            binding.queue, durable=False, exclusive=True, auto_delete=False, arguments=arguments
        )
        self._channel.queue_bind(binding.queue, binding.exchange, routing_key=binding.key)

    def unbind(self, binding: Binding) -> None:
        """Unbind."""
        self._channel.queue_unbind(binding.queue, binding.exchange, routing_key=binding.key)

    def consume(self, queue: str, take: Take) -> None:
        """Consume, a bounded number ahead."""
        # Of each of the two queues: RabbitMQ 4.3 knows no limit for a channel any more.
        self._channel.basic_qos(0, PREFETCH // 2, False)
        self._consume(queue, take, no_ack=False)

    def ack(self, tag: Any) -> None:
        """Acknowledge all up to `tag`."""
        self._channel.basic_ack(tag, multiple=True)

    def publish(self, parcels: Sequence[Parcel], settle: Settle) -> None:
        """Publish all, then wait for the confirms; the return of what nobody takes comes before its confirm."""
        for index, parcel in enumerate(parcels):
            self._tag += 1
            self._unconfirmed[self._tag] = partial(settle, index)
            self._publish(
                parcel,
                parcel.route.exchange,
                parcel.route.key,
                mandatory=parcel.is_mandatory,
                # By nothing else can a return be told from another.
                message_id=str(self._tag),
                expiration=min(max(parcel.expires - time.time(), 0.0), LONGEST),
                timeout=ANSWER,
            )
        while self._unconfirmed:
            self._connection.drain_events(timeout=ANSWER)

    def _on_ack(self, tag: int, multiple: bool) -> None:
        for one in self._confirmed(tag, multiple):
            is_returned = one in self._returned
            self._returned.discard(one)
            self._unconfirmed.pop(one)(NoReceiver("nobody is there to take it") if is_returned else None)

    def _on_nack(self, tag: int, multiple: bool) -> None:
        for one in self._confirmed(tag, multiple):
            self._unconfirmed.pop(one)(Overloaded("the queue is full"))

    def _confirmed(self, tag: int, multiple: bool) -> list[int]:
        return [one for one in self._unconfirmed if one <= tag] if multiple else [tag]

    def _on_return(self, _cause: Exception, _exchange: str, _key: str, message: Any) -> None:
        self._returned.add(int(message.properties["message_id"]))


class LeasedWire(_Wire):
    """Redis and the filesystem: kombu keeps bindings for all; that a session is dead is for the others to notice."""

    def __init__(self, place: Place, config: Config, topology: Topology, has_lease: bool) -> None:
        """Prepare."""
        super().__init__(place, config, topology)
        self._has_lease = has_lease
        self._leases: Leases | None = None
        self._is_bound = False

    def _own(self) -> dict[str, Any]:
        if self._place.is_redis:
            return {"transport": "iec62746_kombu._redis.RedisTransport"}
        return {"transport": "iec62746_kombu._filesystem.FilesystemTransport"}

    def _options(self) -> dict[str, Any]:
        if self._place.is_redis:
            return {
                "socket_timeout": ANSWER,
                "socket_connect_timeout": CONNECT,
                "retry_on_timeout": False,
                "ack_emulation": False,
                "priority_steps": [0],
                "lease": self._place.lease,
            }
        data = os.path.join(self._place.folder, "data")
        control = os.path.join(self._place.folder, "control")
        return {
            "polling_interval": POLL,
            "data_folder_in": data,
            "data_folder_out": data,
            "control_folder": control,
        }

    def open(self) -> None:
        """Connect; take the lease."""
        super().open()
        if self._has_lease:
            leases: Leases = self._channel.leases(self._topology, self._place.lease)
            leases.take()
            self._leases = leases

    def _live(self) -> None:
        if self._leases is None:
            return
        if not self._leases.renew():
            raise Removed("this session was taken for dead, or the communication server lost what it had")
        if self._leases.may_sweep():
            self._sweep(self._leases)

    def _sweep(self, leases: Leases) -> None:
        """Remove the bindings and queues of sessions that have no lease any more."""
        bindings = [
            (queue, exchange, key, pattern)
            for exchange in self._topology.exchanges
            for key, pattern, queue in self._channel.get_table(exchange)
        ]
        owners = {queue: self._topology.owner_of(queue) for queue, *_ in bindings}
        living = leases.living({owner for owner in owners.values() if owner is not None})
        for queue, exchange, key, pattern in bindings:
            if (owner := owners[queue]) is not None and owner not in living:
                # kombu's own, though underlined: its queue_delete removes only what this connection bound.
                self._channel._delete(queue, exchange, key, pattern)
        leases.sweep(self._topology.owner_of)

    def bind(self, binding: Binding) -> None:
        """Bind; from now on there is something to take away."""
        self._is_bound = True
        super().bind(binding)

    def consume(self, queue: str, take: Take) -> None:
        """Consume both queues from the first: kombu's BRPOP, once sent, waits for what it named, for up to 1 s."""
        if not self._consumers:
            for one in (self._topology.inbox, self._topology.events):
                super().consume(one, take)

    def _leave(self) -> None:
        if self._is_bound:
            for queue in (self._topology.inbox, self._topology.events):
                self._channel.queue_delete(queue)
        if self._leases is not None:
            self._leases.drop()


class PointWire(_Wire):
    """Whatever else kombu has: one queue for each party, which whoever writes to it knows by name."""

    def _options(self) -> dict[str, Any]:
        return {"polling_interval": POLL} if self._place.name not in ("sqlalchemy", "sqla") else {}

    def _declare(self) -> None:
        """Declare nothing: bindings would be this connection's only."""

    def bind(self, binding: Binding) -> None:
        """Declare the party's queue."""
        self._channel.queue_declare(self._topology.queue_of(self._topology.party))

    def consume(self, queue: str, take: Take) -> None:
        """Consume the party's queue, once."""
        if not self._consumers:
            super().consume(self._topology.queue_of(self._topology.party), take)

    def _published(self, message: Any) -> tuple[str, str]:
        headers = message.headers or {}
        return str(headers.pop(_EXCHANGE, "")), str(headers.pop(_KEY, ""))

    def _publish_one(self, parcel: Parcel) -> TransportError | None:
        """Write to each queue that the route leads to, unless it is full."""
        where = {_EXCHANGE: parcel.route.exchange, _KEY: parcel.route.key}
        for queue in self._topology.queues_of(parcel.route):
            if self._channel.queue_declare(queue).message_count < LENGTH:
                self._publish(parcel, "", queue, headers=where)
            elif parcel.is_mandatory:
                return Overloaded(f"{queue} is full")
        return None
