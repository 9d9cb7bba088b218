import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.skipif(
    not (ROOT / "docs").is_dir(), reason="run without the source tree: there is no docs folder beside tests"
)


def test_the_page_of_metrics_is_what_scripts_generate_would_write() -> None:
    generator = [sys.executable, str(ROOT / "scripts/metrics.py"), "--check"]

    ran = subprocess.run(generator, capture_output=True, text=True, check=False)

    assert not ran.returncode, ran.stderr
