"""`--ca-file`, `--certificate-file`, `--key-file`: what is wrong with them is said; with them a shell speaks TLS."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import pytest
from typer.testing import Result

from iec62746.demo.north import north as demo_domain
from iec62746.testing.harness import Certificates
from iec62746_rabbitmq.harness import EXTERNAL, tls_config
from iec62746_rabbitmq.private import NoBroker, PrivateBroker
from iec62746_rabbitmq.provision import RabbitProvisioner

Run = Callable[..., Result]
COMMANDS = {
    "request": ["get", "MeterReadings", "--to", "battery"],
    "publish": ["MarketPrices", "--node", "price.north"],
    "listen": ["--for", "5"],
}
LOCKED = f"Proc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,{'0' * 32}"
"""What stands in a file of a key with a passphrase (RFC 1421)."""
ELSEWHERE = "amqps://127.0.0.1:1"


@pytest.fixture
def files(certificates: Certificates, tmp_path: Path) -> dict[str, Path]:
    """Return files that are right, and files that are not."""
    certificate, key = certificates.files("battery")
    made = {name: tmp_path / f"{name}.pem" for name in ("text", "both", "locked", "nowhere")}
    made["text"].write_text("no PEM", "utf-8")
    made["both"].write_bytes(certificate.read_bytes() + key.read_bytes())
    begin, rest = key.read_text("ascii").split("\n", 1)
    made["locked"].write_text(f"{begin}\n{LOCKED}\n\n{rest}", "ascii")
    other = certificates.files("grid-operator")[1]
    return made | {"ca": certificates.ca_file, "certificate": certificate, "key": key, "other": other}


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"ca": "nowhere"}, "nowhere.pem cannot be read: No such file or directory"),
        ({"ca": "text"}, "text.pem has no certificate of an authority in PEM"),
        ({"certificate": "nowhere", "key": "key"}, "nowhere.pem cannot be read: No such file or directory"),
        ({"certificate": "certificate", "key": "nowhere"}, "nowhere.pem cannot be read: No such file or directory"),
        ({"certificate": "certificate"}, "battery.cert.pem has not both a certificate and its key, in PEM"),
        ({"certificate": "text", "key": "key"}, "there is no certificate in "),
        ({"certificate": "certificate", "key": "text"}, "text.pem, in PEM"),
        ({"certificate": "certificate", "key": "other"}, "grid-operator.key.pem is not that of the certificate in "),
        ({"certificate": "certificate", "key": "locked"}, "locked.pem has a passphrase"),
        ({"key": "key"}, "battery.key.pem is of no use alone"),
    ],
)
def test_a_file_that_is_wrong_is_one_sentence_and_status_2(
    run: Run, north: Path, files: dict[str, Path], given: dict[str, str], sentence: str
) -> None:
    options = [word for name, file in given.items() for word in (f"--{name}-file", files[file])]
    words = COMMANDS["request"]
    result = run("request", *words, "--domain", north, "--as", "grid-operator", "--url", ELSEWHERE, *options)

    assert (2, "") == (result.exit_code, result.stdout)
    assert sentence in result.stderr
    assert 1 == len(result.stderr.splitlines())
    assert result.stderr.startswith("iec62746 request: ")


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("url", ["memory://clear", "amqp://127.0.0.1:1"])
def test_files_for_a_url_in_the_clear_are_refused(
    run: Run, north: Path, certificates: Certificates, command: str, url: str
) -> None:
    who = ["--domain", north, "--as", "grid-operator"]
    result = run(command, *COMMANDS[command], *who, "--url", url, "--ca-file", certificates.ca_file)

    assert 2 == result.exit_code
    assert f"ca.pem is for TLS, but {url} is in the clear: write amqps://HOST\n" in result.stderr


def test_the_demo_refuses_them_as_well(run: Run, certificates: Certificates, files: dict[str, Path]) -> None:
    in_the_clear = run("demo", "--ca-file", certificates.ca_file)
    missing = run("demo", "--url", ELSEWHERE, "--ca-file", files["nowhere"])

    assert (1, 1) == (in_the_clear.exit_code, missing.exit_code)
    assert "memory://demo is in the clear" in in_the_clear.stderr
    assert "nowhere.pem cannot be read" in missing.stderr


# ---------------------------------------------------------------- on a broker


@pytest.fixture(scope="module")
def broker(certificates: Certificates, absent: Callable[[object], NoReturn]) -> Iterator[PrivateBroker]:
    """Return a RabbitMQ to which the demo's parties come with certificates, and with nothing else."""
    try:
        config = tls_config(certificates)
        with PrivateBroker(plugins=("rabbitmq_management", EXTERNAL), config=config, has_tls=True) as broker:
            RabbitProvisioner().apply(demo_domain(), broker.management.replace("://", "://guest:guest@"))
            yield broker
    except NoBroker as exc:
        absent(exc)


