"""kombu's transports keep the contract: Redis, RabbitMQ 3.10 and 4 by pyamqp, and the filesystem; the whole kit."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest

from iec62746_rabbitmq.private import NoBroker, PrivateBroker, rabbitmq4

pytestmark = pytest.mark.timeout(600)

RUNS = {
    "kombu+redis://private": ["core"],
    "kombu+pyamqp://private": ["core", "realtime"],
    "kombu+pyamqp://private4": ["core", "realtime"],
    "kombu+filesystem://private": ["core"],
}
UNDECLARED = {
    "optional_unroutable": "unroutable is declared as nothing",
    "optional_drops_expired": "drops_expired is declared as False",
    "optional_tells_blocked": "tells_blocked is declared as False",
    "optional_tells_gone": "tells_gone_within is declared as None",
    "optional_proof": "proof is declared as claimed",
    "optional_access_control": "access_control is declared as none",
    "optional_full": "the harness has no hook full",
    "optional_revoked": "the harness has no hook revoked",
}
"""What may be skipped, and why."""
WITHOUT_A_LINK = ("reach is declared as host", "the harness has no hook restart", "the harness has no hook leftovers")
"""Why more is skipped of the filesystem."""


def lacks(url: str) -> str:
    """Return why that run cannot be, or nothing."""
    if url == "kombu+redis://private" and shutil.which("redis-server") is None:
        return "no redis-server: apt install redis-server"
    if "pyamqp" in url:
        try:
            PrivateBroker(root=rabbitmq4() if url.endswith("4") else None).close()
        except NoBroker as exc:
            return str(exc)
    return ""


@pytest.fixture(scope="module")
def kits(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, tuple[subprocess.Popen[str], Path]]]:
    """Begin every run, all at once since they wait most of the time, each in another order of rules."""
    folder, begun = tmp_path_factory.mktemp("kits"), dict[str, tuple[subprocess.Popen[str], Path]]()
    for seed, url in enumerate(RUNS):
        if lacks(url):
            continue
        report = folder / f"{seed}.json"
        command = [sys.executable, "-c", "from iec62746.cli import main; main()", "transport", "conform", url]
        command += ["--report", str(report), "--seed", str(seed)]
        begun[url] = (subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True), report)
    yield begun
    for process, _ in begun.values():
        if process.poll() is None:
            process.terminate()
            process.wait()


@pytest.mark.requirement("R-5.2a")
@pytest.mark.parametrize("url", RUNS)
def test_the_kit_passes_and_grants_what_is_declared(
    url: str, kits: dict[str, tuple[subprocess.Popen[str], Path]], absent: Callable[[object], NoReturn]
) -> None:
    if why := lacks(url):
        absent(why)
    process, file = kits[url]
    shown, _ = process.communicate()
    assert file.exists(), shown
    report: dict[str, Any] = json.loads(file.read_text())
    by_status: dict[str, list[Any]] = {"passed": [], "failed": [], "skipped": []}
    for rule in report["rules"]:
        by_status[rule["status"]].append(rule)

    assert [] == by_status["failed"], shown
    assert 0 == process.returncode, shown
    assert RUNS[url] == report["profiles"], shown
    for rule in by_status["skipped"]:
        reasons = [reason for name, reason in UNDECLARED.items() if rule["id"].startswith(name)]
        if url == "kombu+filesystem://private":
            reasons += WITHOUT_A_LINK
        assert rule["reason"] in reasons, rule
