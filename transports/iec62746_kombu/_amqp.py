"""A connection of AMQP 0-9-1 by py-amqp: exclusive queues, confirms, returns, acknowledgements, heartbeats."""

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final

from iec62746 import Config, NoReceiver, Overloaded, TransportError
from iec62746_kombu._topology import Binding, Topology
from iec62746_kombu._url import Place
from iec62746_kombu._wire import ANSWER, LENGTH, KombuWire, Parcel, Settle, Take

HEARTBEAT: Final = 5
"""Seconds of AMQP's heartbeat."""
PREFETCH: Final = 500
"""Deliveries that a broker of AMQP sends ahead, over all queues of a session."""
OCTETS: Final = 67_108_864
"""Octets that a queue of AMQP holds."""
WINDOW: Final = 64
"""Messages that wait for their confirms at once."""
LONGEST: Final = 4_294_967.0
"""Seconds: the largest expiration of AMQP."""


class AmqpWire(KombuWire):
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
