"""What typed payloads cost: python benchmarks/bench_profiles.py

Binding beside xsdata's own parser on the same bytes and classes, which validates nothing; and what a message costs
whose payload nobody binds, with and without its schema. Interleaved rounds of processor time; median, lowest to
highest. It judges nothing: it prints figures and targets.
"""

import statistics
import time
from collections.abc import Callable, Sequence

from xsdata.formats.dataclass.context import XmlContext
from xsdata.formats.dataclass.parsers import XmlParser

from iec62746 import Delivery, Domain, Inbox, Kind, Message, Proof, ReplyPart, ReplyTo, Result, payload
from iec62746.exchange import Exchange
from iec62746.profiles import Profiles, installed
from iec62746_profiles.end_device_controls.models import (
    ControlTypeReference,
    EndDevice,
    EndDeviceControl,
    EndDeviceControls,
    Name,
)

ROUNDS, TIMES = 9, 300
DEVICES = tuple(EndDevice(names=(Name(name=f"device-{number:02d}"),)) for number in range(13))
CONTROL = EndDeviceControl(
    dr_program_level=4, end_device_control_type=ControlTypeReference(ref="2.15.83.4"), end_devices=DEVICES
)
TYPED = EndDeviceControls(end_device_control=(CONTROL,))
TEXT = """
[domain]
name = "bench"
vtn = "vtn"
payloads = "{payloads}"
[roles.ven]
serve.create = ["EndDeviceControls"]
[parties.ven-1]
roles = ["ven"]
"""


def microseconds(work: Callable[[], object]) -> float:
    start = time.process_time()
    for _ in range(TIMES):
        work()
    return (time.process_time() - start) / TIMES * 1e6


def shown(name: str, values: Sequence[float], unit: str = "µs") -> str:
    return f"{name:<64} {statistics.median(values):8.2f} {unit}   ({min(values):.2f} to {max(values):.2f})"


def receiving(payloads: str, profiles: Profiles) -> Callable[[], object]:
    """Return what has a VEN receive one request after another."""
    ids = iter(f"id-{number}" for number in range(10_000_000))
    domain = Domain.parse(TEXT.format(payloads=payloads))
    vtn, ven = (
        Exchange(domain, party, now=1e9, new_id=lambda: next(ids), profiles=profiles) for party in ("vtn", "ven-1")
    )
    template = Message(kind=Kind.REQUEST, verb="create", noun="EndDeviceControls", payload=payload(TYPED))
    body = vtn.request(template, "ven-1", 1e9, 20).body.decode()
    first = body[body.index("<MessageID>") + 11 : body.index("</MessageID>")]

    answer = Message(kind=Kind.RESPONSE, verb="reply", noun="EndDeviceControls", reply=ReplyPart(result=Result.OK))

    def receive() -> object:
        delivery = Delivery(
            body=body.replace(first, next(ids)).encode(),
            address=Inbox("ven-1"),
            sender="vtn",
            proof=Proof.BROKER,
            reply_to=ReplyTo(None),
        )
        (out,) = ven.receive(delivery, 1e9)
        ven.answer(out.ticket, answer, 1e9)  # type: ignore[union-attr]
        return out

    return receive


def main() -> None:
    xml = payload(TYPED).xml
    profile = installed().get("end_device_controls")
    parser = XmlParser(context=XmlContext())
    ways: dict[str, Callable[[], object]] = {
        "xsdata": lambda: parser.from_bytes(xml, EndDeviceControls),
        "bind": lambda: profile.bind(xml),
        "validate": lambda: profile.validate(xml),
        "write": lambda: profile.write(TYPED),
        "any": receiving("any", installed()),
        "unknown": receiving("valid", Profiles({})),
        "valid": receiving("valid", installed()),
    }
    assert ways["xsdata"]() == ways["bind"]() == TYPED
    costs: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(ROUNDS):
        for name, way in ways.items():
            costs[name].append(microseconds(way))

    def ratios(one: str, other: str) -> list[float]:
        return [a / b for a, b in zip(costs[one], costs[other], strict=True)]

    print(f"a payload of {len(xml)} octets; {ROUNDS} rounds of {TIMES}")
    print(shown("xsdata's own parser, its context kept", costs["xsdata"]))
    print(shown("bind: validated, then bound", costs["bind"]))
    print(shown("bind / xsdata's own parser (target: at most 1)", ratios("bind", "xsdata"), "×"))
    print(shown("validate alone", costs["validate"]))
    print(shown("write: written, then validated", costs["write"]))
    print(shown("a request received and answered, payloads = any", costs["any"]))
    print(shown("the same, valid, of nobody's profile: its namespace is looked at", costs["unknown"]))
    print(shown("  ratio (target: 1)", ratios("unknown", "any"), "×"))
    print(shown("the same, valid by its schema; nobody binds", costs["valid"]))
    print(shown("  ratio: what the schema costs", ratios("valid", "any"), "×"))


if __name__ == "__main__":
    main()