@pytest.fixture
def url(broker: PrivateBroker, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return where parties connect by TLS; no password is anywhere."""
    monkeypatch.delenv("IEC62746_PASSWORD_FILE", raising=False)
    return f"amqps://127.0.0.1:{broker.tls_port}"


@pytest.fixture
def shows(certificates: Certificates) -> Callable[[str], list[str]]:
    """Return what gives the options by which a party shows its certificate."""

    def options(party: str) -> list[str]:
        certificate, key = certificates.files(party)
        given = {"ca": certificates.ca_file, "certificate": certificate, "key": key}
        return [word for name, file in given.items() for word in (f"--{name}-file", str(file))]

    return options


@contextmanager
def started(*words: str) -> Iterator["subprocess.Popen[str]"]:
    """Run the command line in a process of its own; it is gone afterwards."""
    command = [sys.executable, "-c", "from iec62746.cli import main; main()", *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def test_request_publish_and_listen_speak_tls(
    run: Run, north: Path, url: str, shows: Callable[[str], list[str]]
) -> None:
    at = ["--domain", str(north), "--url", url]
    wait = ["--json", "--count", "2", "--for", "40", "--answer", "get:MeterReadings="]
    with started("listen", *at, "--as", "battery", *shows("battery"), *wait) as listener:
        assert listener.stdout is not None
        lines = map(json.loads, listener.stdout)
        while next(lines)["kind"] != "connected":
            pass

        asked = run("request", *COMMANDS["request"], *at, "--as", "grid-operator", *shows("grid-operator"))
        published = run("publish", *COMMANDS["publish"], *at, "--as", "grid-operator", *shows("grid-operator"))
        heard = [one["kind"] for one in lines]
        status = listener.wait(10)

    assert (0, "OK from battery\n") == (asked.exit_code, asked.stderr)
    assert (0, "") == (published.exit_code, published.stderr)
    assert ["request", "event"] == [one for one in heard if one in ("event", "request")]
    assert 0 == status


def test_another_partys_certificate_is_no_use(
    run: Run, north: Path, url: str, shows: Callable[[str], list[str]]
) -> None:
    who = ["--domain", north, "--as", "grid-operator", "--url", url]
    result = run("request", *COMMANDS["request"], *who, *shows("battery"))

    assert 1 == result.exit_code
    assert "PermissionDenied" in result.stderr


def test_a_party_of_the_demo_speaks_tls(url: str, shows: Callable[[str], list[str]]) -> None:
    with started("demo", "--url", url, "--party", "battery", *shows("battery")) as party:
        assert party.stdout is not None
        first = party.stdout.readline()
        party.terminate()
        *_, last = party.stdout
        status = party.wait(10)

    assert ("battery is online\n", "battery is offline\n", 0) == (first, last, status)


def test_the_whole_demo_speaks_tls(run: Run, broker: PrivateBroker, certificates: Certificates, tmp_path: Path) -> None:
    url = broker.url(query="declare=true", tls=True)
    result = run("demo", "--url", url, "--ca-file", certificates.ca_file)

    assert 0 == result.exit_code, result.output
    assert "everything happened as it should" in result.stdout
