"""The services of docker-compose.yml, run by scripts/demo-rabbitmq on a private RabbitMQ."""

import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

HERE = Path(__file__).parents[2]
FILE = HERE / "docker-compose.yml"

pytestmark = pytest.mark.skipif(
    not FILE.exists(), reason="these files are the repository's, not the wheel's: nothing to test beside the wheel"
)


@pytest.fixture
def services() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(FILE.read_text("utf-8"))["services"]
    return found


@pytest.mark.timeout(180)
def test_every_service_comes_up_and_the_parties_talk(broker3: Any, broker4: Any) -> None:
    done = subprocess.run(
        [sys.executable, HERE / "scripts" / "demo_rabbitmq.py"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=170,
        check=False,
    )

    assert done.returncode == 0, done.stdout
    assert "everything happened as it should" in done.stdout
    for service in ("rabbitmq", "vtn", "heat-pump", "battery", "pv-roof"):
        assert f"{service}: healthy" in done.stdout
    for ven in ("heat-pump", "battery", "pv-roof"):
        assert f"{ven} answered get MeterReadings: OK" in done.stdout
    assert "RabbitMQ 4." in done.stdout
    assert done.stdout.endswith("stopped: nothing is left\n")


def test_the_image_is_given_all_that_the_wheel_is_made_of() -> None:
    target = tomllib.loads((HERE / "pyproject.toml").read_text("utf-8"))["tool"]["hatch"]["build"]["targets"]["wheel"]
    given = set((HERE / ".dockerignore").read_text("utf-8").split())

    assert {f"!{Path(package).parts[0]}" for package in target["packages"]} <= given


def test_nothing_is_open_beyond_loopback(services: dict[str, Any]) -> None:
    ports = [port for service in services.values() for port in service.get("ports", [])]

    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)
    assert not any("network_mode" in service or "privileged" in service for service in services.values())


def test_what_keeps_running_has_a_health_check(services: dict[str, Any]) -> None:
    running = [service for service in services.values() if service.get("restart")]

    assert len(running) == 5
    assert all("healthcheck" in service for service in running)


def test_no_password_stands_in_the_file() -> None:
    text = FILE.read_text("utf-8")

    assert not [line for line in text.splitlines() if "PASSWORD" in line and "PASSWORD_FILE" not in line]
    assert "@rabbitmq" not in text
