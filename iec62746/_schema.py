"""The envelope's schema as tables: what stands where, how often, and how it is read and written.

`message.xsd` decides what is valid. These tables say the same to Python: the reader fills values by them, the writer
writes by them, and the diagnosis of a document that is not valid walks them.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date
from functools import cache
from importlib import resources
from typing import Any

from lxml import etree

from iec62746.errors import InvalidMessage
from iec62746.message import (
    NAMESPACE,
    VERBS,
    Error,
    ErrorObject,
    IDKind,
    Kind,
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

MANY = 1_000_000_000
M = f"{{{NAMESPACE}}}"
XML_NAMESPACE = "http://www.w3.org/XML/1998/namespace"
ID_ATTRIBUTES = {"idType": "id_type", "idAuthority": "id_authority", "kind": "kind", "objectType": "object_type"}


@cache
def schema() -> etree.XMLSchema:
    """Return the envelope's schema, compiled once."""
    return etree.XMLSchema(etree.fromstring(resources.files("iec62746").joinpath("schema/message.xsd").read_bytes()))


# ---------------------------------------------------------------- simple types: how text becomes a value, and back


@dataclass(frozen=True, slots=True, eq=False)
class Simple:
    """A simple type: `read` takes valid text, `write` gives valid text or raises `InvalidMessage`."""

    read: Callable[[str], Any]
    write: Callable[[Any], str]


