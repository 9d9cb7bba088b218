"""A connection to Redis or a folder: kombu keeps bindings for all; that a session died is for the others to notice."""

import os
from typing import Any

from iec62746 import Config
from iec62746_kombu._errors import Removed
from iec62746_kombu._leases import Leases
from iec62746_kombu._topology import Binding, Topology
from iec62746_kombu._url import Place
from iec62746_kombu._wire import ANSWER, CONNECT, POLL, KombuWire, Take


class LeasedWire(KombuWire):
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
