"""kombu's Redis, with leases and bounded lists; and without what redis-py and kombu would do again by themselves."""

from collections.abc import Callable
from typing import Any, Final

from kombu.transport import redis
from kombu.utils.json import dumps
from redis.backoff import NoBackoff
from redis.retry import Retry

from iec62746_kombu._topology import Topology
from iec62746_kombu._url import LEASE

LENGTH: Final = 10_000
"""Messages that a list holds; the oldest goes for a newer one."""
TABLES: Final = ("keyprefix_queue", "keyprefix_binding_permanent")
"""Of a channel: how kombu calls the tables of bindings of an exchange."""


class RedisChannel(redis.Channel):
    """A channel whose lists are bounded in length and end with their reader, and whose tables with the last of all."""

    lease = LEASE
    from_transport_options: Any = (*redis.Channel.from_transport_options, "lease")

    def _put(self, queue: str, message: Any, **_: Any) -> None:
        """Append `message`, in one round trip; its reader keeps the list for as long as it is alive."""
        with self.conn_or_acquire() as client, client.pipeline(transaction=False) as pipe:
            pipe.lpush(queue, dumps(message))
            pipe.ltrim(queue, 0, LENGTH - 1)
            pipe.pexpire(queue, int(self.lease * 1000))
            pipe.execute()

    def _queue_bind(self, exchange: str, routing_key: str, pattern: str, queue: str) -> None:
        """Bind, for as long as somebody is alive."""
        super()._queue_bind(exchange, routing_key, pattern, queue)  # type: ignore[no-untyped-call]  # kombu's
        with self.conn_or_acquire() as client, client.pipeline(transaction=False) as pipe:
            self.keep((exchange,), pipe)
            pipe.execute()

    def keep(self, exchanges: tuple[str, ...], pipe: Any) -> None:
        """Keep the tables of `exchanges` for one lease more."""
        for exchange in exchanges:
            for name in TABLES:
                pipe.pexpire(getattr(self, name) % exchange, int(self.lease * 1000))

    def _connparams(self, asynchronous: bool = False) -> Any:
        """Never send a command twice: a message that was taken, and whose answer was late, would come twice."""
        parameters: Any = super()._connparams(asynchronous)  # type: ignore[no-untyped-call]  # kombu's
        return {**parameters, "retry": Retry(NoBackoff(), 0)}

    def close(self) -> None:
        """Close at once: kombu would wait for the answer to its BRPOP, for up to 1 s."""
        client = self.__dict__.get("client")
        if self._in_poll and client is not None:
            client.connection.disconnect()
        super().close()  # type: ignore[no-untyped-call]  # kombu's

    def leases(self, topology: Topology, seconds: float) -> "RedisLeases":
        """Return the leases of the domain as this session sees them."""
        return RedisLeases(self, topology, seconds)


class RedisTransport(redis.Transport):
    """kombu's transport, with those channels."""

    Channel = RedisChannel


class RedisLeases:
    """A key for each session, which Redis drops by its own clock."""

    def __init__(self, channel: RedisChannel, topology: Topology, seconds: float) -> None:
        """Prepare for the session."""
        self._channel, self._domain, self._owner = channel, topology.domain, topology.owner
        self._exchanges, self._queues = topology.exchanges, (topology.inbox, topology.events)
        self._lasts = int(seconds * 1000)

    def _key(self, owner: str) -> str:
        return f"{self._domain}.lease.{owner}"

    def take(self) -> None:
        """Be alive."""
        with self._channel.conn_or_acquire() as client:
            client.set(self._key(self._owner), "", px=self._lasts)

    def renew(self) -> bool:
        """Be alive for as long again, and our lists and the tables with us."""
        with self._channel.conn_or_acquire() as client, client.pipeline(transaction=False) as pipe:
            for one in (self._key(self._owner), *self._queues):
                pipe.pexpire(one, self._lasts)
            self._channel.keep(self._exchanges, pipe)
            return bool(pipe.execute()[0])

    def drop(self) -> None:
        """Be dead."""
        with self._channel.conn_or_acquire() as client:
            client.delete(self._key(self._owner))

    def may_sweep(self) -> bool:
        """Take the turn, if it is nobody's."""
        with self._channel.conn_or_acquire() as client:
            return bool(client.set(f"{self._domain}.sweep", self._owner, nx=True, px=self._lasts // 3))

    def living(self, owners: set[str]) -> set[str]:
        """Ask for all at once."""
        asked = sorted(owners)
        if not asked:
            return set()
        with self._channel.conn_or_acquire() as client:
            found = client.mget([self._key(owner) for owner in asked])
        return {owner for owner, value in zip(asked, found, strict=True) if value is not None}

    def sweep(self, owner_of: Callable[[str], str | None]) -> None:
        """Leave it to Redis: such a list goes a lease after its last message."""
