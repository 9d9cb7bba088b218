"""RabbitMQ in the provisioned way: the broker proves who sent what, in the clear and by TLS with certificates."""

import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import aiormq
import pytest

from iec62746 import (
    Domain,
    Inbox,
    Message,
    MissingCapability,
    PermissionDenied,
    Proof,
    Result,
    VirtualEndNode,
    VirtualTopNode,
)
from iec62746.testing.harness import Certificates
from iec62746_rabbitmq._passwords import read
from iec62746_rabbitmq.harness import EXTERNAL, tls_config
from iec62746_rabbitmq.private import NoBroker, PrivateBroker
from iec62746_rabbitmq.provision import RabbitProvisioner

pytestmark = pytest.mark.timeout(90)

TEXT = """
[domain]
name = "north"
vtn = "vtn"
transport = "{profile}"
[nodes."price.north"]
nouns = ["MarketPrices"]
[roles.household]
subscribe = ["price.#"]
publish = ["MeterReadings"]
serve.get = ["MeterReadings"]
[parties.ven-1]
roles = ["household"]
[parties.ven-2]
roles = ["household"]
account = "meter-2"
"""
PLUGINS = ("rabbitmq_management", EXTERNAL)


class Provisioned:
    """A private broker that knows the domain and its passwords, and takes certificates as well."""

    def __init__(self, broker: PrivateBroker, folder: Path) -> None:
        self.broker = broker
        self.passwords_file = folder / "passwords"
        at = broker.management.replace("://", "://guest:guest@")
        RabbitProvisioner().apply(self.domain(), at, passwords=self.passwords_file)
        self.passwords = read(self.passwords_file)

    def domain(self, profile: str = "realtime") -> Domain:
        return Domain.parse(TEXT.format(profile=profile))

    def url(self, *, tls: bool = False) -> str:
        scheme, port = ("amqps", self.broker.tls_port) if tls else ("amqp", self.broker.port)
        return f"{scheme}://127.0.0.1:{port}"


@pytest.fixture(scope="module")
def provisioned(
    certificates: Certificates, tmp_path_factory: pytest.TempPathFactory, absent: Callable[[object], NoReturn]
) -> Iterator[Provisioned]:
    try:
        with PrivateBroker(plugins=PLUGINS, config=tls_config(certificates), has_tls=True) as broker:
            yield Provisioned(broker, tmp_path_factory.mktemp("provisioned"))
    except NoBroker as exc:
        absent(exc)


@pytest.fixture
def at(provisioned: Provisioned, monkeypatch: pytest.MonkeyPatch) -> Provisioned:
    """Return the broker, with the file of passwords where the environment says."""
    monkeypatch.setenv("IEC62746_PASSWORD_FILE", str(provisioned.passwords_file))
    return provisioned


async def converse(at: Provisioned, profile: str, url: str, to: str = "ven-1", **how: Any) -> tuple[str | None, Result]:
    """Have the VTN ask a VEN; returns who asked, as the VEN was told, and the result."""
    domain = at.domain(profile)
    ways = {party: {name: make(party) for name, make in how.items()} for party in ("vtn", to)}
    vtn, ven = VirtualTopNode(domain, url, **ways["vtn"]), VirtualEndNode(domain, url, to, **ways[to])
    asked: list[str | None] = []

    @ven.on_request("get", "MeterReadings")
    async def reading(request: Message) -> None:
        asked.append(request.source)

    async with vtn, ven:
        reply = await vtn.request("get", "MeterReadings", to=to)
    return asked[0], reply.result


@pytest.mark.requirement("R-4.4e")
@pytest.mark.requirement("R-6a")
async def test_a_conversation_with_passwords_from_the_file(at: Provisioned, monkeypatch: pytest.MonkeyPatch) -> None:
    def listen(*_: Any) -> None:
        raise AssertionError("VTN and VENs connect outwards: neither opens a port")

    monkeypatch.setattr(socket.socket, "listen", listen)
    assert ("vtn", Result.OK) == await converse(at, "realtime", at.url())


async def test_a_conversation_of_a_party_whose_account_has_another_name(at: Provisioned) -> None:
    assert ("vtn", Result.OK) == await converse(at, "realtime", at.url(), "ven-2")


@pytest.mark.requirement("R-3.1.3")
@pytest.mark.requirement("R-5.1c")
@pytest.mark.requirement("R-6c")
async def test_a_conversation_with_certificates_and_no_password(
    provisioned: Provisioned, certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("IEC62746_PASSWORD_FILE", raising=False)
    url = provisioned.url(tls=True)

    assert ("vtn", Result.OK) == await converse(provisioned, "secure", url, tls=certificates.context)


def test_secure_is_refused_in_the_clear_and_in_the_open_way(at: Provisioned) -> None:
    for url in (at.url(), at.url(tls=True) + "?declare=true"):
        with pytest.raises(MissingCapability):
            VirtualTopNode(at.domain("secure"), url)


async def test_what_lacks_the_brokers_proof_or_carries_copies_is_from_nobody(at: Provisioned, enter_at: Any) -> None:
    vtn = await enter_at(at.url(), "north", "vtn", Inbox("vtn"))
    login = at.broker.url("ven-1", at.passwords["ven-1"], "north")
    properties = aiormq.spec.Basic.Properties
    async with aiormq.connect(login) as connection:
        raw = await connection.channel()
        for said in (
            properties(),
            properties(user_id="ven-1", headers={"CC": ["ven-1.re.s"]}),
            properties(user_id="ven-1"),
        ):
            await raw.basic_publish(b"<x/>", exchange="north.to.vtn", routing_key="ven-1.in", properties=said)
        got = [await vtn.next() for _ in range(4)]  # the copy came as well
        with pytest.raises(aiormq.exceptions.ChannelAccessRefused):
            await raw.basic_publish(b"<x/>", exchange="north.to.vtn", routing_key="ven-2.in")
        raw = await connection.channel()
        with pytest.raises(aiormq.exceptions.ChannelPreconditionFailed):
            await raw.basic_publish(
                b"<x/>", exchange="north.to.vtn", routing_key="ven-1.in", properties=properties(user_id="ven-2")
            )

    assert [(None, Proof.NONE)] * 3 + [("ven-1", Proof.BROKER)] == sorted(
        ((one.sender, one.proof) for one in got), key=lambda pair: pair[1]
    )


async def test_a_domain_that_is_not_provisioned_says_what_to_do(at: Provisioned, enter_at: Any) -> None:
    with pytest.raises(PermissionDenied, match="vhost 'south'"):
        await enter_at(at.url(), "south", "vtn", Inbox("vtn"))
    with pytest.raises(PermissionDenied, match="to bind south"):
        await enter_at(f"{at.url()}/north", "south", "ven-1", Inbox("ven-1"))
