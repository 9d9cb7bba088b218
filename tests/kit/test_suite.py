"""The kit as a test class, as a transport's authors derive from it."""

import subprocess
import sys
from pathlib import Path

from iec62746.testing.suite import TransportConformance
from iec62746_memory.harness import MemoryHarness


class TestMemory(TransportConformance):
    url = "memory://suite"
    harness = MemoryHarness


def test_pytest_itself_tries_the_rules_where_it_is_told_to(tmp_path: Path) -> None:
    words = [
        sys.executable,
        "-P",
        "-m",
        "pytest",
        "--conform",
        "memory://plugin",
        "-k",
        "required_01",
        "-p",
        "no:cacheprovider",
    ]
    done = subprocess.run([*words, "-v"], cwd=tmp_path, capture_output=True, text=True, timeout=50)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "TestMemory" in done.stdout
    assert "required_01" in done.stdout
