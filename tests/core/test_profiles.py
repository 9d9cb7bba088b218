"""Profiles: payloads are validated at the edges, bound and written as typed objects; routing looks into none."""

import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from iec62746 import (
    Delivery,
    Domain,
    EnvelopeError,
    Inbox,
    InvalidMessage,
    Kind,
    Message,
    Operation,
    OperationSet,
    Payload,
    Proof,
    Refused,
    ReplyPart,
    ReplyTo,
    RequestFailed,
    Result,
    Rule,
    UnknownProfile,
    VirtualEndNode,
    VirtualTopNode,
    What,
    Xml,
    decode,
    deflate,
    encode,
    payload,
    profiles,
)
from iec62746._payloads import Payloads
from iec62746.exchange import Exchange
from iec62746.outputs import Completed, Execute, Failed, Notice, Send
from iec62746.profiles import Profile, Profiles, namespace_of

SPACE = "urn:test:levels"
SCHEMA = f"""<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema" targetNamespace="{SPACE}" xmlns="{SPACE}"
 elementFormDefault="qualified">
 <xs:element name="Levels"><xs:complexType><xs:sequence>
  <xs:element name="level" type="Level" maxOccurs="unbounded"/>
  <xs:element name="at" type="xs:dateTime" minOccurs="0"/>
 </xs:sequence><xs:attribute name="unit"><xs:simpleType><xs:restriction base="xs:string"><xs:enumeration value="kW"/>
 </xs:restriction></xs:simpleType></xs:attribute></xs:complexType></xs:element>
 <xs:simpleType name="Level"><xs:restriction base="xs:int"><xs:maxInclusive value="15"/></xs:restriction>
 </xs:simpleType>
</xs:schema>"""
MODELS = f"""
from dataclasses import dataclass, field
from xsdata.models.datatype import XmlDateTime

@dataclass(slots=True, kw_only=True)
class Levels:
    class Meta:
        namespace = "{SPACE}"
    level: list[int] = field(default_factory=list, metadata={{"type": "Element", "min_occurs": 1}})
    at: XmlDateTime | None = field(default=None, metadata={{"type": "Element"}})
    unit: str | None = field(default=None, metadata={{"type": "Attribute"}})
"""
GOOD = f'<Levels xmlns="{SPACE}" unit="kW"><level>3</level><level>4</level></Levels>'.encode()
NORTH = """
[domain]
name = "north"
vtn = "vtn"
payloads = "{payloads}"
[roles.ven]
publish = ["Levels"]
request.get = ["Levels"]
serve.create = ["Levels"]
[parties.ven-1]
roles = ["ven"]
"""


@pytest.fixture
def profile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Profile:
    (tmp_path / "Levels.xsd").write_text(SCHEMA)
    (tmp_path / "levels_models.py").write_text(MODELS)
    monkeypatch.syspath_prepend(tmp_path)
    sys.modules.pop("levels_models", None)
    profiles._classes.cache_clear()
    profiles._schema.cache_clear()
    return Profile(
        name="levels",
        nouns=("Levels",),
        namespaces=(SPACE,),
        schema=tmp_path / "Levels.xsd",
        models="levels_models",
    )


