"""The command line over a real broker: each command is a process of its own, as a shell user has it."""

import json
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from importlib import resources
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from iec62746 import Domain
from iec62746_rabbitmq.private import PrivateBroker

CODE = "from iec62746.cli import main; main()"
PRICE = '<Price xmlns="urn:test">91.37</Price>'
LIMIT = 30
"""Seconds that any step may take."""
_numbers = count()


class Listening:
    """`iec62746 listen --json` in a process of its own."""

    def __init__(self, *words: object, url: str) -> None:
        self.process = subprocess.Popen(
            _command("listen", *words, "--json", "--for", LIMIT),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=_environment(url),
        )
        self._told: list[dict[str, Any]] = []
        self.until("connected")

    def until(self, kind: str, **fields: Any) -> dict[str, Any]:
        """Return the line that says this, as soon as there is one.

        Presence and messages are told by tasks of their own: what comes at once is told in any order.
        """
        assert self.process.stdout is not None
        wanted = {"kind": kind, **fields}
        while not (found := [told for told in self._told if wanted.items() <= told.items()]):
            line = self.process.stdout.readline()
            assert line, f"it ended without {wanted}: {self.process.stderr and self.process.stderr.read()}"
            self._told.append(json.loads(line))
        self._told.remove(found[0])
        return found[0]

    def end(self) -> int:
        """Wait for its end; returns its status."""
        return self.process.wait(LIMIT)

    def close(self) -> None:
        """End it, if it has not."""
        self.process.kill()
        self.process.communicate()


Listen = Callable[..., Listening]


def _command(*words: object) -> list[str]:
    return [sys.executable, "-c", CODE, *map(str, words)]


def _environment(url: str) -> dict[str, str]:
    return {**os.environ, "IEC62746_URL": url}


@pytest.fixture
def url(broker3: PrivateBroker) -> str:
    return broker3.url(query="declare=true")


@pytest.fixture
def run(url: str) -> Callable[..., "subprocess.CompletedProcess[str]"]:
    """Return what runs a command line to its end."""

    def invoke(*words: object, given: str = "") -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            _command(*words),
            input=given,
            capture_output=True,
            text=True,
            env=_environment(url),
            timeout=LIMIT,
            check=False,
        )

    return invoke


@pytest.fixture
def north(tmp_path: Path) -> Path:
    """Return the demo's domain under a name of the test's own: the broker is shared."""
    text = resources.files("iec62746.demo").joinpath("north.toml").read_text("utf-8")
    path = tmp_path / "north.toml"
    path.write_text(text.replace('name = "north"', f'name = "cli-{os.getpid()}-{next(_numbers)}"'), "utf-8")
    return path


@pytest.fixture
def as_vtn(north: Path) -> list[object]:
    return ["--domain", north, "--as", "grid-operator"]


@pytest.fixture
def as_battery(north: Path, tmp_path: Path) -> list[object]:
    """Return what the battery says of itself: it has only its extract."""
    path = tmp_path / "battery.toml"
    path.write_text(Domain.load(north).extract("battery"), "utf-8")
    return ["--domain", path, "--as", "battery"]


@pytest.fixture
def listen(url: str) -> Iterator[Listen]:
    """Return what begins to listen; it has ended when the test has."""
    listening: list[Listening] = []

    def begin(*words: object) -> Listening:
        listening.append(Listening(*words, url=url))
        return listening[-1]

    yield begin
    for one in listening:
        one.close()


def test_a_request_is_answered_from_one_shell_to_the_other(
    run: Any, listen: Listen, as_vtn: list[object], as_battery: list[object], tmp_path: Path
) -> None:
    reading = tmp_path / "reading.xml"
    reading.write_text('<Reading xmlns="urn:test">7</Reading>', "utf-8")
    battery = listen(*as_battery, "--count", 1, "--answer", f"get:MeterReadings={reading}")

    asked = run("request", "get", "MeterReadings", *as_vtn, "--to", "battery", "--option", "unit=kW", "--id", "7")

    assert (0, '<Reading xmlns="urn:test">7</Reading>\n') == (asked.returncode, asked.stdout)
    assert "OK from battery\n" in asked.stderr
    told = battery.until("request", verb="get", noun="MeterReadings")
    assert ({"unit": "kW"}, ["7"], "grid-operator") == (told["options"], told["ids"], told["from"])
    assert 0 == battery.end()


def test_a_request_that_nobody_answers_fails_with_status_1(
    run: Any, listen: Listen, as_vtn: list[object], as_battery: list[object]
) -> None:
    vtn = listen(*as_vtn)

    given = '<Group xmlns="urn:test"/>'
    asked = run("request", "create", "Resources", *as_battery, "--payload", "-", "--json", given=given)

    told = json.loads(asked.stdout)
    assert (1, "FAILED", "5.2") == (asked.returncode, told["result"], told["errors"][0]["code"])
    assert [given] == vtn.until("request", verb="create")["payload"]


