"""What docs/profiles.md says is so."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from iec62746.profiles import installed

PAGE = Path(__file__).parents[2] / "docs/profiles.md"

pytestmark = pytest.mark.skipif(not PAGE.exists(), reason="run without the source tree: no docs beside tests")


def test_the_code_of_the_page_prints_what_it_says() -> None:
    examples = re.findall(r"```python\n(.*?)```\n\nprints ([^\n]*)\.\n", PAGE.read_text("utf-8"), re.DOTALL)

    for code, said in examples:
        ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=False)
        assert ("", re.findall("`(.*?)`", said)) == (ran.stderr, ran.stdout.splitlines())

    assert 2 == len(examples)


def test_the_page_lists_the_profiles_in_the_box() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| `(\S+)` \|", PAGE.read_text("utf-8"), re.MULTILINE)

    assert set(rows) == {
        (profile.name, *profile.nouns, *profile.namespaces)
        for profile in installed()
        if profile.models.startswith("iec62746_profiles.")
    }
