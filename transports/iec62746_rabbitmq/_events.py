"""Evidence that a party is gone, from the broker's own events: plugin `rabbitmq_event_exchange`, `?events=URL`.

That exchange lives in one vhost, so it is read by a connection, and with an account, of its own.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any

from aiormq.abc import AbstractChannel, DeliveredMessage

from iec62746_rabbitmq import _errors
from iec62746_rabbitmq._links import Link, Target, Watch, Wire
from iec62746_rabbitmq._topology import Topology

EXCHANGE = "amq.rabbitmq.event"


class Events:
    """Tells when the last session of a party ended, as far as the broker says."""

    def __init__(
        self, target: Target, vhost: str, topology: Topology, watch: Watch, gone: Callable[[str], None]
    ) -> None:
        """Prepare to tell `gone` about the sessions in `vhost`."""
        self._link = Link(target, "the broker's events", Wire())
        self._vhost, self._topology, self._watch, self._gone = vhost, topology, watch, gone
        self._live: defaultdict[str, set[str]] = defaultdict(set)

    async def open(self) -> None:
        """Connect and subscribe; raises as `Link.open` and `Link.ask` do."""
        try:
            await self._link.open(self._watch)
            await self._link.ask(f"read {EXCHANGE}", self._subscribe)
        except BaseException:
            await self._link.close()
            raise

    async def _subscribe(self, channel: AbstractChannel) -> None:
        # RabbitMQ 4 tells no consumer.deleted of a clean end; connection.closed does not name the user on 3.10.
        declared = await channel.queue_declare(exclusive=True)
        queue = declared.queue or ""
        for key in ("queue.created", "queue.deleted"):
            await channel.queue_bind(queue, EXCHANGE, routing_key=key)
        channel.closing.add_done_callback(self._on_closing)
        await channel.basic_consume(queue, self._on_event, no_ack=True)

    def _on_closing(self, closing: "asyncio.Future[Any]") -> None:
        exc = None if closing.cancelled() else closing.exception()
        if not self._link.is_closing:
            self._watch.lost(_errors.lost(exc, "the channel of the broker's events"))

    async def _on_event(self, message: DeliveredMessage) -> None:
        headers: Mapping[str, Any] = message.header.properties.headers or {}
        found = self._topology.session_of(str(headers.get("name")))
        if found is None or headers.get("vhost") != self._vhost:
            return
        party, session = found
        if message.routing_key == "queue.created":
            self._live[party].add(session)
            return
        # A session that came before we did is not known; then an older one's end is told as the party's.
        self._live[party].discard(session)
        if not self._live[party]:
            del self._live[party]
            self._gone(party)

    async def aclose(self) -> None:
        """Close; idempotent, never raises."""
        await self._link.close()