def test_nobody_there_is_status_1(run: Any, as_vtn: list[object]) -> None:
    asked = run("request", "get", "MeterReadings", *as_vtn, "--to", "battery")

    assert (1, "") == (asked.returncode, asked.stdout)
    assert "NoReceiver" in asked.stderr


def test_an_event_of_the_vtn_is_heard_by_who_listens_on_the_node(
    run: Any, listen: Listen, as_vtn: list[object], as_battery: list[object]
) -> None:
    battery = listen(*as_battery, "--node", "price.#", "--count", 1)

    sent = run("publish", "MarketPrices", *as_vtn, "--node", "price.north", "--payload", "-", given=PRICE)

    assert (0, "created MarketPrices was sent to the node price.north\n") == (sent.returncode, sent.stdout)
    assert [PRICE] == battery.until("event", noun="MarketPrices", to="price.north")["payload"]
    assert 0 == battery.end()


def test_the_vtn_hears_the_presence_and_the_event_of_a_ven(
    run: Any, listen: Listen, as_vtn: list[object], as_battery: list[object]
) -> None:
    vtn = listen(*as_vtn)

    sent = run("publish", "MeterReadings", *as_battery, "--verb", "changed", "--payload", "-", given=PRICE)

    assert 0 == sent.returncode, sent.stderr
    vtn.until("presence", party="battery", state="online")
    assert [PRICE] == vtn.until("event", verb="changed", **{"from": "battery"})["payload"]
    vtn.until("presence", party="battery", state="offline")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_listening_cleanly_and_the_others_are_told(
    listen: Listen, as_vtn: list[object], as_battery: list[object], number: signal.Signals
) -> None:
    vtn, battery = listen(*as_vtn), listen(*as_battery)
    vtn.until("presence", party="battery", state="online")

    battery.process.send_signal(number)

    assert 0 == battery.end()
    assert battery.process.stderr is not None
    assert "Traceback" not in battery.process.stderr.read()
    vtn.until("presence", party="battery", state="offline", reason="closed")


def test_metrics_are_scraped_from_a_command_that_runs(listen: Listen, as_vtn: list[object]) -> None:
    vtn = listen(*as_vtn, "--metrics-port", 0)
    assert vtn.process.stderr is not None
    address = next(line for line in vtn.process.stderr if line.startswith("metrics: ")).split()[1]

    with urllib.request.urlopen(address, timeout=LIMIT) as answer:
        text = answer.read().decode()

    assert "iec62746_connected 1.0\n" in text
    assert "process_resident_memory_bytes" in text


def test_a_password_comes_from_a_file(broker3: PrivateBroker, as_battery: list[object], tmp_path: Path) -> None:
    secret, url = tmp_path / "secret", broker3.url(password=None, query="declare=true")
    statuses = []
    for password in ("guest\n", "wrong-password\n"):
        secret.write_text(password, "utf-8")
        words = ("listen", *as_battery, "--for", "0.01", "--password-file", secret)
        ran = subprocess.run(
            _command(*words), capture_output=True, text=True, env=_environment(url), timeout=LIMIT, check=False
        )
        statuses.append(ran.returncode)

    assert [0, 1] == statuses
    assert "AuthenticationFailed" in ran.stderr
    assert "wrong-password" not in ran.stdout + ran.stderr
    assert "Traceback" not in ran.stderr


def test_a_reader_who_leaves_ends_listening_quietly(
    run: Any, listen: Listen, as_vtn: list[object], as_battery: list[object]
) -> None:
    battery = listen(*as_battery)
    assert battery.process.stdout is not None
    battery.process.stdout.close()

    run("publish", "MarketPrices", *as_vtn, "--node", "price.north", "--payload", "-", given=PRICE)

    assert 0 == battery.end()
    assert battery.process.stderr is not None
    assert "BrokenPipe" not in battery.process.stderr.read()


def test_who_waits_for_a_connection_is_told_why_and_by_us_only(tmp_path: Path, north: Path) -> None:
    impatient = tmp_path / "impatient.toml"
    impatient.write_text(north.read_text("utf-8") + "\n[limits]\nset_up = 1\n", "utf-8")
    words = _command("request", "get", "MarketPrices", "--domain", impatient, "--as", "battery")
    # Nothing listens on port 1.
    environment = _environment("amqp://battery:s3cret@127.0.0.1:1/?declare=true")
    ran = subprocess.run(words, capture_output=True, text=True, env=environment, timeout=LIMIT, check=False)

    *waiting, last = ran.stderr.splitlines()
    assert (1, "") == (ran.returncode, ran.stdout)
    assert waiting
    assert all("iec62746.connection: battery: no connection (try " in line for line in waiting)
    assert "Unreachable: not connected within 1 s (limit set_up) to amqp://" in last
    assert "s3cret" not in ran.stderr
