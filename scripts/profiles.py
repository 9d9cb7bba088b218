"""Write the classes of the profiles in the box from their schemas, by xsdata.

`--check` writes nothing and exits 1 where it differs.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
BOX = ROOT / "profiles/iec62746_profiles"
CONFIG = ROOT / "profiles/xsdata.xml"
# One source: the core validates these two itself, so they stay there.
CORE = {"resources": ["presence.xsd", "nodes.xsd"]}


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="fail where a class would change")
    is_check = parser.parse_args(arguments).check
    stale = [path for path in _profiles() if _write(path, is_check)]
    for path in stale if is_check else []:
        print(f"{path.relative_to(ROOT)}/generated is stale: run scripts/generate", file=sys.stderr)
    return 1 if is_check and stale else 0


def _profiles() -> list[Path]:
    return sorted(path.parent for path in BOX.glob("*/schema"))


def _write(profile: Path, is_check: bool) -> bool:
    """Return whether the classes of `profile` are not what xsdata makes now; write them unless it is only a check."""
    made, there = classes(profile), profile / "generated"
    if made == {path.name: path.read_text("utf-8") for path in there.glob("*.py")}:
        return False
    if not is_check:
        shutil.rmtree(there, ignore_errors=True)
        there.mkdir()
        for name, text in made.items():
            (there / name).write_text(text, "utf-8")
        print(f"wrote {there.relative_to(ROOT)}")
    return True


def classes(profile: Path) -> dict[str, str]:
    """Return the modules that xsdata makes of the schemas of `profile`, by file name."""
    with tempfile.TemporaryDirectory() as name:
        source = Path(name, "schema")
        source.mkdir()
        for schema in [*profile.glob("schema/*.xsd"), *_from_core(profile)]:
            shutil.copy(schema, source)
        _xsdata(source, Path(name))
        return {path.name: path.read_text("utf-8") for path in Path(name, "generated").glob("*.py")}


def _from_core(profile: Path) -> list[Path]:
    return [ROOT / "iec62746/schema" / name for name in CORE.get(profile.name, [])]


def _xsdata(source: Path, where: Path) -> None:
    beside = Path(sys.executable).parent
    command = [str(beside / "xsdata"), "generate", str(source), "--config", str(CONFIG)]
    # It formats what it wrote by the ruff that it finds.
    environment = {**os.environ, "PATH": f"{beside}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(command, cwd=where, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"xsdata: {done.stdout}{done.stderr}")


if __name__ == "__main__":
    sys.exit(main())
