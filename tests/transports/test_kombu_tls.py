"""kombu by TLS: the server has to be who it says it is, unless the URL wants it otherwise."""

import socket
from collections.abc import Callable, Iterator
from typing import Any, NoReturn
from urllib.parse import urlsplit

import pytest

from iec62746 import Domain, InvalidAddress, LocalError, Message, Unreachable, VirtualEndNode, VirtualTopNode
from iec62746.testing.harness import Certificates
from iec62746_kombu import KombuTransport
from iec62746_kombu.harness import PrivateRedis
from iec62746_rabbitmq.harness import tls_config
from iec62746_rabbitmq.private import NoBroker, PrivateBroker

DOMAIN = Domain.parse(
    '[domain]\nname = "by-tls"\nvtn = "vtn"\n[limits]\nset_up = 3\n[roles.ven]\nserve.create = ["EndDeviceControls"]\n'
    '[parties.ven-1]\nroles = ["ven"]\n'
)
SAME_HOST = "127.1"
"""A way to write 127.0.0.1 that is in no certificate."""


@pytest.fixture(scope="module")
def rediss(certificates: Certificates, absent: Callable[[object], NoReturn]) -> Iterator[str]:
    certificate, key = certificates.files("localhost")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    config = {"tls-port": port, "tls-auth-clients": "no", "tls-cert-file": certificate, "tls-key-file": key}
    try:
        server = PrivateRedis({**config, "tls-ca-cert-file": certificates.ca_file})
    except LocalError as exc:
        absent(exc)
    with server:
        yield f"kombu+rediss://localhost:{port}/0"


@pytest.fixture(scope="module")
def amqps(certificates: Certificates, absent: Callable[[object], NoReturn]) -> Iterator[str]:
    try:
        node = PrivateBroker(plugins=(), has_tls=True, config=tls_config(certificates))
    except NoBroker as exc:
        absent(exc)
    with node:
        yield f"kombu+amqps://guest:guest@localhost:{urlsplit(node.url(tls=True)).port}/"


@pytest.fixture(params=["rediss", "amqps"])
def url(request: pytest.FixtureRequest) -> str:
    found: str = request.getfixturevalue(request.param)
    return found


async def talk(url: str) -> str:
    vtn, ven = VirtualTopNode(DOMAIN, url), VirtualEndNode(DOMAIN, url, "ven-1")

    @ven.on_request("create", "EndDeviceControls")
    async def control(request: Message) -> None:
        return None

    async with vtn, ven:
        return (await vtn.request("create", "EndDeviceControls", to="ven-1")).result


@pytest.mark.requirement("R-6c")
async def test_a_conversation_by_tls(url: str, certificates: Certificates) -> None:
    assert "OK" == await talk(f"{url}?ssl_ca_certs={certificates.ca_file}")


@pytest.mark.requirement("R-6c")
async def test_a_server_that_nobody_we_trust_certified_is_refused(url: str) -> None:
    with pytest.raises(Unreachable, match="certificate verify failed"):
        await talk(url)


@pytest.mark.requirement("R-6c")
async def test_a_server_by_another_name_is_refused_unless_the_url_says_otherwise(
    url: str, certificates: Certificates
) -> None:
    other = f"{url.replace('localhost', SAME_HOST)}?ssl_ca_certs={certificates.ca_file}"

    with pytest.raises(Unreachable, match="Hostname mismatch"):
        await talk(other)
    assert "OK" == await talk(f"{other}&ssl_check_hostname=false")


async def test_anybody_is_taken_where_the_url_says_so(url: str) -> None:
    assert "OK" == await talk(f"{url}?ssl_cert_reqs=none")


@pytest.mark.parametrize("name", ["rediss", "amqps"])
@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("ssl_cert_reqs=optional", "ssl_cert_reqs is 'optional': write required or none"),
        ("ssl_check_hostname=no", "ssl_check_hostname is 'no': write true or false"),
        ("ssl_version=3", "not ssl_version"),
    ],
)
def test_what_is_no_setting_of_tls_is_named(name: str, query: str, says: str) -> None:
    transport: Any = KombuTransport()
    with pytest.raises(InvalidAddress, match=says):
        transport.capabilities(f"kombu+{name}://localhost/0?{query}")
