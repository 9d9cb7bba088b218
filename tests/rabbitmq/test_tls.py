"""AMQPS with certificates instead of passwords, and the management API by HTTPS (62746-3, 6)."""

import os
import shutil
import socket
import ssl
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aio_pika
import aiormq
import pytest

from iec62746 import Domain, Unreachable
from iec62746_rabbitmq.provision import RabbitProvisioner

TOML = '[domain]\nname = "tls"\nvtn = "operator"\n[parties.ven-1]\n[parties.ven-2]\n'
Context = Callable[[str | None], ssl.SSLContext]


def openssl(*arguments: object) -> None:
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with an authority's certificate, the server's, and those of two VENs."""
    if not shutil.which("openssl"):
        (pytest.fail if "IEC62746_CI" in os.environ else pytest.skip)("openssl is missing: apt install openssl")
    folder = tmp_path_factory.mktemp("certificates")
    new = ("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2")
    openssl(*new, "-subj", "/CN=authority", "-keyout", folder / "ca.key", "-out", folder / "ca.pem")
    signed = ("-CA", folder / "ca.pem", "-CAkey", folder / "ca.key", "-addext", "basicConstraints=critical,CA:FALSE")
    for name in ("localhost", "ven-1", "ven-2"):
        names = ("-addext", f"subjectAltName=DNS:{name},IP:127.0.0.1")
        files = ("-keyout", folder / f"{name}.key", "-out", folder / f"{name}.pem")
        openssl(*new, *signed, *names, "-subj", f"/CN={name}", *files)
    return folder


@pytest.fixture
def context(certificates: Path) -> Context:
    def make(name: str | None) -> ssl.SSLContext:
        made = ssl.create_default_context(cafile=certificates / "ca.pem")
        if name:
            made.load_cert_chain(certificates / f"{name}.pem", certificates / f"{name}.key")
        return made

    return make


@pytest.fixture
def broker(new_broker: Any, certificates: Path) -> Any:
    files = {"cacertfile": "ca.pem", "certfile": "localhost.pem", "keyfile": "localhost.key"}
    return new_broker(
        "4",
        plugins=["rabbitmq_management", "rabbitmq_auth_mechanism_ssl"],
        has_tls=True,
        config=[
            *(f"ssl_options.{key} = {certificates / file}" for key, file in files.items()),
            "ssl_options.verify = verify_peer",
            "ssl_options.fail_if_no_peer_cert = true",
            "auth_mechanisms.1 = EXTERNAL",
            "ssl_cert_login_from = common_name",
        ],
    )


@pytest.mark.requirement("R-6c")
async def test_an_account_without_a_password_logs_in_by_its_certificate_only(
    broker: Any, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IEC62746_ADMIN_PASSWORD", "guest")
    domain, admin = Domain.parse(TOML), broker.management.replace("//", "//guest@")
    RabbitProvisioner().apply(domain, admin)
    url = broker.url("ven-1", None, "tls", "auth=EXTERNAL", tls=True)

    async with await aio_pika.connect(url, ssl_context=context("ven-1")) as connection:
        to_vtn = await (await connection.channel()).get_exchange("tls.to.vtn", ensure=False)
        await to_vtn.publish(aio_pika.Message(b"x", user_id="ven-1"), "ven-1.in", mandatory=False)
        with pytest.raises(aiormq.exceptions.ChannelAccessRefused):
            await to_vtn.publish(aio_pika.Message(b"x", user_id="ven-1"), "ven-2.in", mandatory=False)

    with pytest.raises((ConnectionError, ssl.SSLError)):
        await aio_pika.connect(url, ssl_context=context(None))
    with pytest.raises(aiormq.exceptions.AMQPError):
        await aio_pika.connect(broker.url("ven-1", "", "tls", tls=True), ssl_context=context("ven-1"))


async def test_the_management_api_is_asked_by_https_and_its_certificate_checked(
    new_broker: Any, certificates: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    new_broker(
        "4",
        config=[
            f"management.ssl.certfile = {certificates / 'localhost.pem'}",
            f"management.ssl.keyfile = {certificates / 'localhost.key'}",
            "management.ssl.ip = 127.0.0.1",
            f"management.ssl.port = {port}",
        ],
    )
    monkeypatch.setenv("IEC62746_ADMIN_PASSWORD", "guest")
    domain, admin = Domain.parse(TOML), f"https://guest@localhost:{port}"

    with pytest.raises(Unreachable, match="CERTIFICATE_VERIFY_FAILED"):
        RabbitProvisioner().apply(domain, admin)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificates / "ca.pem"))
    done, left = RabbitProvisioner().apply(domain, admin)

    assert done
    assert not left
