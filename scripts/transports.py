"""Write docs/transports.md: what the conformance kit says of each transport, side by side.

    .venv/bin/python scripts/transports.py                   every kit, one after the other: about fifteen minutes
    .venv/bin/python scripts/transports.py --keep reports/   the same, and keep each report there
    .venv/bin/python scripts/transports.py --from reports/   the page again, from the reports that were kept

A kit that cannot be run here keeps the page from being written.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from iec62746.testing.rules import ALL
from iec62746.transport import PROFILES

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs/transports.md"
NATS = ROOT / "examples/transport-nats"
COLUMNS = {
    "memory": "memory://kit",
    "RabbitMQ 3": "amqp://private",
    "3, plain lane": "amqp://private?lane=plain",
    "RabbitMQ 4, TLS": "amqps://private4",
    "4, open": "amqp://private4?declare=true",
    "kombu, Redis": "kombu+redis://private",
    "kombu, pyamqp": "kombu+pyamqp://private",
    "pyamqp, 4": "kombu+pyamqp://private4",
    "kombu, files": "kombu+filesystem://private",
    "NATS example": "nats://private",
}
HEAD = """\
# Transports, side by side

Written by `scripts/transports.py` from the reports of the conformance kit: do not edit.
`iec62746 transport conform URL` makes such a report of any transport, and `--rules` says what each rule demands.

✓ passed, ✗ failed, a letter: skipped, because of what stands under that letter below.
"""
Report = Mapping[str, Any]


def report_of(name: str, url: str, kept: Path, extra: Path) -> Report:
    """Return the report on one transport, made now."""
    path = kept / f"{file_of(name)}.json"
    print(f"{name}: {url}", flush=True)
    done = subprocess.run(
        [Path(sys.executable).parent / "iec62746", "transport", "conform", url, "--report", path],
        env=os.environ | {"PYTHONPATH": str(extra)},
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    print("\n".join(done.stdout.splitlines()[-6:]), flush=True)
    if not path.exists():
        raise SystemExit(f"there is no report on {url}: see above")
    return read(path)


def read(path: Path) -> Report:
    found: Report = json.loads(path.read_text("utf-8"))
    return found


def file_of(name: str) -> str:
    return "-".join(name.lower().replace(",", "").split())


def page(reports: Mapping[str, Report]) -> str:
    """Return the whole page."""
    letters: dict[str, str] = {}
    rows = [row(rule.id, reports, letters) for rule in ALL]
    versions = (", ".join(f"{key} {value}" for key, value in one["versions"].items()) for one in reports.values())
    head = [line("", *reports), line("---", *["---"] * len(reports)), line("version", *versions)]
    skipped = [f"- **{letter}**: {reason}" for reason, letter in letters.items()]
    parts = [HEAD, *head, *(granted(name, reports) for name in PROFILES), *rows, "", "## Why a rule was skipped", ""]
    return "\n".join([*parts, *skipped, ""])


def granted(profile: str, reports: Mapping[str, Report]) -> str:
    cells = ("granted" if profile in one["profiles"] else "–" for one in reports.values())
    return line(f"profile *{profile}*", *cells)


def row(rule: str, reports: Mapping[str, Report], letters: dict[str, str]) -> str:
    return line(f"`{rule}`", *[cell(rule, one, letters) for one in reports.values()])


def cell(rule: str, report: Report, letters: dict[str, str]) -> str:
    found = next((one for one in report["rules"] if one["id"] == rule), None)
    if found is None:
        raise SystemExit(f"the report on {report['transport']} is older than the rule {rule}: run its kit again")
    if found["status"] == "skipped":
        return letters.setdefault(found["reason"], letter_of(len(letters)))
    return {"passed": "✓", "failed": "✗"}[found["status"]]


def letter_of(number: int) -> str:
    return chr(ord("a") + number % 26) * (number // 26 + 1)


def line(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def reports_in(folder: Path) -> Iterator[tuple[str, Report]]:
    for name in COLUMNS:
        yield name, read(folder / f"{file_of(name)}.json")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keep", type=Path, metavar="DIR")
    parser.add_argument("--from", type=Path, metavar="DIR", dest="given")
    parser.add_argument(
        "--only", metavar="NAME", action="append", help="with --keep: run these kits, and write no page"
    )
    arguments = parser.parse_args()
    if arguments.given:
        reports = dict(reports_in(arguments.given))
    else:
        with tempfile.TemporaryDirectory() as text:
            folder = Path(text)
            kept = arguments.keep or folder
            kept.mkdir(parents=True, exist_ok=True)
            # A stranger's transport: installed beside, so that nothing of it stays.
            beside = folder / "nats"
            pip = [sys.executable, "-m", "pip", "install", "-qq", "--no-deps", "--target", str(beside), str(NATS)]
            subprocess.run(pip, check=True)
            chosen = {name: url for name, url in COLUMNS.items() if not arguments.only or name in arguments.only}
            reports = {name: report_of(name, url, kept, beside) for name, url in chosen.items()}
        if arguments.only:
            return
    PAGE.write_text(page(reports), "utf-8")
    print(f"wrote {PAGE.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
