"""The demo's domain as a file, the extract of one VEN, and the command line in this process."""

from collections.abc import Callable
from importlib import resources
from itertools import count
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from iec62746.cli import app
from iec62746.domain import Domain

_numbers = count()


@pytest.fixture
def north() -> Path:
    """Return the whole domain file."""
    return Path(str(resources.files("iec62746.demo") / "north.toml"))


@pytest.fixture
def extract(north: Path, tmp_path: Path) -> Path:
    """Return what the battery is given of it."""
    path = tmp_path / "battery.toml"
    path.write_text(Domain.load(north).extract("battery"), "utf-8")
    return path


@pytest.fixture
def payload_file(tmp_path: Path) -> Path:
    """Return a file with a payload."""
    path = tmp_path / "payload.xml"
    path.write_text('<?xml version="1.0"?>\n<Thing xmlns="urn:test">7</Thing>\n', "utf-8")
    return path


@pytest.fixture
def url() -> str:
    """Return a memory broker of the test's own."""
    return f"memory://cli-{next(_numbers)}"


@pytest.fixture
def run() -> Callable[..., Result]:
    """Return what runs a command line in this process."""

    def invoke(*arguments: object, given: str = "") -> Result:
        words = [str(one) for one in arguments]
        return CliRunner().invoke(app, words, input=given, env={"COLUMNS": "200", "TERM": "dumb"})

    return invoke
