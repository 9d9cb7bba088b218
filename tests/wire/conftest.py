"""The bare clients, and a domain of the test's own, in each way in which a domain can be run."""

import asyncio
import importlib.util
import sys
import tomllib
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any, NoReturn
from urllib.request import Request, urlopen

import pika.exceptions  # type: ignore[import-untyped]  # it has no types
import pytest

from iec62746 import Domain, Notice, VirtualEndNode, VirtualTopNode, What
from iec62746_rabbitmq.private import NoBroker, PrivateBroker, rabbitmq4
from iec62746_rabbitmq.provision import RabbitProvisioner

OPEN = "amqp://guest:guest@127.0.0.1:5672/"


def _loaded(name: str) -> Any:
    """Return the module beside this one: pytest does not put this folder on the path."""
    spec = importlib.util.spec_from_file_location(f"wire_{name}", Path(__file__).with_name(f"{name}.py"))
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


BARE = _loaded("bare")


@dataclass
class Way:
    """One domain on one broker: `north` under a name of the test's own."""

    domain: Domain
    vhost: str
    ours: Callable[[str], str]
    """The URL for a program of ours."""
    theirs: Callable[[str], str]
    """The URL for a bare client."""
    accounts: dict[str, str] | None
    clients: list[Any] = field(default_factory=list)

    def ven(self, party: str = "battery", *nodes: str) -> Any:
        """Open a bare VEN."""
        made = BARE.BareVen(self.theirs(party), self.domain.name, party, self.domain.vtn, self.accounts, nodes)
        self.clients.append(made)
        return made

    def vtn(self) -> Any:
        """Open a bare VTN."""
        made = BARE.BareVtn(self.theirs(self.domain.vtn), self.domain.name, self.domain.vtn, self.accounts)
        self.clients.append(made)
        return made

    def our_vtn(self) -> VirtualTopNode:
        return VirtualTopNode(self.domain, self.ours(self.domain.vtn))

    def our_ven(self, party: str = "battery") -> VirtualEndNode:
        return VirtualEndNode(self.domain, self.ours(party), party)

    def bare_channel(self, party: str = "battery") -> Any:
        """Return a channel that is nothing but logged in."""
        connection = pika.BlockingConnection(pika.URLParameters(self.theirs(party)))
        self.clients.append(_Cut(connection))
        return connection.channel()


@dataclass
class _Cut:
    connection: Any

    def cut(self) -> None:
        if self.connection.is_open:
            self.connection.close()


@pytest.fixture(scope="session")
def private3(absent: Callable[[object], NoReturn]) -> Iterator[PrivateBroker]:
    """Return the machine's own RabbitMQ, on ports of its own."""
    try:
        broker = PrivateBroker()
    except NoBroker as exc:
        absent(exc)
    with broker:
        yield broker


@pytest.fixture(scope="session")
def private4(absent: Callable[[object], NoReturn]) -> Iterator[PrivateBroker]:
    """Return RabbitMQ 4."""
    try:
        broker = PrivateBroker(root=rabbitmq4())
    except NoBroker as exc:
        absent(exc)
    with broker:
        yield broker


@contextmanager
def _opened(domain: Domain, absent: Callable[[object], NoReturn]) -> Iterator[Way]:
    try:
        connection = pika.BlockingConnection(pika.URLParameters(OPEN))
    except pika.exceptions.AMQPConnectionError as exc:
        absent(f"no RabbitMQ at 127.0.0.1:5672: start one with user guest: {exc!r}")
    connection.close()
    yield Way(domain, "/", lambda _: f"{OPEN}?declare=true", lambda _: OPEN, None)
    # Not held open meanwhile: it would miss its heartbeats.
    with pika.BlockingConnection(pika.URLParameters(OPEN)) as connection:
        channel = connection.channel()
        channel.queue_delete(f"{domain.name}.vtn.in")
        for exchange in BARE.EXCHANGES:
            channel.exchange_delete(f"{domain.name}.{exchange}")


@contextmanager
def _provisioned(domain: Domain, broker: PrivateBroker, passwords: Path) -> Iterator[Way]:
    at = broker.management.replace("//", "//guest:guest@")
    RabbitProvisioner().apply(domain, at, passwords=passwords)
    known = tomllib.loads(passwords.read_text("utf-8"))

    accounts = {name: party.account for name, party in domain.parties.items()}

    def url(party: str) -> str:
        return broker.url(accounts[party], known[accounts[party]], domain.name)

    yield Way(domain, domain.name, url, url, accounts)
    gone = Request(f"{broker.management}/api/vhosts/{domain.name}", method="DELETE")
    gone.add_header("Authorization", "Basic Z3Vlc3Q6Z3Vlc3Q=")
    urlopen(gone, timeout=10).close()


@pytest.fixture(params=["open", "provisioned-3", "provisioned-4"])
def way(request: pytest.FixtureRequest, tmp_path: Path, absent: Callable[[object], NoReturn]) -> Iterator[Way]:
    """Return the open way on the machine's broker, then the provisioned one on RabbitMQ 3 and on 4."""
    kind, _, version = request.param.partition("-")
    text = resources.files("iec62746.demo").joinpath("north.toml").read_text("utf-8")
    name = f"w{uuid.uuid4().hex[:12]}"
    # Accounts may have other names than their parties.
    for party in ("grid-operator", "battery"):
        text = text.replace(f"[parties.{party}]", f'[parties.{party}]\naccount = "account-of-{party}"')
    domain = Domain.parse(text.replace('name = "north"', f'name = "{name}"'), "north.toml")
    with ExitStack() as stack:
        if kind == "open":
            made = stack.enter_context(_opened(domain, absent))
        else:
            broker = request.getfixturevalue(f"private{version}")
            made = stack.enter_context(_provisioned(domain, broker, tmp_path / "passwords"))
        yield made
        for client in made.clients:
            client.cut()


class Notices:
    """What a party of ours gave notice of, to wait for."""

    def __init__(self, party: Any) -> None:
        self.seen: list[Notice] = []
        self._changed = asyncio.Condition()
        party.on_notice(self._take)

    async def _take(self, notice: Notice) -> None:
        async with self._changed:
            self.seen.append(notice)
            self._changed.notify_all()

    async def get(self, what: What) -> Notice:
        """Wait for a notice of this kind."""
        async with asyncio.timeout(10), self._changed:
            await self._changed.wait_for(lambda: any(one.what is what for one in self.seen))
        return next(one for one in self.seen if one.what is what)


@pytest.fixture
def notices() -> type[Notices]:
    """Return what collects a party's notices."""
    return Notices


@pytest.fixture
def bare() -> Any:
    """Return the module of the bare clients."""
    return BARE
