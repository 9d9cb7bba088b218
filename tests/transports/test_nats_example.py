"""examples/transport-nats, as a stranger would have written it: built and installed away from the package."""

import ast
import hashlib
import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from importlib.metadata import distribution
from pathlib import Path
from typing import Any, NoReturn

import pytest

import iec62746
from iec62746.cli.new_transport import example

pytestmark = pytest.mark.timeout(600)

MAIN = "from iec62746.cli import main; main()"
PUBLIC = {"iec62746.testing.harness", "iec62746.testing.suite", "iec62746.transport"}
"""Public modules; of the package itself only what it lists in `__all__` is."""
RUNS = ("nats://private", "nats://private?accounts=true")
NOT_OF_NATS = {"drops_expired": "declared", "tells_blocked": "declared", "tells_gone": "declared", "full": "hook"}
"""What NATS has not, by the ids of the rules, and why such a rule is skipped."""
NOT_WITHOUT_ACCOUNTS = {"proof": "declared", "access_control": "declared", "revoked": "hook"}


@pytest.fixture(scope="module", autouse=True)
def server(absent: Callable[[object], NoReturn]) -> None:
    """Demand a nats-server."""
    if shutil.which("nats-server") is None:
        absent("there is no nats-server on the PATH: apt install nats-server")


def run(*arguments: str, at: Path, path: Path | None) -> subprocess.CompletedProcess[str]:
    """Run this Python, with the distribution in the folder `path`."""
    environment = os.environ | {"PYTHONPATH": str(path or "")}
    return subprocess.run([sys.executable, *arguments], cwd=at, env=environment, capture_output=True, text=True)


def contents() -> dict[str, str]:
    """Return what the package is made of: the hash of each file, and what it announces."""
    folder = Path(iec62746.__file__).parent
    files = [one for one in folder.rglob("*") if one.is_file() and "__pycache__" not in one.parts]
    announced = sorted(map(repr, distribution("iec62746").entry_points))
    return {str(one): hashlib.sha256(one.read_bytes()).hexdigest() for one in files} | {"announced": repr(announced)}


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of the example, far from the package."""
    copy = tmp_path_factory.mktemp("source") / "transport-nats"
    return Path(shutil.copytree(example(), copy, ignore=shutil.ignore_patterns("__pycache__", ".*")))


@pytest.fixture(scope="module")
def before() -> dict[str, str]:
    """Return what the package was made of before."""
    return contents()


@pytest.fixture(scope="module")
def installed(before: dict[str, str], source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder in which its wheel is installed."""
    target = tmp_path_factory.mktemp("target")
    built = run("-m", "hatchling", "build", "-t", "wheel", "-d", str(target / "dist"), at=source, path=None)
    assert built.returncode == 0, built.stderr
    (wheel,) = (target / "dist").glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(target / "site")
    return target / "site"


@pytest.fixture(scope="module")
def kits(installed: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, tuple[Any, Path]]]:
    """Begin both runs at once, since they wait most of the time, each in another order of rules."""
    folder, begun = tmp_path_factory.mktemp("kits"), {}
    for seed, url in enumerate(RUNS):
        report = folder / f"{seed}.json"
        command = [sys.executable, "-c", MAIN, "transport", "conform", url]
        command += ["--report", str(report), "--seed", str(seed)]
        environment = os.environ | {"PYTHONPATH": str(installed)}
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        begun[url] = (process, report)
    yield begun
    for process, _ in begun.values():
        if process.poll() is None:
            process.terminate()
            process.wait()


@pytest.mark.requirement("R-5.2a")
def test_to_install_it_adds_a_scheme_and_changes_nothing_in_the_package(
    before: dict[str, str], installed: Path, tmp_path: Path
) -> None:
    without, with_it = (
        {
            tuple(line.split())
            for line in run("-c", MAIN, "transport", "list", at=tmp_path, path=path).stdout.splitlines()
        }
        for path in (None, installed)
    )

    assert {("nats://", "iec62746-nats", "0.1.0", "ready")} == with_it - without
    assert set() == without - with_it
    assert before == contents()


def imported(module: Path) -> Iterator[tuple[str, str]]:
    """Yield module and name of whatever `module` imports of the package."""
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "iec62746":
            yield from ((node.module or "", one.name) for one in node.names)
        if isinstance(node, ast.Import):
            yield from ((one.name, "") for one in node.names if one.name.partition(".")[0] == "iec62746")


def test_it_uses_public_names_only() -> None:
    used = [(path.name, *one) for path in example().rglob("*.py") for one in imported(path)]

    public = {("iec62746", name) for name in iec62746.__all__}
    assert len({file for file, _, _ in used}) >= 6
    assert [] == [one for one in used if one[1:] not in public and (one[1] not in PUBLIC or one[2].startswith("_"))]


def test_its_own_tests_are_the_rules(source: Path, installed: Path) -> None:
    # pytest-asyncio is ours: the example's tests do not need it.
    words = ["-m", "pytest", "-p", "no:cacheprovider", "-p", "no:asyncio", "-v", "tests"]
    words += ["-k", "required_02 or access_control_73 or test_session"]
    done = run(*words, at=source, path=installed)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "TestConformance::test_rule[required_02" in done.stdout
    assert "4 passed, 1 skipped" in done.stdout


@pytest.mark.requirement("R-5.2a")
@pytest.mark.parametrize("url", RUNS)
def test_the_kit_passes_and_grants_realtime(url: str, kits: dict[str, tuple[Any, Path]]) -> None:
    process, file = kits[url]
    shown, _ = process.communicate()
    assert process.returncode == 0, shown
    report = json.loads(file.read_text())

    assert ["core", "realtime"] == report["profiles"], shown
    absent = NOT_OF_NATS if "accounts" in url else NOT_OF_NATS | NOT_WITHOUT_ACCOUNTS
    skipped = {rule["id"]: rule["reason"] for rule in report["rules"] if rule["status"] == "skipped"}
    unexpected = {
        rule: why
        for rule, why in skipped.items()
        if not any(rule.startswith(f"optional_{name}_") and word in why for name, word in absent.items())
    }
    assert {} == unexpected
