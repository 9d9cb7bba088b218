"""The demo on RabbitMQ is the same conversation as in memory, but for ids and times: the transport is independent."""

import re
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn
from xml.etree import ElementTree

import pytest
from typer.testing import CliRunner

from iec62746.cli import app
from iec62746_rabbitmq.private import NoBroker, PrivateBroker

M = "{http://iec.ch/TC57/2011/schema/message}"
P = "{urn:iec62746:presence:1}"
IDS = {f"{M}MessageID", f"{M}CorrelationID", f"{P}session", f"{P}epoch"}
ID_PROPERTIES = {"EventID"}
KEY, NOUN = f"{M}Header/{M}CorrelationID", f"{M}Header/{M}Noun"
LATE = "building"
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")


@pytest.fixture(scope="module")
def broker(absent: Callable[[object], NoReturn]) -> Iterator[PrivateBroker]:
    """Return a RabbitMQ of the test's own: the demo's domain has a name that others may use as well."""
    try:
        with PrivateBroker() as broker:
            yield broker
    except NoBroker as exc:
        absent(exc)


def demonstrated(url: str, folder: Path) -> tuple[Counter[str], set[str]]:
    """Return what is sent over `url`, but for ids and times: the application's messages counted, the core's own once.

    How often a party announces itself, and asks for current values, depends on how long the demo takes; and whether
    those who were there from the start ask before or after the first publication is chance. Who comes late is not.
    """
    ran = CliRunner().invoke(app, ["demo", "--capture", str(folder), "--url", url])
    assert 0 == ran.exit_code, ran.output
    bodies = [ElementTree.parse(path).getroot() for path in sorted(folder.iterdir())]
    current = {one.findtext(KEY) for one in bodies if one.findtext(f"{M}Request/{M}Option/{M}name") == "Node"}
    announced = [one for one in bodies if one.findtext(NOUN) == "Presence"]
    asked = [one for one in bodies if one.findtext(KEY) in current]
    said = [one for one in bodies if one not in announced and one not in asked]
    late = [
        one for one in asked if any(LATE == name.text for name in (*one.iter(f"{M}Source"), *one.iter(f"{M}Value")))
    ]
    assert len(late) >= 4
    return Counter(map(without_ids_and_times, said)), set(map(without_ids_and_times, announced + late))


def without_ids_and_times(root: ElementTree.Element) -> str:
    """Return the document with every identifier and time blotted out."""
    for element in root.iter():
        if element.tag in IDS or TIME.fullmatch(element.text or ""):
            element.text = "…"
        if element.tag == f"{M}Property" and element.findtext(f"{M}Name") in ID_PROPERTIES:
            for value in element.findall(f"{M}Value"):
                value.text = "…"
    return ElementTree.tostring(root, encoding="unicode")


@pytest.mark.requirement("R-5.2a")
def test_the_demo_is_the_same_conversation_in_memory_and_on_rabbitmq(broker: PrivateBroker, tmp_path: Path) -> None:
    in_memory = demonstrated("memory://compared", tmp_path / "memory")

    on_rabbitmq = demonstrated(broker.url(query="declare=true"), tmp_path / "rabbitmq")

    assert 30 < in_memory[0].total()
    assert in_memory == on_rabbitmq


def test_what_is_compared_sees_a_difference() -> None:
    text = f'<m xmlns="{M[1:-1]}"><MessageID>{{}}</MessageID><Noun>{{}}</Noun></m>'

    one, same, other = (
        without_ids_and_times(ElementTree.fromstring(text.format(*parts)))
        for parts in (("1", "Nodes"), ("2", "Nodes"), ("1", "Devices"))
    )

    assert one == same
    assert one != other
