"""What the conformance kit needs to test RabbitMQ: a private node, provisioned or open, that it may hurt.

    iec62746 transport conform amqp://private                    # this machine's RabbitMQ, provisioned
    iec62746 transport conform 'amqp://private?declare=true'     # the same, open
    iec62746 transport conform amqp://private4                   # RabbitMQ 4, where scripts/rabbitmq4 put it
    iec62746 transport conform amqps://private                   # by TLS, with certificates instead of passwords

Any other host is used as it is, and nothing is done to it but on the wire.
"""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from importlib import metadata
from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

import aiormq
from aiormq.exceptions import DeliveryError

from iec62746 import Domain
from iec62746.testing.harness import Access, BareHarness, Certificates, Endpoint, Harness, redirected
from iec62746_rabbitmq import _passwords
from iec62746_rabbitmq._lane import PREFETCH
from iec62746_rabbitmq.private import MEMORY, PrivateBroker, rabbitmq4
from iec62746_rabbitmq.provision import RabbitProvisioner

PLUGINS: Final = ("rabbitmq_management", "rabbitmq_event_exchange")
EXTERNAL: Final = "rabbitmq_auth_mechanism_ssl"
"""The plugin by which an account logs in by certificate."""
REFUSALS: Final = (
    "deprecated_features.permit.transient_nonexcl_queues = false",
    "deprecated_features.permit.global_qos = false",
)
"""What RabbitMQ 4.3 refuses without being told; earlier ones do when they are."""
FILLER: Final = b"filler"
SERVER: Final = "localhost"
"""The name in the node's own certificate."""


def harness(url: str) -> Harness:
    """Return the harness for `url`: of a private node where the host is `private` or `private4`, else a bare one."""
    return RabbitHarness(url) if urlsplit(url).hostname in ("private", "private4") else BareHarness(url)


def tls_config(certificates: Certificates) -> list[str]:
    """Return the lines of rabbitmq.conf by which accounts log in by certificate (EXTERNAL), or by password (PLAIN)."""
    certificate, key = certificates.files(SERVER)
    return [
        f"ssl_options.cacertfile = {certificates.ca_file}",
        f"ssl_options.certfile = {certificate}",
        f"ssl_options.keyfile = {key}",
        "ssl_options.verify = verify_peer",
        # Who shows no certificate is refused by AMQP, which says why; by TLS it would be a reset now and then.
        "ssl_options.fail_if_no_peer_cert = false",
        "ssl_cert_login_from = common_name",
        "auth_mechanisms.1 = PLAIN",
        "auth_mechanisms.2 = EXTERNAL",
    ]


class RabbitHarness(Harness):
    """A private RabbitMQ: its version by the host, provisioned or open by `?declare=`, the rest of the query as it is.

    By amqps:// the parties connect by TLS, each with a certificate, and their accounts have no password.
    With `events=amqp://private` the URL of `?events=` is made, with the account of the private node.
    """

    def __init__(self, url: str) -> None:
        """Prepare; the node starts with the first `set_up`."""
        super().__init__(url)
        parts = urlsplit(url)
        self._is_4 = parts.hostname == "private4"
        self._query = dict(parse_qsl(parts.query))
        self._is_open = self._query.get("declare") == "true"
        self._has_tls = parts.scheme == "amqps"
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._certificates: Certificates | None = None
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
            self._broker = self._made()
            self._broker.start()
        self._domains.append(domain)
        if not self._is_open:
            self._provision(domain)

    def _made(self) -> PrivateBroker:
        root, config = (rabbitmq4(), list(REFUSALS)) if self._is_4 else (None, [])
        if not self._has_tls:
            return PrivateBroker(root=root, plugins=PLUGINS, config=config)
        self._folder = tempfile.TemporaryDirectory(prefix="iec62746-certificates-")
        self._certificates = Certificates(Path(self._folder.name))
        config += tls_config(self._certificates)
        return PrivateBroker(root=root, plugins=(*PLUGINS, EXTERNAL), config=config, has_tls=True)

    def _provision(self, domain: Domain) -> None:
        at = self.broker.management.replace("://", "://guest:guest@")
        path = None if self._has_tls else self.broker.folder / "passwords"
        RabbitProvisioner().apply(domain, at, passwords=path)
        if path is not None:
            self._passwords |= _passwords.read(path)

    async def tear_down(self) -> None:
        """Kill the node, and delete its data."""
        if self._broker is not None:
            await asyncio.to_thread(self._broker.close)
        if self._folder is not None:
            self._folder.cleanup()

    def access(self, domain: Domain, party: str, via: Endpoint | None = None) -> Access:
        """Return the URL of the node, with the party's password or certificate beside it."""
        account = domain.party(party).account
        query = dict(self._query)
        if "events" in query:
            query["events"] = self.broker.url(tls=self._has_tls)
        text = urlencode(query, quote_via=quote)
        if self._is_open:
            url = self.broker.url(query=text, tls=self._has_tls)
        else:
            url = self.broker.url(account, None, domain.name, text, self._has_tls)
        urls = (url if via is None else redirected(url, via),)
        if self._certificates is None:
            return Access(urls=urls, password=self._passwords.get(account))
        certificate, key = self._certificates.files(account)
        ca_file = str(self._certificates.ca_file)
        return Access(urls=urls, ca_file=ca_file, certificate_file=str(certificate), key_file=str(key))

    def endpoint(self) -> Endpoint:
        """Return where the node listens."""
        return "127.0.0.1", self.broker.tls_port if self._has_tls else self.broker.port

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
