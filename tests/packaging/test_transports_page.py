"""docs/transports.md has a row for each rule of the kit, and nothing failed."""

import re
from pathlib import Path

import pytest

from iec62746.testing.rules import ALL

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/transports.md"

pytestmark = pytest.mark.skipif(
    not (ROOT / "README.md").exists(), reason="the docs are not beside the tests: they run on the wheel"
)


def test_every_rule_has_a_row() -> None:
    rows = re.findall(r"^\| `(\w+)` \|", PAGE.read_text("utf-8"), re.MULTILINE)

    assert [one.id for one in ALL] == rows, "run scripts/transports.py again"


def test_nothing_failed() -> None:
    assert "✗ |" not in PAGE.read_text("utf-8")
