"""What a `kombu+…://` URL says, what is promised for it, and what is refused before anything is opened."""

import sys
from pathlib import Path

import pytest

from iec62746 import (
    Capabilities,
    Domain,
    InvalidAddress,
    LocalError,
    MissingCapability,
    Proof,
    ReceiptLevel,
    UnknownTransport,
    Unroutable,
    VirtualTopNode,
)
from iec62746_kombu import KombuTransport, _url

DOMAIN = '[domain]\nname = "north"\nvtn = "vtn"\n'
WITH_NODES = DOMAIN + '[nodes.price]\nnouns = ["MarketPrices"]\n[nodes.dispatch]\nnouns = ["MarketPrices"]\n'


def promised(url: str) -> Capabilities:
    return KombuTransport().capabilities(url)


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("kombu://localhost", r"write kombu\+NAME://"),
        ("kombu+redis:///0", r"write kombu\+redis://USER:PASSWORD@HOST"),
        ("kombu+redis://localhost:port/0", r"write kombu\+redis://USER:PASSWORD@HOST"),
        ("kombu+redis://localhost/0#x", r"write kombu\+redis://USER:PASSWORD@HOST"),
        ("kombu+redis+x://localhost/0", "no 'x' behind its name"),
        ("kombu+redis://localhost/0?lease", r"write queries like \?lease=30"),
        ("kombu+redis://localhost/0?lease=1", "lease is '1': write seconds, 3 to 40"),
        ("kombu+redis://localhost/0?lease=60", "lease is '60': write seconds, 3 to 40"),
        ("kombu+redis://localhost/0?lease=soon", "lease is 'soon': write seconds"),
        ("kombu+redis://localhost/0?db=1", r"knows \?lease=…: not db"),
        ("kombu+redis://localhost/0?ssl_cert_reqs=required", r"knows \?lease=…: not ssl_cert_reqs"),
        ("kombu+pyamqp://localhost/?lease=5", "knows no query: not lease"),
        ("kombu+filesystem://folder", r"write kombu\+filesystem:///FOLDER"),
        ("kombu+filesystem:///", r"write kombu\+filesystem:///FOLDER"),
    ],
)
def test_a_wrong_url_is_refused_with_what_to_write(url: str, says: str) -> None:
    with pytest.raises(InvalidAddress, match=says):
        promised(url)


def test_no_password_is_shown_of_a_wrong_url() -> None:
    with pytest.raises(InvalidAddress) as caught:
        promised("kombu+redis://user:secret@localhost:port/0")

    assert "secret" not in str(caught.value)
    assert "secret" not in repr(_url.read("kombu+redis://user:secret@localhost/0"))


def test_a_transport_that_kombu_has_not_is_named() -> None:
    with pytest.raises(UnknownTransport, match="kombu has no transport 'nats': it has .*amqp, .*redis"):
        promised("kombu+nats://localhost")


def test_a_missing_library_is_told_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pymongo", None)
    monkeypatch.delitem(sys.modules, "kombu.transport.mongodb", raising=False)

    with pytest.raises(UnknownTransport, match=r"kombu\+mongodb:// needs .* pip install 'kombu\[mongodb\]'"):
        promised("kombu+mongodb://localhost")


@pytest.mark.parametrize(
    ("url", "unroutable", "reach"),
    [
        ("kombu+redis://localhost/0", Unroutable.NOTHING, "network"),
        ("kombu+filesystem:///var/tmp/x", Unroutable.NOTHING, "host"),
        ("kombu+pyamqp://localhost", Unroutable.DESTINATION, "network"),
        ("kombu+amqp://localhost", Unroutable.DESTINATION, "network"),
    ],
)
def test_what_carries_nodes_says_what_it_can_tell(url: str, unroutable: Unroutable, reach: str) -> None:
    has = promised(url)

    assert has.carries_nodes
    assert (unroutable, reach) == (has.unroutable, has.reach)
    assert (Proof.CLAIMED, ReceiptLevel.BROKER) == (has.proof, has.receipt)
    assert (0.0, 0.0) == (has.stores_for_vtn, has.stores_for_vens)
    assert not has.is_encrypted
    assert has.tells_gone_within is None


@pytest.mark.parametrize("url", ["kombu+sqlalchemy+sqlite:///x.db", "kombu+sqla+sqlite:///x.db", "kombu+memory://x"])
def test_what_keeps_its_bindings_to_a_connection_promises_next_to_nothing(url: str) -> None:
    has = promised(url)

    assert not has.carries_nodes
    assert (Unroutable.NOTHING, ReceiptLevel.LOCAL) == (has.unroutable, has.receipt)
    assert (float("inf"), float("inf")) == (has.stores_for_vtn, has.stores_for_vens)


@pytest.mark.parametrize(
    ("query", "is_encrypted"),
    [
        ("?ssl_cert_reqs=required&ssl_ca_certs=ca.pem", True),
        ("?ssl_cert_reqs=none", False),
        ("?ssl_check_hostname=false", False),
        ("", True),
    ],
)
def test_tls_that_asks_nobody_who_is_there_is_not_called_encrypted(query: str, is_encrypted: bool) -> None:
    assert is_encrypted == promised(f"kombu+rediss://localhost/0{query}").is_encrypted
    assert is_encrypted == promised(f"kombu+amqps://localhost/{query}").is_encrypted


def test_a_domain_with_nodes_is_refused_where_they_cannot_be_carried() -> None:
    with pytest.raises(MissingCapability, match=r"kombu\+sqla.* lacks: carries_nodes is False.* has 2 nodes"):
        VirtualTopNode(Domain.parse(WITH_NODES), "kombu+sqla+sqlite:///x.db")


def test_a_domain_without_nodes_is_taken_there() -> None:
    assert VirtualTopNode(Domain.parse(DOMAIN), "kombu+sqla+sqlite:///x.db").domain.name == "north"


def test_a_profile_that_is_demanded_is_refused_with_all_that_is_missing() -> None:
    domain = Domain.parse(DOMAIN + 'transport = "realtime"\n')

    with pytest.raises(MissingCapability, match="demands realtime; .* lacks: unroutable is nothing"):
        VirtualTopNode(domain, "kombu+redis://localhost/0")


async def test_certificates_are_given_by_the_url(tmp_path: Path) -> None:
    import ssl

    vtn = VirtualTopNode(Domain.parse(DOMAIN), f"kombu+filesystem://{tmp_path}", tls=ssl.create_default_context())

    with pytest.raises(LocalError, match="takes certificates by its URL"):
        async with vtn:
            raise AssertionError("it opened")