# What XML 1.0 cannot carry, and what must be escaped: \r too, or the reader gets \n.
_ILLEGAL = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_SPECIAL = re.compile("[&<>\r\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
has_special = _SPECIAL.search
# As libxml2 has it: no white space around it but after a zone, years up to its limit, and seconds that are not added up
# to 60.
_DATE_TIME = re.compile(
    r"-?([1-9][0-9]{4,}|[0-9]{4})-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])"
    r"T(([01][0-9]|2[0-3]):[0-5][0-9]:(?!59\.9{14})[0-5][0-9](\.[0-9]+)?|24:00:00(\.0+)?)"
    r"((Z|[+-]((0[0-9]|1[0-3]):[0-5][0-9]|14:00))[ \t\n\r]*)?"
)
_LAST_YEAR = 2**63 - 1
# Most times are such, and days up to the 28th are in every month.
_is_usual_date_time = re.compile(
    r"(?!0000)[0-9]{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|1[0-9]|2[0-8])"
    r"T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\.[0-9]{1,12})?Z"
).fullmatch


def escape(text: str) -> str:
    """Return `text` as element content, or raise `InvalidMessage` if XML cannot carry it."""
    if not has_special(text):
        return text
    if found := _ILLEGAL.search(text):
        raise InvalidMessage(f"XML cannot carry the character U+{ord(found[0]):04X}: leave it out")
    return text.replace("&", "&amp;").replace("<", "&lt;").replace("]]>", "]]&gt;").replace("\r", "&#13;")


def escape_attribute(text: str) -> str:
    """Return `text` as a double-quoted attribute's value."""
    return escape(text).replace('"', "&quot;").replace("\n", "&#10;").replace("\t", "&#9;")


def is_date_time(text: str) -> bool:
    """True if `text` is an xs:dateTime."""
    if _is_usual_date_time(text):
        return True
    found = _DATE_TIME.fullmatch(text)
    if found is None:
        return False
    year, month, day = found.group(1, 2, 3)
    if year == "0000" or (len(year) > 18 and (len(year) > 19 or int(year) > _LAST_YEAR)):
        return False
    return day <= "28" or _is_day(int(year), int(month), int(day))


def _date_time(text: str) -> str:
    if not is_date_time(text):
        raise InvalidMessage(f"{text!r} is no xs:dateTime: write it like 2026-11-23T08:00:00.000Z")
    return text


def _is_day(year: int, month: int, day: int) -> bool:
    # The calendar repeats every 400 years; Python's ends at 9999.
    following = date(2000 + year % 400 + month // 12, month % 12 + 1, 1)
    return day <= (following - date(2000 + year % 400, month, 1)).days


def _boolean(value: bool) -> str:
    return "true" if value else "false"


def _integer(value: int) -> str:
    try:
        return str(int(value))
    except ValueError:
        raise InvalidMessage("Python writes no integer of so many digits: see sys.set_int_max_str_digits") from None


def _verb(value: str) -> str:
    if value not in VERBS:
        raise InvalidMessage(f"{value!r} is no verb of IEC 61968-100: use one of {', '.join(sorted(VERBS))}")
    return value


def _member(kind: type[Result] | type[Level]) -> Callable[[Any], str]:
    def write(value: Any) -> str:
        if value not in kind.__members__:
            raise InvalidMessage(f"{value!r} is no {kind.__name__}: use one of {', '.join(kind)}")
        return str(value)

    return write


STRING = Simple(str, escape)
DATE_TIME = Simple(str, _date_time)
BOOLEAN = Simple(lambda text: text.strip() in ("true", "1"), _boolean)
INTEGER = Simple(int, _integer)
VERB = Simple(str, _verb)
RESULT = Simple(Result, _member(Result))
LEVEL = Simple(Level, _member(Level))
# Both need the element around the text; the reader and the writer know them.
QNAME = Simple(str, str)
IDENTIFIER = Simple(str, escape)


# ---------------------------------------------------------------- sequences: what follows what


@dataclass(frozen=True, slots=True)
class Place:
    """One element of a sequence: its name, the field it fills, its type, and how often it stands there."""

    name: str
    field: str
    type: Any = STRING
    low: int = 0
    high: int = 1
    index: int = -1


@dataclass(frozen=True, slots=True)
class Sequence:
    """The places of one complex type; `wildcard` is the place of elements of other namespaces."""

    places: tuple[Place, ...]
    by_tag: dict[str, Place]
    wildcard: Place

    @classmethod
    def of(cls, *given: Place) -> "Sequence":
        """Number the places; the one called `*` is the wildcard."""
        places = tuple(replace(place, index=index) for index, place in enumerate(given))
        by_tag = {M + place.name: place for place in places if place.name != "*"}
        return cls(places, by_tag, next((place for place in places if place.name == "*"), _NOWHERE))


_NOWHERE = Place("*", "extensions", high=0)
"""The wildcard of a sequence that has none."""


def _others(field: str, high: int = MANY) -> Place:
    return Place("*", field, high=high)


HEADER = Sequence.of(
    Place("Verb", "verb", VERB, low=1),
    Place("Noun", "noun", low=1),
    Place("Revision", "revision"),
    Place("ReplayDetection", "replay_detection", ReplayDetection),
    Place("Context", "context"),
    Place("Timestamp", "timestamp", DATE_TIME),
    Place("Source", "source"),
    Place("AsyncReplyFlag", "async_reply_flag", BOOLEAN),
    Place("ReplyAddress", "reply_address"),
    Place("AckRequired", "ack_required", BOOLEAN),
    Place("User", "user", User),
    Place("MessageID", "message_id"),
    Place("CorrelationID", "correlation_id"),
    Place("Comment", "comment"),
    Place("Property", "properties", Property, high=MANY),
    _others("extensions"),
)
REQUEST = Sequence.of(
    Place("StartTime", "start_time", DATE_TIME),
    Place("EndTime", "end_time", DATE_TIME),
    Place("Option", "options", Option, high=MANY),
    Place("ID", "ids", IDENTIFIER, high=MANY),
    _others("extensions"),
)
REPLY = Sequence.of(
    Place("Result", "result", RESULT, low=1),
    Place("Error", "errors", Error, high=MANY),
    Place("ID", "ids", IDENTIFIER, high=MANY),
    _others("extensions"),
    Place("operationId", "operation_id", INTEGER),
)
PAYLOAD = Sequence.of(
    _others("items"),
    Place("OperationSet", "operation_set", OperationSet),
    Place("Compressed", "compressed"),
    Place("ID", "ids", IDENTIFIER, high=MANY),
    Place("Format", "format"),
)
SEQUENCES: dict[type, Sequence] = {
    RequestPart: REQUEST,
    ReplyPart: REPLY,
    Payload: PAYLOAD,
    ReplayDetection: Sequence.of(Place("Nonce", "nonce", low=1), Place("Created", "created", DATE_TIME, low=1)),
    User: Sequence.of(Place("UserID", "user_id", low=1), Place("Organization", "organization")),
    Property: Sequence.of(Place("Name", "name", low=1), Place("Value", "value")),
    Option: Sequence.of(Place("name", "name", low=1), Place("value", "value")),
    Error: Sequence.of(
        Place("code", "code", low=1),
        Place("level", "level", LEVEL),
        Place("reason", "reason"),
        Place("details", "details"),
        Place("xpath", "xpath", QNAME),
        Place("stackTrace", "stack_trace"),
        Place("Location", "location", Location),
        Place("ID", "id", IDENTIFIER),
        Place("relatedID", "related_id", IDENTIFIER),
        Place("object", "object", ErrorObject),
        Place("operationId", "operation_id", INTEGER),
    ),
    Location: Sequence.of(Place("node", "node"), Place("pipeline", "pipeline"), Place("stage", "stage")),
    ErrorObject: Sequence.of(
        Place("mRID", "mrid"), Place("Name", "names", Name, high=MANY), Place("objectType", "object_type")
    ),
    Name: Sequence.of(Place("name", "name", low=1), Place("NameType", "name_type", NameType)),
    NameType: Sequence.of(
        Place("name", "name", low=1),
        Place("description", "description"),
        Place("NameTypeAuthority", "authority", NameTypeAuthority),
    ),
    NameTypeAuthority: Sequence.of(Place("name", "name", low=1), Place("description", "description")),
    OperationSet: Sequence.of(
        Place("enforceMsgSequence", "enforce_msg_sequence", BOOLEAN),
        Place("enforceTransactionalIntegrity", "enforce_transactional_integrity", BOOLEAN),
        Place("Operation", "operations", Operation, high=MANY),
    ),
    Operation: Sequence.of(
        Place("operationId", "operation_id", INTEGER, low=1),
        Place("noun", "noun"),
        Place("verb", "verb"),
        Place("elementOperation", "element_operation", BOOLEAN),
        _others("item", high=1),
    ),
}
PARTS: dict[str, tuple[str, type | None, Sequence]] = {
    "Header": ("", None, HEADER),
    "Request": ("request", RequestPart, REQUEST),
    "Reply": ("reply", ReplyPart, REPLY),
    "Payload": ("payload", Payload, PAYLOAD),
}
_HEADER, _REQUEST, _REPLY, _PAYLOAD = (
    Place("Header", "", low=1),
    Place("Request", "request", RequestPart),
    Place("Reply", "reply", ReplyPart, low=1),
    Place("Payload", "payload", Payload),
)
ROOTS = {
    Kind.REQUEST: Sequence.of(_HEADER, _REQUEST, _PAYLOAD),
    Kind.RESPONSE: Sequence.of(_HEADER, _REPLY, _PAYLOAD),
    Kind.EVENT: Sequence.of(_HEADER, _PAYLOAD),
    Kind.FAULT: Sequence.of(_REPLY),
}
KINDS = {kind.value: kind for kind in IDKind}
