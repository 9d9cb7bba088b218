"""RabbitMQ keeps the contract: 3.10 and 4, both lanes, provisioned, open and by TLS; the whole kit."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest

from iec62746_rabbitmq.private import NoBroker, PrivateBroker, rabbitmq4

pytestmark = pytest.mark.timeout(600)

RUNS = {
    "3.10 fast, provisioned, with events": "amqp://private?lane=fast&events=amqp://private",
    "3.10 plain, open": "amqp://private?lane=plain&declare=true",
    "4 fast, provisioned, TLS": "amqps://private4?lane=fast",
    "4 plain, provisioned": "amqp://private4?lane=plain",
}
UNDECLARED = {
    "optional_drops_expired": "drops_expired",
    "optional_tells_gone": "tells_gone_within",
    "optional_proof": "proof",
    "optional_access_control": "access_control",
}
"""What rules of these names depend on: they are skipped where it is not declared, and no others are."""


def lacks(name: str) -> str:
    """Return why that run cannot be, or nothing."""
    try:
        PrivateBroker().close()
        if name.startswith("4"):
            rabbitmq4()
    except NoBroker as exc:
        return str(exc)
    return ""


@pytest.fixture(scope="module")
def kits(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, tuple[subprocess.Popen[str], Path]]]:
    """Begin every run, all at once since they wait most of the time, each in another order of rules."""
    folder, begun = tmp_path_factory.mktemp("kits"), dict[str, tuple[subprocess.Popen[str], Path]]()
    for seed, (name, url) in enumerate(RUNS.items()):
        if lacks(name):
            continue
        report = folder / f"{seed}.json"
        command = [sys.executable, "-c", "from iec62746.cli import main; main()", "transport", "conform", url]
        command += ["--report", str(report), "--seed", str(seed)]
        begun[name] = (subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True), report)
    yield begun
    for process, _ in begun.values():
        if process.poll() is None:
            process.terminate()
            process.wait()


@pytest.mark.requirement("R-5.2a")
@pytest.mark.parametrize("name", RUNS)
def test_the_kit_passes_and_grants_realtime(
    name: str, kits: dict[str, tuple[subprocess.Popen[str], Path]], absent: Callable[[object], NoReturn]
) -> None:
    if why := lacks(name):
        absent(why)
    process, file = kits[name]
    shown, _ = process.communicate()
    assert file.exists(), shown
    report: dict[str, Any] = json.loads(file.read_text())
    by_status: dict[str, list[Any]] = {"passed": [], "failed": [], "skipped": []}
    for rule in report["rules"]:
        by_status[rule["status"]].append(rule)

    assert [] == by_status["failed"], shown
    assert 0 == process.returncode, shown
    assert ["core", "realtime", *(["secure"] if name.endswith("TLS") else [])] == report["profiles"], shown
    for rule in by_status["skipped"]:
        capability = next(value for key, value in UNDECLARED.items() if rule["id"].startswith(key))
        assert rule["reason"].startswith(f"{capability} is declared as"), rule
