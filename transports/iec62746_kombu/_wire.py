"""One connection of kombu's, for one thread only: declares, binds, publishes and drains, each within a known time."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from kombu.connection import Connection
from kombu.entity import Queue
from kombu.messaging import Consumer, Producer

from iec62746 import Config, TransportError
from iec62746_kombu._topology import Binding, Route, Topology
from iec62746_kombu._url import Place

CONNECT: Final = 5
"""Seconds in which a connection has to be there; kombu would try for ever, and we once: the core tries again."""
ANSWER: Final = 10.0
"""Seconds for which an answer is waited for, be it a confirm, before the connection counts as lost."""
LENGTH: Final = 10_000
"""Messages that a queue holds."""
POLL: Final = 0.02
"""Seconds between looks, where there is nothing but looking."""
TICK: Final = 1.0
"""Seconds between signs of life of a connection."""
CONTENT_TYPE: Final = "application/xml"


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


class KombuWire:
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
        # kombu writes into what it is given.
        tls: Any = dict(self._place.tls or {})
        self._connection = Connection(
            self._place.url,
            connect_timeout=CONNECT,
            transport_options=self._options(),
            ssl=tls or False,
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
