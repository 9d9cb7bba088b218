"""What the README says must run."""

import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

from iec62746 import Limits

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"

pytestmark = pytest.mark.skipif(not README.exists(), reason="the README is not beside the tests: they run on the wheel")


def test_the_ten_lines_of_the_readme_run() -> None:
    code = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)[0]

    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=30, check=False
    )

    assert "" == ran.stderr
    assert ["grid-operator asks for level 4", "OK"] == ran.stdout.splitlines()


def test_every_file_that_the_readme_links_is_there() -> None:
    links = re.findall(r"\]\(([^)#:]+)\)", README.read_text())

    missing = [link for link in links if not (ROOT / link).exists()]

    assert [] == missing


@pytest.mark.parametrize("script", ["demo", "test"])
def test_the_readme_names_a_script_that_can_be_run(script: str) -> None:
    path = ROOT / "scripts" / script

    assert f"scripts/{script}" in README.read_text()
    assert path.stat().st_mode & 0o111


def test_the_guide_names_every_limit_with_its_default() -> None:
    guide = (ROOT / "docs/guide.md").read_text()
    rows = dict(re.findall(r"^\| `(\w+)` \| ([\d,.]+) \|", guide, re.MULTILINE))

    documented = {name: float(value.replace(",", "")) for name, value in rows.items()}

    assert {one.name: getattr(Limits(), one.name) for one in fields(Limits)} == documented
