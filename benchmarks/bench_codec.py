"""What it costs to read and to write one 1 KB message, beside a hardened lxml parse of its bytes and beside xsdata.

Each round measures every operation in turn, so that whatever else the machine does hits all of them; a ratio is the
median of the rounds' own ratios. Speed never fails the run: the targets are printed, and whether they are met.
"""

import argparse
import importlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Any

from lxml import etree

from iec62746.envelope import decode, encode
from iec62746.message import DEADLINE, DESTINATION, Kind, Message, Payload, Property, TypedForm

PAYLOAD = (
    '<DemandResponseEvents xmlns="http://iec.ch/TC57/2016/DemandResponseEvents#"><DemandResponseEvent>'
    "<mRID>9f2d6c1e-8d1b-4c7e-9a54-2f7f6f0f0b22</mRID><createdDateTime>2026-11-23T08:00:00Z</createdDateTime>"
    "<priority>1</priority><status>scheduled</status>"
    "<interval><start>2026-11-23T09:00:00Z</start><duration>PT15M</duration><value>12.5</value></interval>"
    "<interval><start>2026-11-23T09:15:00Z</start><duration>PT15M</duration><value>9.75</value></interval>"
    "</DemandResponseEvent></DemandResponseEvents>"
)
ID = "0f2a6c1e-8d1b-4c7e-9a54-2f7f6f0f0a11"
MESSAGE = Message(
    kind=Kind.EVENT,
    verb="created",
    noun="DREvents",
    timestamp="2026-11-23T08:00:00.000Z",
    source="vtn",
    message_id=ID,
    properties=(Property(DESTINATION, "price.north"), Property(DEADLINE, "2026-11-23T08:00:30.000Z")),
)
FORM = TypedForm("CreatedDREvents", "http://iec.ch/TC57/2016/DREventsMessage")

HARDENED = "lxml parse, hardened"
VALIDATED = "lxml parse + XSD"
DECODE, ENCODE, TYPED = "our decode", "our encode", "our decode, typed form"
PARSE, SERIALISE = "xsdata parse", "xsdata serialise"
Operations = dict[str, Callable[[], Any]]
Rounds = dict[str, list[float]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=40, help="how many rounds (default: 40)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    options = parser.parse_args()
    message = decode(encode(replace(MESSAGE, payload=Payload(items=(PAYLOAD.encode(),)))))
    data = encode(message)
    with tempfile.TemporaryDirectory() as folder:
        rounds = measured(operations(message, data, Path(folder)), options.rounds)
    figures = {"octets": len(data), "payload": len(PAYLOAD), "rounds": options.rounds, "operations": table(rounds)}
    figures["targets"] = targets(rounds)
    show(figures)
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n", "utf-8")


def operations(message: Message, data: bytes, folder: Path) -> Operations:
    # As people write it who have read about XML attacks.
    hardened = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)
    schema = etree.XMLSchema(etree.fromstring(message_xsd()))
    typed = encode(replace(message, form=FORM))
    found: Operations = {
        HARDENED: lambda: etree.fromstring(data, hardened),
        VALIDATED: lambda: schema.validate(etree.fromstring(data, hardened)),
        DECODE: lambda: decode(data),
        ENCODE: lambda: encode(message),
        TYPED: lambda: decode(typed),
    }
    return found | xsdata(data, folder)


def message_xsd() -> bytes:
    return resources.files("iec62746").joinpath("schema/message.xsd").read_bytes()


def xsdata(data: bytes, folder: Path) -> Operations:
    """Return parse and serialise with models that xsdata makes from our schema now."""
    try:
        from xsdata.formats.dataclass.parsers import XmlParser
        from xsdata.formats.dataclass.serializers import XmlSerializer
    except ImportError:
        print("xsdata is not installed: left out (pip install 'xsdata[cli,lxml]')", file=sys.stderr)
        return {}
    (folder / "message.xsd").write_bytes(message_xsd())
    command = [sys.executable, "-m", "xsdata", "generate", "message.xsd", "--package", "bench_models"]
    # It calls ruff, which stands beside this Python.
    paths = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", "")))
    environment = os.environ | {"PATH": paths}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        print(f"xsdata made no models: left out\n{done.stdout}{done.stderr}", file=sys.stderr)
        return {}
    sys.path.insert(0, str(folder))
    model = importlib.import_module("bench_models").EventMessage
    parser, serializer = XmlParser(), XmlSerializer()
    value = parser.from_bytes(data, model)
    return {PARSE: lambda: parser.from_bytes(data, model), SERIALISE: lambda: serializer.render(value)}


def measured(found: Operations, rounds: int) -> Rounds:
    """Return the microseconds of each operation in each round."""
    repeats = {name: max(5, int(0.004 / seconds(operation, 20))) for name, operation in found.items()}
    times: Rounds = {name: [] for name in found}
    for _ in range(rounds):
        for name, operation in found.items():
            times[name].append(seconds(operation, repeats[name]) * 1e6)
    return times


def seconds(operation: Callable[[], Any], repeats: int) -> float:
    begin = time.perf_counter()
    for _ in range(repeats):
        operation()
    return (time.perf_counter() - begin) / repeats


def ratio(rounds: Rounds, one: str, other: str) -> float | None:
    if one not in rounds or other not in rounds:
        return None
    return statistics.median(a / b for a, b in zip(rounds[one], rounds[other], strict=True))


def table(rounds: Rounds) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "median": statistics.median(times),
            "min": min(times),
            "max": max(times),
            "ratio": ratio(rounds, name, HARDENED),
        }
        for name, times in rounds.items()
    ]


def targets(rounds: Rounds) -> list[dict[str, Any]]:
    """Return each target, what was measured, and whether it is met; None where it was not measured."""
    wanted = [
        (f"{DECODE} / {HARDENED}", "at most", 2.5, ratio(rounds, DECODE, HARDENED)),
        (f"{ENCODE} / {HARDENED}", "at most", 1.0, ratio(rounds, ENCODE, HARDENED)),
        (f"{PARSE} / {DECODE}", "at least", 8.0, ratio(rounds, PARSE, DECODE)),
        (f"{SERIALISE} / {ENCODE}", "at least", 8.0, ratio(rounds, SERIALISE, ENCODE)),
    ]
    return [
        {"name": name, "bound": bound, "target": target, "measured": found, "met": is_met(bound, target, found)}
        for name, bound, target, found in wanted
    ]


def is_met(bound: str, target: float, found: float | None) -> bool | None:
    if found is None:
        return None
    return found <= target if bound == "at most" else found >= target


def show(figures: dict[str, Any]) -> None:
    rounds, octets, payload = figures["rounds"], figures["octets"], figures["payload"]
    print(f"EventMessage of {octets} octets, {payload} of them payload; {rounds} interleaved rounds; microseconds")
    print(f"{'operation':26}{'median':>9}{'min..max':>20}{'ratio':>8}")
    for row in figures["operations"]:
        spread = f"{row['min']:.1f}..{row['max']:.1f}"
        print(f"{row['name']:26}{row['median']:9.1f}{spread:>20}{row['ratio']:8.2f}")
    print()
    for row in figures["targets"]:
        found = "not measured" if row["measured"] is None else f"{row['measured']:.2f}"
        verdict = {True: "met", False: "NOT MET", None: "-"}[row["met"]]
        print(f"{row['name']:44}{row['bound']:>9} {row['target']:4.1f} ×: {found:>6}  {verdict}")


if __name__ == "__main__":
    main()
