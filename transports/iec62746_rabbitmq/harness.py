"""What the conformance kit needs to test RabbitMQ: a private node, provisioned or open, that it may hurt.

    iec62746 transport conform amqp://private                    # this machine's RabbitMQ, provisioned
    iec62746 transport conform 'amqp://private?declare=true'     # the same, open
    iec62746 transport conform amqp://private4                   # RabbitMQ 4, where scripts/rabbitmq4 put it

Any other host is used as it is, and nothing is done to it but on the wire.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from importlib import metadata
from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

import aiormq
from aiormq.exceptions import DeliveryError

from iec62746 import Domain
from iec62746.testing.harness import Access, BareHarness, Endpoint, Harness, redirected
from iec62746_rabbitmq import _passwords
from iec62746_rabbitmq._lane import PREFETCH
from iec62746_rabbitmq.private import MEMORY, PrivateBroker, rabbitmq4
from iec62746_rabbitmq.provision import RabbitProvisioner

PLUGINS: Final = ("rabbitmq_management", "rabbitmq_event_exchange")
REFUSALS: Final = (
    "deprecated_features.permit.transient_nonexcl_queues = false",
    "deprecated_features.permit.global_qos = false",
)
"""What RabbitMQ 4.3 refuses without being told; earlier ones do when they are."""
FILLER: Final = b"filler"


def harness(url: str) -> Harness:
    """Return the harness for `url`: of a private node where the host is `private` or `private4`, else a bare one."""
    return RabbitHarness(url) if urlsplit(url).hostname in ("private", "private4") else BareHarness(url)


class RabbitHarness(Harness):
    """A private RabbitMQ: its version by the host, provisioned or open by `?declare=`, the rest of the query as it is.

    With `events=amqp://private` the URL of `?events=` is made, with the account of the private node.
    """

    def __init__(self, url: str) -> None:
        """Prepare; the node starts with the first `set_up`."""
        super().__init__(url)
        parts = urlsplit(url)
        self._is_4 = parts.hostname == "private4"
        self._query = dict(parse_qsl(parts.query))
        self._is_open = self._query.get("declare") == "true"
        self._broker: PrivateBroker | None = None
        self._passwords: dict[str, str] = {}
        self._domains: list[Domain] = []

    @property
    def broker(self) -> PrivateBroker:
        """The node."""
        assert self._broker is not None, "set up first"
        return self._broker

    async def set_up(self, domain: Domain) -> None:
        """Start the node if it does not run; provision `domain`."""
        await asyncio.to_thread(self._set_up, domain)

    def _set_up(self, domain: Domain) -> None:
        if self._broker is None:
            root, config = (rabbitmq4(), REFUSALS) if self._is_4 else (None, ())
            self._broker = PrivateBroker(root=root, plugins=PLUGINS, config=config)
            self._broker.start()
        self._domains.append(domain)
        if not self._is_open:
            path = Path(self.broker.folder) / "passwords"
            at = self.broker.management.replace("://", "://guest:guest@")
            RabbitProvisioner().apply(domain, at, passwords=path)
            self._passwords |= _passwords.read(path)

    async def tear_down(self) -> None:
        """Kill the node, and delete its data."""
        if self._broker is not None:
            await asyncio.to_thread(self._broker.close)

    def access(self, domain: Domain, party: str, via: Endpoint | None = None) -> Access:
        """Return the URL of the node, with the party's password beside it."""
        account = domain.party(party).account
        query = dict(self._query)
        if "events" in query:
            query["events"] = self.broker.url()
        text = urlencode(query, quote_via=quote)
        if self._is_open:
            url, password = self.broker.url(query=text), None
        else:
            url, password = self.broker.url(account, None, domain.name, text), self._passwords[account]
        return Access(urls=(url if via is None else redirected(url, via),), password=password)

    def endpoint(self) -> Endpoint:
        """Return where the node listens."""
        return "127.0.0.1", self.broker.port

    def versions(self) -> Mapping[str, str]:
        """Return the versions of RabbitMQ and of its client."""
        return {"rabbitmq": self.broker.ctl("version").strip(), "aiormq": metadata.version("aiormq")}

    # ---------------------------------------------------------------- hooks

    async def restart(self) -> None:
        """Kill the node and start it again, on its data."""
        await asyncio.to_thread(self.broker.kill)
        await asyncio.to_thread(self.broker.start)

    @asynccontextmanager
    async def pressure(self) -> AsyncIterator[None]:
        """Raise a memory alarm."""
        await self._ctl("set_vm_memory_high_watermark", "absolute", "1MB")
        try:
            yield
        finally:
            await self._ctl("set_vm_memory_high_watermark", "absolute", MEMORY)

    @asynccontextmanager
    async def full(self, domain: Domain, party: str) -> AsyncIterator[None]:
        """Have the party's inbox hold one message, and send it more than it has been sent ahead."""
        mine = [name for name in await self.leftovers(domain) if self._is_inbox(domain, party, name)]
        vhost = self._vhost(domain)
        pattern = "^(" + "|".join(name.replace(".", r"\.") for name in mine) + ")$"
        limit = '{"max-length": 1, "overflow": "reject-publish"}'
        await self._ctl("set_policy", "-p", vhost, "--priority", "99", "--apply-to", "queues", "full", pattern, limit)
        try:
            await self._fill(vhost, mine)
            yield
        finally:
            await self._ctl("clear_policy", "-p", vhost, "full")

    def _is_inbox(self, domain: Domain, party: str, queue: str) -> bool:
        own = f"{domain.name}.vtn.in" if party == domain.vtn else f"{domain.name}.ven.{party}."
        return queue.startswith(own) and not queue.endswith(".ev")

    async def _fill(self, vhost: str, queues: Sequence[str]) -> None:
        url = self.broker.url(vhost=vhost)
        if not self._is_open:
            await self._ctl("set_permissions", "-p", vhost, "guest", "^$", ".*", "^$")
        async with aiormq.connect(url) as connection:
            channel = await connection.channel()
            for queue in queues:
                # The policy works a moment after it was set: so until it refuses, again and again.
                refused = 0
                while refused < PREFETCH:
                    try:
                        await channel.basic_publish(FILLER, routing_key=queue)
                    except DeliveryError:
                        refused += 1

    @asynccontextmanager
    async def revoked(self, domain: Domain, party: str) -> AsyncIterator[None]:
        """Take away the rights of the party's account, and end its connections, which remember what they may."""
        account = domain.party(party).account if not self._is_open else "guest"
        vhost = self._vhost(domain)
        await self._ctl("clear_permissions", "-p", vhost, account)
        try:
            await self._ctl("close_all_user_connections", account, "rights were taken away")
            yield
        finally:
            if self._is_open:
                await self._ctl("set_permissions", "-p", vhost, "guest", ".*", ".*", ".*")
            else:
                await asyncio.to_thread(self._set_up, domain)

    async def leftovers(self, domain: Domain) -> list[str]:
        """Return the queues of the domain, but for that of what expired."""
        names = (await self._ctl("list_queues", "-p", self._vhost(domain), "--no-table-headers", "name")).split()
        return [name for name in names if name.startswith(f"{domain.name}.") and name != f"{domain.name}.dead"]

    def _vhost(self, domain: Domain) -> str:
        return "/" if self._is_open else domain.name

    async def _ctl(self, *arguments: str) -> str:
        return await asyncio.to_thread(self.broker.ctl, *arguments)