@pytest.fixture
def levels(profile: Profile, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Install the profile, and return its class."""
    some = Profiles({profile.name: profile})
    monkeypatch.setattr(profiles, "installed", lambda: some)
    monkeypatch.setattr("iec62746.participant.installed", lambda: some)
    profile.bind(GOOD)
    return sys.modules["levels_models"].Levels


# ---------------------------------------------------------------- a profile


@pytest.mark.requirement("R-5.3")
def test_xml_becomes_an_object_and_xml_again(profile: Profile) -> None:
    made = profile.bind(GOOD)

    assert ([3, 4], "kW", None) == (made.level, made.unit, made.at)
    assert profile.bind(profile.write(made)) == made
    assert GOOD == profile.write(made)


def test_prefixes_comments_and_instructions_change_nothing(profile: Profile) -> None:
    last = f'<b:level xmlns:b="{SPACE}">4</b:level>'
    other = f'<a:Levels xmlns:a="{SPACE}" unit="kW"><a:level>3<!-- x --></a:level><?x y?>{last}</a:Levels>'

    assert profile.bind(GOOD) == profile.bind(other.encode())


@pytest.mark.parametrize(
    ("inside", "path", "says"),
    [
        ("<level>x</level>", "Levels/level", "'x' is not a valid value"),
        ("<level>16</level>", "Levels/level", "greater than the maximum"),
        ("", "Levels", "Missing child element"),
        ("<level>1</level><at>today</at>", "Levels/at", "not a valid value"),
        ("<level>1</level>\n<odd>1</odd>", "Levels/odd", "not expected"),
    ],
)
def test_what_is_not_valid_is_an_error_with_line_and_path(profile: Profile, inside: str, path: str, says: str) -> None:
    xml = f'<Levels xmlns="{SPACE}">\n{inside}</Levels>'.encode()
    line = 3 if "odd" in inside else 2 if inside else 1
    for use in (profile.validate, profile.bind):
        with pytest.raises(EnvelopeError, match=says) as caught:
            use(xml)
        assert (Rule.PAYLOAD, path, line, "1.8") == (
            caught.value.rule,
            caught.value.path,
            caught.value.line,
            caught.value.reply_code,
        )


def test_an_attribute_that_is_none_of_the_schemas_is_an_error(profile: Profile) -> None:
    for xml in (GOOD.replace(b"kW", b"MW"), GOOD.replace(b"unit", b"odd")):
        with pytest.raises(EnvelopeError, match=r"Levels"):
            profile.bind(xml)


def test_a_large_payload_with_many_faults_is_refused_at_once(profile: Profile) -> None:
    xml = f'<Levels xmlns="{SPACE}">'.encode() + b"<level>16</level>" * 600_000 + b"</Levels>"
    began = time.process_time()
    with pytest.raises(EnvelopeError, match="greater than the maximum"):
        profile.validate(xml)
    assert time.process_time() - began < 20


def test_an_object_that_is_not_valid_is_not_written(profile: Profile, levels: Any) -> None:
    for wrong in (levels(), levels(level=[16]), levels(level=["x"]), levels(level=[1], unit="MW")):
        with pytest.raises(InvalidMessage, match=r"Levels"):
            profile.write(wrong)


def test_a_broken_schema_and_broken_models_are_named(profile: Profile, tmp_path: Path) -> None:
    with pytest.raises(UnknownProfile, match="no_such_models"):
        replace(profile, models="no_such_models").bind(GOOD)
    (tmp_path / "broken.xsd").write_text("<no/>")
    with pytest.raises(UnknownProfile, match=r"broken\.xsd"):
        replace(profile, schema=tmp_path / "broken.xsd").validate(GOOD)


@pytest.mark.parametrize(
    ("xml", "namespace"),
    [
        (GOOD, SPACE),
        (b'<a:x xmlns:b="urn:b" xmlns:a="urn:a"/>', "urn:a"),
        (b"<a:x xmlns:a='urn:a' y='xmlns=\"urn:b\"'/>", "urn:a"),
        (b'<x y="1&gt;" xmlns="urn:&amp;"/>', "urn:&"),
        (b'<?xml version="1.0"?><!-- <y xmlns="urn:y"/> --><x xmlns="urn:x"/>', "urn:x"),
        (b"<x/>", ""),
    ],
)
def test_the_namespace_of_an_element_is_found(xml: bytes, namespace: str) -> None:
    assert namespace == namespace_of(xml)


# ---------------------------------------------------------------- those that are installed


@dataclass
class Entry:
    """An entry point as importlib.metadata has it."""

    name: str
    value: str
    what: Any

    dist = SimpleNamespace(name="some", version="1.0")

    def load(self) -> Any:
        if isinstance(self.what, Exception):
            raise self.what
        return self.what


@pytest.fixture
def entry_points(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Entry]]:
    entries: list[Entry] = []
    monkeypatch.setattr(metadata, "entry_points", lambda group: entries if group == profiles.GROUP else [])
    profiles.installed.cache_clear()
    yield entries
    profiles.installed.cache_clear()


def test_one_that_cannot_be_loaded_is_named_and_hurts_no_other(profile: Profile, entry_points: list[Entry]) -> None:
    entry_points += [
        Entry("levels", "a:profile", profile),
        Entry("bad", "b:profile", ImportError("no module b")),
        Entry("odd", "c:profile", 7),
    ]

    assert [profile] == list(profiles.installed())
    assert {"levels": "", "bad": "no module b", "odd": "is no iec62746.profiles.Profile"} == {
        one.name: next((text for text in ("no module b", "is no iec62746.profiles.Profile") if text in one.error), "")
        for one in profiles.plugins()
    }
    with pytest.raises(UnknownProfile, match="no module b"):
        profiles.installed().get("bad")
    with pytest.raises(UnknownProfile, match="installed: levels"):
        profiles.installed().get("other")


def test_two_that_claim_one_namespace_are_both_refused(profile: Profile, entry_points: list[Entry]) -> None:
    other = Entry("other", "d:profile", replace(profile, name="other"))
    other.dist = SimpleNamespace(name="another", version="2.0")
    entry_points += [Entry("levels", "a:profile", profile), other]

    assert not list(profiles.installed())
    for plugin in profiles.plugins():
        assert "another and some" in plugin.error
        assert SPACE in plugin.error


def test_ours_gives_way_to_a_strangers_of_the_same_namespace(profile: Profile, entry_points: list[Entry]) -> None:
    whole = replace(profile, name="whole")
    ours = Entry("levels", "a:profile", profile)
    ours.dist = SimpleNamespace(name="iec62746", version="1.0")
    entry_points += [ours, Entry("whole", "b:profile", whole)]

    assert [whole] == list(profiles.installed())
    assert whole is profiles.installed().of(SPACE)
    with pytest.raises(UnknownProfile, match="replaced by some, which has the namespace"):
        profiles.installed().get("levels")


# ---------------------------------------------------------------- payloads of messages


def test_a_payload_is_bound_and_a_typed_object_is_a_payload(levels: Any) -> None:
    made = payload(levels(level=[7]))

    assert made.bind() == levels(level=[7])
    assert f'<Levels xmlns="{SPACE}"><level>7</level></Levels>'.encode() == made.xml
    with pytest.raises(InvalidMessage):
        payload(levels(level=[99]))
    with pytest.raises(InvalidMessage, match="not one"):
        Payload().bind()
    with pytest.raises(UnknownProfile, match="urn:other"):
        payload('<x xmlns="urn:other"/>').bind()


class Pair:
    """The exchanges of a VTN and a VEN, and what the one says of what the other wrote."""

    def __init__(self, payloads: str, profile: Profile, *, sends: str = "any") -> None:
        known = Profiles({profile.name: profile})
        self.ids = iter(f"id-{number}" for number in range(1_000))
        self.vtn, self.ven = (
            Exchange(
                Domain.parse(NORTH.format(payloads=asked)),
                party,
                now=1e9,
                new_id=lambda: next(self.ids),
                profiles=known,
            )
            for party, asked in (("vtn", sends), ("ven-1", payloads))
        )

    def request(self, xml: bytes | Payload) -> list[Any]:
        out = self.vtn.request(
            Message(kind=Kind.REQUEST, verb="create", noun="Levels", payload=payload(xml)), "ven-1", 1e9
        )
        return self.ven.receive(
            Delivery(body=out.body, address=Inbox("ven-1"), sender="vtn", proof=Proof.BROKER, reply_to=ReplyTo(1)), 1e9
        )


BAD = GOOD.replace(b">3<", b">\n16<")
OTHER = b'<x xmlns="urn:other"/>'


@pytest.mark.parametrize(
    ("payloads", "xml", "is_taken"),
    [
        ("valid", GOOD, True),
        ("valid", BAD, False),
        ("valid", OTHER, True),
        ("known", GOOD, True),
        ("known", BAD, False),
        ("known", OTHER, False),
        ("any", BAD, True),
    ],
)
@pytest.mark.parametrize("is_compressed", [False, True])
def test_a_request_whose_payload_is_not_valid_is_refused(
    profile: Profile, payloads: str, xml: bytes, is_taken: bool, is_compressed: bool
) -> None:
    out = Pair(payloads, profile).request(deflate(payload(xml)) if is_compressed else xml)

    if is_taken:
        assert [Execute] == [type(one) for one in out]
        return
    notice, send = out
    assert isinstance(notice, Notice)
    assert isinstance(send, Send)
    assert (What.INVALID_PAYLOAD, Rule.PAYLOAD) == (notice.what, notice.rule)
    reply = decode(send.message.body).reply
    assert reply is not None
    assert (Result.FAILED, "1.8") == (reply.result, reply.errors[0].code)
    if xml is BAD:
        assert "(line 1, Levels/level)" in str(reply.errors[0].reason)


def test_a_payload_that_is_not_valid_is_not_sent(profile: Profile) -> None:
    pair = Pair("valid", profile, sends="valid")
    with pytest.raises(InvalidMessage, match=r"line 1, Levels/level"):
        pair.request(BAD)
    assert not pair.vtn.pending


def test_a_reply_that_is_not_valid_ends_the_request(profile: Profile) -> None:
    pair = Pair("any", profile, sends="valid")
    execute: Any = pair.request(GOOD)[0]
    answer = Message(kind=Kind.RESPONSE, verb="reply", noun="Levels", reply=_ok(), payload=payload(BAD))
    sent: Any = pair.ven.answer(execute.ticket, answer, 1e9)[0]
    out: list[Any] = pair.vtn.receive(
        Delivery(body=sent.message.body, address=Inbox("vtn"), sender="ven-1", proof=Proof.BROKER), 1e9
    )

    assert [Notice, Failed] == [type(one) for one in out]
    assert isinstance(out[1].error, EnvelopeError)
    assert "Levels/level" == out[1].error.path
    assert not pair.vtn.pending
    execute = pair.request(GOOD)[0]
    sent = pair.ven.answer(execute.ticket, replace(answer, payload=payload(GOOD)), 1e9)[0]
    out = pair.vtn.receive(
        Delivery(body=sent.message.body, address=Inbox("vtn"), sender="ven-1", proof=Proof.BROKER), 1e9
    )
    assert [Completed] == [type(one) for one in out]


def _ok() -> Any:
    return ReplyPart(result=Result.OK)


def test_the_tags_that_are_kept_are_bounded_and_never_mixed_up(profile: Profile) -> None:
    rules = Payloads(Domain.parse(NORTH.format(payloads="known")), Profiles({profile.name: profile}))
    for number in range(1_000):
        assert rules.fault(_event(f'<x a="{number}" xmlns="urn:{number}"/>')) is not None
    assert len(rules._namespaces) <= 256
    for _ in range(2):
        for space, is_taken in (("urn:other", False), (SPACE, True)):
            xml = f"""<a:Levels b:y='>' xmlns:b="urn:b" xmlns:a="{space}"/>"""
            fault = rules.fault(_event(xml))
            assert is_taken == ("no profile" not in str(fault))


@pytest.mark.parametrize("begin", ["<!-- one -->", "<!-- > -->", "<?one?>", '<?xml version="1.0"?>', "<!--'>'-->", " "])
def test_what_stands_before_the_first_tag_says_nothing_of_the_namespace(profile: Profile, begin: str) -> None:
    rules = Payloads(Domain.parse(NORTH.format(payloads="known")), Profiles({profile.name: profile}))
    for _ in range(2):
        for space, is_known in (("urn:other", False), (SPACE, True)):
            fault = rules.fault(_event(Xml(f'{begin}<Levels xmlns="{space}"/>'.encode())))
            assert is_known == ("no profile" not in str(fault))


@pytest.mark.parametrize(("depth", "is_taken"), [(64, False), (200, True)])
def test_a_payload_may_be_as_deep_as_the_domain_says(profile: Profile, depth: int, is_taken: bool) -> None:
    domain = Domain.parse(NORTH.format(payloads="valid") + f"[limits]\ndepth = {depth}\n")
    deep = f'<x xmlns="urn:other">{"<y>" * 150}{"</y>" * 150}</x>'
    fault = Payloads(domain, Profiles({profile.name: profile})).fault(_event(Xml(deep.encode())))

    assert is_taken == (fault is None)
    assert is_taken or "deeper than 64" in str(fault)


def _event(xml: str | Xml) -> Message:
    return Message(kind=Kind.EVENT, verb="created", noun="Levels", payload=payload(xml))


def test_every_item_of_an_operation_set_is_looked_at(profile: Profile) -> None:
    operations = tuple(
        Operation(operation_id=at, noun="Levels", verb="create", item=xml) for at, xml in ((1, GOOD), (2, BAD))
    )
    out = Pair("valid", profile).request(Payload(operation_set=OperationSet(operations=operations)))

    assert What.INVALID_PAYLOAD is out[0].what


# ---------------------------------------------------------------- the whole way


@pytest.mark.requirement("R-5.4")
async def test_typed_objects_go_the_whole_way(levels: Any) -> None:
    domain = Domain.parse(NORTH.format(payloads="known"))
    vtn, ven = VirtualTopNode(domain, "memory://typed"), VirtualEndNode(domain, "memory://typed", "ven-1")

    @ven.on_request("create", "Levels")
    async def create(request: Message) -> Any:
        assert request.payload is not None
        got = request.payload.bind()
        if got.level == [1]:
            raise Refused("6.1", "too low")
        return levels(level=[one + 1 for one in got.level])

    async with vtn, ven:
        reply = await vtn.request("create", "Levels", levels(level=[4]), to="ven-1")
        assert reply.payload is not None
        assert reply.payload.bind() == levels(level=[5])
        with pytest.raises(RequestFailed, match="too low"):
            await vtn.request("create", "Levels", levels(level=[1]), to="ven-1")
        with pytest.raises(InvalidMessage):
            await vtn.request("create", "Levels", levels(level=[]), to="ven-1")
        # What it answers would be 16, which the schema does not have: the answer is not sent as it is.
        with pytest.raises(RequestFailed, match=r"5\.3"):
            await vtn.request("create", "Levels", levels(level=[15]), to="ven-1")


async def test_what_a_handler_cannot_bind_is_the_peers_fault(levels: Any) -> None:
    domain = Domain.parse(NORTH.format(payloads="any"))
    vtn, ven = VirtualTopNode(domain, "memory://unbound"), VirtualEndNode(domain, "memory://unbound", "ven-1")

    @ven.on_request("create", "Levels")
    async def create(request: Message) -> None:
        assert request.payload is not None
        request.payload.bind()

    async with vtn, ven:
        with pytest.raises(RequestFailed, match=r"(?s)1\.8.*Levels/level"):
            await vtn.request("create", "Levels", BAD, to="ven-1")


def test_a_message_is_read_and_written_without_its_profile(profile: Profile, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: Any) -> Any:
        raise AssertionError("somebody binds")

    monkeypatch.setattr(Profile, "bind", never)
    message = Message(kind=Kind.EVENT, verb="created", noun="Levels", payload=payload(GOOD))
    assert GOOD == decode(encode(message)).payload.xml  # type: ignore[union-attr]
    assert [Execute] == [type(one) for one in Pair("valid", profile).request(GOOD)]
