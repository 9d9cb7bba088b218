"""Our public schema says the same as the tables that the reader and the writer walk."""

from importlib import resources
from typing import Any

import pytest
from lxml import etree

from iec62746._schema import (
    BOOLEAN,
    DATE_TIME,
    HEADER,
    ID_ATTRIBUTES,
    IDENTIFIER,
    INTEGER,
    KINDS,
    LEVEL,
    MANY,
    QNAME,
    RESULT,
    ROOTS,
    SEQUENCES,
    STRING,
    VERB,
    Sequence,
    schema,
)
from iec62746.message import (
    NAMESPACE,
    VERBS,
    Error,
    ErrorObject,
    Level,
    Location,
    Name,
    NameType,
    NameTypeAuthority,
    Operation,
    OperationSet,
    Option,
    Payload,
    Property,
    ReplayDetection,
    ReplyPart,
    RequestPart,
    Result,
    User,
)

XS = "{http://www.w3.org/2001/XMLSchema}"
XSD = etree.fromstring(resources.files("iec62746").joinpath("schema/message.xsd").read_bytes())
NAMED = {child.get("name"): child for child in XSD.iterchildren("*") if child.tag != f"{XS}element"}
SIMPLE = {
    "xs:string": STRING,
    "xs:dateTime": DATE_TIME,
    "xs:boolean": BOOLEAN,
    "xs:integer": INTEGER,
    "xs:QName": QNAME,
}
TYPES: dict[str, Any] = {
    "RequestType": RequestPart,
    "ReplyType": ReplyPart,
    "PayloadType": Payload,
    "ReplayDetectionType": ReplayDetection,
    "UserType": User,
    "MessageProperty": Property,
    "OptionType": Option,
    "ErrorType": Error,
    "LocationType": Location,
    "ObjectType": ErrorObject,
    "Name": Name,
    "NameType": NameType,
    "NameTypeAuthority": NameTypeAuthority,
    "OperationSet": OperationSet,
    "OperationType": Operation,
}
ENUMERATIONS = {frozenset(VERBS): VERB, frozenset(Result): RESULT, frozenset(Level): LEVEL}


def test_the_schema_is_for_the_message_namespace_and_compiles() -> None:
    assert XSD.get("targetNamespace") == NAMESPACE
    assert isinstance(schema(), etree.XMLSchema)


@pytest.mark.requirement("R-5.4b")
@pytest.mark.parametrize("name", TYPES)
def test_a_type_of_the_schema_is_the_sequence_of_its_table(name: str) -> None:
    assert rows(NAMED[name]) == rows_of(SEQUENCES[TYPES[name]])


@pytest.mark.requirement("R-5.4")
def test_the_header_of_the_schema_is_the_sequence_of_its_table() -> None:
    assert rows(NAMED["HeaderType"]) == rows_of(HEADER)


@pytest.mark.parametrize("kind", ROOTS)
def test_a_root_of_the_schema_has_the_parts_of_its_table(kind: str) -> None:
    parts = [(one.get("name"), int(one.get("minOccurs", 1))) for one in elements(NAMED[f"{kind}Type"])]

    assert parts == [(place.name, place.low) for place in ROOTS[kind].places]  # type: ignore[index]  # a Kind is a str


def test_every_type_of_the_schema_has_a_table() -> None:
    rest = {"HeaderType", "MessageType", "IDatts", "IDKindType", *(f"{kind}Type" for kind in ROOTS)}

    assert NAMED.keys() == TYPES.keys() | rest
    assert set(TYPES.values()) == SEQUENCES.keys()


def test_an_identifier_has_the_attributes_and_kinds_of_its_table() -> None:
    attributes = [one.get("name") for one in NAMED["IDatts"].iter(f"{XS}attribute")]
    kinds = [one.get("value") for one in NAMED["IDKindType"].iter(f"{XS}enumeration")]

    assert attributes == list(ID_ATTRIBUTES)
    assert kinds == list(KINDS)


def rows(of_type: Any) -> list[tuple[str, int, int, Any]]:
    """Return name, lowest and highest number, and type of each element, as the schema has them."""
    return [
        (
            one.get("name", "*"),
            int(one.get("minOccurs", 1)),
            MANY if one.get("maxOccurs") == "unbounded" else 1,
            None if one.tag == f"{XS}any" else typed(one),
        )
        for one in elements(of_type)
    ]


def elements(of_type: Any) -> list[Any]:
    return list(of_type.iter(f"{XS}element", f"{XS}any"))


def typed(one: Any) -> Any:
    name = one.get("type")
    if name is not None:
        return SIMPLE.get(name) or TYPES[name]
    if one.find(f".//{XS}attributeGroup") is not None:
        return IDENTIFIER
    return ENUMERATIONS[frozenset(value.get("value") for value in one.iter(f"{XS}enumeration"))]


def rows_of(sequence: Sequence) -> list[tuple[str, int, int, Any]]:
    return [(place.name, place.low, place.high, None if place.name == "*" else place.type) for place in sequence.places]
