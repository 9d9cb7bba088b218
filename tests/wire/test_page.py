"""docs/wire.md says what is on the broker, and the bare clients know nothing else."""

import ast
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.skipif(not (ROOT / "docs").is_dir(), reason="run without the source tree: no docs folder beside tests")
def test_the_page_shows_what_is_on_the_broker(absent: Callable[[object], NoReturn]) -> None:
    generator = [sys.executable, "-m", "scripts.wire", "--check"]

    ran = subprocess.run(generator, cwd=ROOT, capture_output=True, text=True, check=False)

    assert not ran.returncode, ran.stderr
    if "skipped" in ran.stdout:
        absent(ran.stdout)


def test_the_bare_clients_import_pika_lxml_and_the_standard_library_only() -> None:
    tree = ast.parse(Path(__file__).with_name("bare.py").read_bytes())
    plain = [name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names]
    named = [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    tops = {name.partition(".")[0] for name in (*plain, *named)}

    assert {"lxml", "pika"} == tops - sys.stdlib_module_names
