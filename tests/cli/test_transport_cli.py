"""`iec62746 transport conform`, as a shell user has it."""

import json
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from iec62746.cli import app
from iec62746.testing.rules import ALL


@pytest.fixture
def run() -> CliRunner:
    return CliRunner()


def test_rules_are_tried_and_reported(run: CliRunner, tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    done = run.invoke(app, ["transport", "conform", "memory://cli", "--only", "unroutable_4", "--report", str(path)])

    assert done.exit_code == 0, done.output
    assert "passed" in done.output
    assert "optional_unroutable_44_outcomes_are_not_mixed_up" in done.output
    assert "not every rule was tried" in done.output
    written = json.loads(path.read_text())
    assert [one["status"] for one in written["rules"]] == ["passed"] * 4
    assert written["transport"] == "memory://cli"


def test_a_failure_is_the_exit_status(run: CliRunner) -> None:
    done = run.invoke(app, ["transport", "conform", "memory://cli?max_message=1000", "--only", "_01_"])

    assert done.exit_code == 1
    assert "max_message is 1000" in done.output


def test_the_rules_are_shown(run: CliRunner) -> None:
    done = run.invoke(app, ["transport", "conform", "memory://cli", "--rules"])

    assert done.exit_code == 0
    assert all(one.id in done.output and one.statement in done.output for one in ALL)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["memory://cli", "--only", "xyz"], "no rule has 'xyz' in its id"),
        (["nothing://cli"], "no transport for nothing:// is installed"),
        (["memory"], "is no transport URL"),
    ],
)
def test_what_is_wrong_is_said(run: CliRunner, arguments: list[str], said: str) -> None:
    done = run.invoke(app, ["transport", "conform", *arguments])

    assert done.exit_code == 1
    assert said in done.output
    assert "Traceback" not in done.output


def test_without_trustme_tls_says_what_to_install(run: CliRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "trustme", None)
    done = run.invoke(app, ["transport", "conform", "amqps://private"])

    assert done.exit_code == 1
    assert "certificates for tests need 'trustme': pip install 'iec62746[testing]'\n" in done.stderr
    assert "Traceback" not in done.output


def test_the_help_teaches(run: CliRunner) -> None:
    done = run.invoke(app, ["transport", "conform", "--help"])

    assert done.exit_code == 0
    for word in ("Examples", "memory://north", "--report", "core, realtime and secure"):
        assert word in done.output
