"""A connection of any other kind: point to point, to queues that are known by the names of parties."""

from typing import Any

from iec62746 import Overloaded, TransportError
from iec62746_kombu._topology import Binding
from iec62746_kombu._wire import LENGTH, POLL, KombuWire, Parcel, Take

_EXCHANGE, _KEY = "Exchange", "RoutingKey"


class PointWire(KombuWire):
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
