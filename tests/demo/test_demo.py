"""The demo, as its user runs it."""

import json
import re
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

import pytest
from typer.testing import CliRunner

from iec62746.cli import app
from iec62746.demo import north as demo
from iec62746.demo import payloads
from iec62746_memory import MemoryTransport

M = "{http://iec.ch/TC57/2011/schema/message}"


class Body:
    """One captured body, read by the standard library's parser: nothing of ours."""

    def __init__(self, path: Path) -> None:
        self.name = path.name
        root = ElementTree.parse(path).getroot()
        self.root = root.tag.removeprefix(M)
        header = root.find(f"{M}Header")
        assert header is not None
        self.fields = {child.tag.removeprefix(M): child.text or "" for child in header}
        self.properties = {
            one.findtext(f"{M}Name", ""): one.findtext(f"{M}Value", "") for one in header.findall(f"{M}Property")
        }
        self.result = root.findtext(f"{M}Reply/{M}Result")

    @property
    def way(self) -> tuple[str, str]:
        return self.fields["Source"], self.properties["Destination"]


@pytest.fixture(scope="module")
def captured(tmp_path_factory: pytest.TempPathFactory) -> list[Body]:
    folder = tmp_path_factory.mktemp("wire")
    ran = CliRunner().invoke(app, ["demo", "--capture", str(folder), "--url", "memory://captured"])
    assert 0 == ran.exit_code, ran.output
    return [Body(path) for path in sorted(folder.iterdir())]


VENS = ("heat-pump", "ev-depot", "battery", "pv-roof", "building")


@pytest.mark.requirement("R-5.5.2")
@pytest.mark.parametrize("verb", ["create", "change", "cancel", "delete"])
def test_the_demo_has_transactional_requests_in_both_directions(captured: list[Body], verb: str) -> None:
    ways = {body.way for body in captured if body.root == "RequestMessage" and body.fields["Verb"] == verb}

    assert any(source == "grid-operator" and destination in VENS for source, destination in ways)
    assert any(source in VENS and destination == "grid-operator" for source, destination in ways)


@pytest.mark.requirement("R-5.5.3")
def test_the_demo_has_queries_in_both_directions(captured: list[Body]) -> None:
    ways = {body.way for body in captured if body.root == "RequestMessage" and body.fields["Verb"] == "get"}

    assert any(source == "grid-operator" and destination in VENS for source, destination in ways)
    assert any(source in VENS and destination == "grid-operator" for source, destination in ways)


@pytest.mark.requirement("R-5.5.4a")
@pytest.mark.requirement("R-5.5.4b")
def test_the_demo_has_events_of_the_vtn_on_nodes_and_of_vens_to_the_vtn(captured: list[Body]) -> None:
    events = [body for body in captured if body.root == "EventMessage" and body.fields["Noun"] != "Presence"]

    ways = {body.way for body in events}

    assert {
        ("grid-operator", "price.north"),
        ("grid-operator", "grid.status"),
        ("grid-operator", "dispatch.north"),
    } <= ways
    assert {(ven, "grid-operator") for ven in VENS[:4]} <= ways


@pytest.mark.requirement("R-5.5.5")
def test_the_demo_has_the_presence_of_the_vtn_and_of_every_ven(captured: list[Body]) -> None:
    announced = {body.way for body in captured if body.fields["Noun"] == "Presence"}

    assert {("grid-operator", "north"), *((ven, "grid-operator") for ven in VENS)} == announced


def test_each_reply_is_correlated_and_comes_from_the_party_asked(captured: list[Body]) -> None:
    asked = {body.fields["CorrelationID"]: body.way for body in captured if body.root == "RequestMessage"}
    replies = [body for body in captured if body.root == "ResponseMessage"]

    ways = [(body.way, asked[body.fields["CorrelationID"]]) for body in replies]

    assert ways
    assert all(reply == (request[1], request[0]) for reply, request in ways)


def test_every_request_has_one_reply_but_the_one_to_who_has_left(captured: list[Body]) -> None:
    replies = Counter(body.fields["CorrelationID"] for body in captured if body.root == "ResponseMessage")
    requests = [body for body in captured if body.root == "RequestMessage"]

    unanswered = [body.way for body in requests if replies[body.fields["CorrelationID"]] != 1]

    assert [("grid-operator", "ev-depot")] == unanswered


@pytest.mark.requirement("R-5.4")
def test_every_message_has_source_destination_id_verb_noun_time_and_deadline(captured: list[Body]) -> None:
    ids = [body.fields["MessageID"] for body in captured]

    assert len(set(ids)) == len(ids)
    assert all(
        {"Verb", "Noun", "Timestamp", "Source", "MessageID", "CorrelationID"} <= set(body.fields) for body in captured
    )
    assert all(
        re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", body.properties["Deadline"]) for body in captured
    )


