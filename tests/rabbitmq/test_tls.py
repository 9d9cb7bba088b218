"""AMQPS with certificates instead of passwords, and the management API by HTTPS (62746-3, 6)."""

import socket
import ssl
from typing import Any

import aio_pika
import aiormq
import pytest

from iec62746 import Domain, Unreachable
from iec62746.testing.harness import Certificates
from iec62746_rabbitmq.provision import RabbitProvisioner

TOML = '[domain]\nname = "tls"\nvtn = "operator"\n[parties.ven-1]\n[parties.ven-2]\n'


@pytest.fixture
def broker(new_broker: Any, certificates: Certificates) -> Any:
    certificate, key = certificates.files("localhost")
    return new_broker(
        "4",
        plugins=["rabbitmq_management", "rabbitmq_auth_mechanism_ssl"],
        has_tls=True,
        config=[
            f"ssl_options.cacertfile = {certificates.ca_file}",
            f"ssl_options.certfile = {certificate}",
            f"ssl_options.keyfile = {key}",
            "ssl_options.verify = verify_peer",
            "ssl_options.fail_if_no_peer_cert = true",
            "auth_mechanisms.1 = EXTERNAL",
            "ssl_cert_login_from = common_name",
        ],
    )


@pytest.mark.requirement("R-6c")
async def test_an_account_without_a_password_logs_in_by_its_certificate_only(
    broker: Any, certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IEC62746_ADMIN_PASSWORD", "guest")
    domain, admin = Domain.parse(TOML), broker.management.replace("//", "//guest@")
    RabbitProvisioner().apply(domain, admin)
    url = broker.url("ven-1", None, "tls", "auth=EXTERNAL", tls=True)

    async with await aio_pika.connect(url, ssl_context=certificates.context("ven-1")) as connection:
        to_vtn = await (await connection.channel()).get_exchange("tls.to.vtn", ensure=False)
        await to_vtn.publish(aio_pika.Message(b"x", user_id="ven-1"), "ven-1.in", mandatory=False)
        with pytest.raises(aiormq.exceptions.ChannelAccessRefused):
            await to_vtn.publish(aio_pika.Message(b"x", user_id="ven-1"), "ven-2.in", mandatory=False)

    with pytest.raises((ConnectionError, ssl.SSLError)):
        await aio_pika.connect(url, ssl_context=certificates.context())
    with pytest.raises(aiormq.exceptions.AMQPError):
        await aio_pika.connect(broker.url("ven-1", "", "tls", tls=True), ssl_context=certificates.context("ven-1"))


async def test_the_management_api_is_asked_by_https_and_its_certificate_checked(
    new_broker: Any, certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    certificate, key = certificates.files("localhost")
    new_broker(
        "4",
        config=[
            f"management.ssl.certfile = {certificate}",
            f"management.ssl.keyfile = {key}",
            "management.ssl.ip = 127.0.0.1",
            f"management.ssl.port = {port}",
        ],
    )
    monkeypatch.setenv("IEC62746_ADMIN_PASSWORD", "guest")
    domain, admin = Domain.parse(TOML), f"https://guest@localhost:{port}"

    with pytest.raises(Unreachable, match="CERTIFICATE_VERIFY_FAILED"):
        RabbitProvisioner().apply(domain, admin)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificates.ca_file))
    done, left = RabbitProvisioner().apply(domain, admin)

    assert done
    assert not left