def test_files_are_named_by_order_source_and_destination(captured: list[Body]) -> None:
    names = [f"{number:04d}-{body.way[0]}-{body.way[1]}.xml" for number, body in enumerate(captured, 1)]

    assert names == [body.name for body in captured]


async def test_a_neighbour_that_gets_an_event_as_the_current_value_first_has_got_it() -> None:
    domain, story, url = demo.north(), demo.Story(), "memory://demo-current"
    async with demo.grid_operator(domain, url, MemoryTransport(), story) as vtn:
        await vtn.publish("MarketPrices", payloads.price(91.37), node="price.north")
        async with demo.neighbour(domain, url, MemoryTransport(), story, "pv-roof"):
            await story.hear("pv-roof price.north", "pv-roof price.north current")


def test_the_demo_prints_a_json_object_a_line() -> None:
    ran = CliRunner().invoke(app, ["demo", "--json", "--url", "memory://json"])

    lines = [json.loads(line) for line in ran.output.splitlines()]

    assert {"seconds", "source", "destination", "root", "verb", "noun", "result", "octets"} == set(lines[0])


def test_an_unknown_transport_is_named_with_what_to_do() -> None:
    ran = CliRunner().invoke(app, ["demo", "--url", "pigeon://loft"])

    assert 1 == ran.exit_code
    assert "no transport for pigeon:// is installed" in ran.output


OWN = """<RequestMessage xmlns="http://iec.ch/TC57/2011/schema/message"><Header><Verb>create</Verb><Noun>Widgets</Noun>
<Timestamp>2020-01-01T00:00:00Z</Timestamp><Comment>kept</Comment></Header>
<Payload><w:Widgets xmlns:w="urn:widgets"><w:Widget/></w:Widgets></Payload></RequestMessage>"""


def test_messages_of_a_folder_arrive_as_they_were(tmp_path: Path) -> None:
    (tmp_path / "own.xml").write_text(OWN)

    ran = CliRunner().invoke(app, ["demo", "--messages", str(tmp_path), "--json", "--url", "memory://own"])

    row = json.loads(ran.output.splitlines()[-1])
    assert 0 == ran.exit_code
    assert ("own.xml", "") == (row["file"], row["differs"])


def test_what_the_demo_captured_is_sent_again_but_for_what_parties_say_by_themselves(tmp_path: Path) -> None:
    CliRunner().invoke(app, ["demo", "--capture", str(tmp_path), "--url", "memory://captured"])

    ran = CliRunner().invoke(app, ["demo", "--messages", str(tmp_path), "--json", "--url", "memory://again"])

    rows = [json.loads(row) for row in ran.output.splitlines() if row.startswith("{") and '"file"' in row]
    assert 0 == ran.exit_code
    assert {""} == {row["differs"] for row in rows}
    assert {True, False} == {row["is_skipped"] for row in rows}
    assert {"Presence", "Nodes"} == {row["what"].split()[-1] for row in rows if row["is_skipped"]}


def test_a_message_that_cannot_be_sent_as_it_is_has_its_reason_and_fails_the_run(tmp_path: Path) -> None:
    (tmp_path / "own.xml").write_text(OWN)
    (tmp_path / "vendor.xml").write_text(OWN.replace("</Header>", "<Extra>1</Extra></Header>"))

    ran = CliRunner().invoke(app, ["demo", "--messages", str(tmp_path), "--json", "--url", "memory://vendor"])

    rows = {row["file"]: row["differs"] for row in map(json.loads, ran.output.splitlines()) if "file" in row}
    assert 1 == ran.exit_code
    assert "" == rows["own.xml"]
    assert "cannot be sent: InvalidMessage" in rows["vendor.xml"]


def test_a_folder_without_messages_is_an_error_that_says_so(tmp_path: Path) -> None:
    ran = CliRunner().invoke(app, ["demo", "--messages", str(tmp_path)])

    assert 1 == ran.exit_code
    assert "there is no *.xml" in ran.output


def test_the_real_messages_arrive_as_they_were(oracle: Path) -> None:
    ran = CliRunner().invoke(
        app, ["demo", "--messages", str(oracle / "instances/es-cim"), "--json", "--url", "memory://es"]
    )

    rows = [row for row in map(json.loads, ran.output.splitlines()) if "file" in row]
    assert 0 == ran.exit_code, ran.output
    assert [""] * 8 == [row["differs"] for row in rows]


def test_what_the_demo_writes_is_valid_by_the_reference(oracle: Path, tmp_path: Path) -> None:
    import importlib.util

    spec = importlib.util.spec_from_file_location("standard", oracle / "standard.py")
    assert spec is not None
    assert spec.loader is not None
    standard = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(standard)
    CliRunner().invoke(app, ["demo", "--capture", str(tmp_path), "--url", "memory://reference"])
    judge = standard.schema()

    verdicts = {path.name: standard.verdict(path.read_bytes(), judge) for path in tmp_path.iterdir()}

    assert verdicts
    assert {} == {name: verdict for name, verdict in verdicts.items() if verdict}
