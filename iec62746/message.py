"""One IEC 61968-100 message as a frozen value.

Text is kept as it was on the wire; times too, so that a message can be written again as it was read. Booleans and
integers are values: they are written in their canonical form.
"""

from collections.abc import Callable
from dataclasses import MISSING, dataclass, field, fields, make_dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, TypeVar, cast

from iec62746 import profiles
from iec62746.errors import InvalidMessage, Rule

T = TypeVar("T")

NAMESPACE = "http://iec.ch/TC57/2011/schema/message"

EVENT_VERBS = frozenset({"canceled", "changed", "closed", "created", "deleted", "executed"})
REQUEST_VERBS = frozenset({"cancel", "change", "close", "create", "delete", "execute", "get"})
VERBS = EVENT_VERBS | REQUEST_VERBS | {"reply"}

DESTINATION = "Destination"
DEADLINE = "Deadline"


class Kind(StrEnum):
    """The generic root of a message."""

    REQUEST = "RequestMessage"
    RESPONSE = "ResponseMessage"
    EVENT = "EventMessage"
    FAULT = "FaultMessage"


class Result(StrEnum):
    """Reply/Result."""

    OK = "OK"
    PARTIAL = "PARTIAL"
    FAILED = "FAILED"


class Level(StrEnum):
    """Reply/Error/level."""

    INFORM = "INFORM"
    WARNING = "WARNING"
    FATAL = "FATAL"
    CATASTROPHIC = "CATASTROPHIC"


class IDKind(StrEnum):
    """What an identifier is."""

    NAME = "name"
    UUID = "uuid"
    TRANSACTION = "transaction"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class ID:
    """An identifier, with the attributes that qualify it."""

    value: str
    id_type: str | None = None
    id_authority: str | None = None
    kind: IDKind | None = None
    object_type: str | None = None


@dataclass(frozen=True, slots=True)
class Property:
    """A header property: what the schema has no element for."""

    name: str
    value: str | None = None


@dataclass(frozen=True, slots=True)
class Option:
    """A parameter of a request."""

    name: str
    value: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayDetection:
    """Header/ReplayDetection."""

    nonce: str
    created: str


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """Header/User."""

    user_id: str
    organization: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Location:
    """Where an error arose."""

    node: str | None = None
    pipeline: str | None = None
    stage: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NameTypeAuthority:
    """Who defined a type of names."""

    name: str
    description: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NameType:
    """A type of names."""

    name: str
    description: str | None = None
    authority: NameTypeAuthority | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Name:
    """One name of an object."""

    name: str
    name_type: NameType | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorObject:
    """The object of an error; deprecated by the standard for `Error.id` and `Error.related_id`."""

    mrid: str | None = None
    names: tuple[Name, ...] = ()
    object_type: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Error:
    """Reply/Error; `xpath` is a QName as `{namespace}name`."""

    code: str
    level: Level | None = None
    reason: str | None = None
    details: str | None = None
    xpath: str | None = None
    stack_trace: str | None = None
    location: Location | None = None
    id: ID | None = None
    related_id: ID | None = None
    object: ErrorObject | None = None
    operation_id: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestPart:
    """The Request part: parameters."""

    start_time: str | None = None
    end_time: str | None = None
    options: tuple[Option, ...] = ()
    ids: tuple[ID, ...] = ()
    extensions: tuple[bytes, ...] = ()

    def option(self, name: str) -> str | None:
        """Return the value of the first Option called `name`."""
        return next((option.value for option in self.options if option.name == name), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplyPart:
    """The Reply part: result and errors."""

    result: Result
    errors: tuple[Error, ...] = ()
    ids: tuple[ID, ...] = ()
    extensions: tuple[bytes, ...] = ()
    operation_id: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One step of an OperationSet; `item` is the XML of its payload."""

    operation_id: int
    noun: str | None = None
    verb: str | None = None
    element_operation: bool | None = None
    item: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationSet:
    """Several operations in one message."""

    enforce_msg_sequence: bool | None = None
    enforce_transactional_integrity: bool | None = None
    operations: tuple[Operation, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Payload:
    """The Payload part: elements of one kind only, and their format.

    `items` holds each element as XML that stands on its own. Raises `InvalidMessage` for more than one kind: the schema
    has a choice there.
    """

    items: tuple[bytes, ...] = ()
    operation_set: OperationSet | None = None
    compressed: str | None = None
    ids: tuple[ID, ...] = ()
    format: str | None = None

    def __post_init__(self) -> None:
        """Hold the schema's choice."""
        if (self.operation_set or self.ids or self.compressed is not None) and (
            sum((bool(self.items), self.operation_set is not None, self.compressed is not None, bool(self.ids))) > 1
        ):
            raise InvalidMessage("a Payload has items or an OperationSet or Compressed or IDs: give one of them")

    @property
    def xml(self) -> bytes:
        """The one element of the payload; raises `InvalidMessage` if there are none or several."""
        if len(self.items) != 1:
            raise InvalidMessage(f"the Payload has {len(self.items)} elements, not one: use `.items`")
        return self.items[0]

    def bind(self) -> Any:
        """Return the one element of the payload as the typed object of its profile.

        Raises `UnknownProfile` if no installed profile has its namespace, `EnvelopeError` with line and path if it is
        not valid by the profile's schema, `InvalidMessage` if there are no elements or several.
        """
        return profiles.bind(self.xml)


@dataclass(frozen=True, slots=True)
class TypedForm:
    """The form of web services: the root is named after verb and noun, in the profile's own namespace."""

    name: str
    namespace: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One deviation that was read all the same: which rule, at which element, on which line."""

    rule: Rule
    element: str
    line: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message: the header's elements flat, then the three parts (61968-100; 62746-3, 5.4).

    `extensions` are the header's elements of other namespaces. `vendor` are elements for which the schema has no place,
    read in tolerant mode and never written. `findings` say what was read leniently. `is_current` marks a node's current
    value, got on request rather than when it was published (62746-3, 7).
    """

    kind: Kind
    verb: str = ""
    noun: str = ""
    revision: str | None = None
    replay_detection: ReplayDetection | None = None
    context: str | None = None
    timestamp: str | None = None
    source: str | None = None
    async_reply_flag: bool | None = None
    reply_address: str | None = None
    ack_required: bool | None = None
    user: User | None = None
    message_id: str | None = None
    correlation_id: str | None = None
    comment: str | None = None
    properties: tuple[Property, ...] = ()
    extensions: tuple[bytes, ...] = ()
    request: RequestPart | None = None
    reply: ReplyPart | None = None
    payload: Payload | None = None
    form: TypedForm | None = None
    vendor: tuple[bytes, ...] = ()
    findings: tuple[Finding, ...] = field(default=(), compare=False)
    is_current: bool = field(default=False, compare=False)

    def property_value(self, name: str) -> str | None:
        """Return the value of the first Property called `name`."""
        for item in self.properties:
            if item.name == name:
                return item.value
        return None

    @property
    def destination(self) -> str | None:
        """The party or node it is for: the first Destination (62746-3, 5.4)."""
        return self.property_value(DESTINATION)

    @property
    def destinations(self) -> tuple[str, ...]:
        """Every Destination."""
        return tuple(item.value or "" for item in self.properties if item.name == DESTINATION)

    @property
    def deadline(self) -> datetime | None:
        """When it stops being deliverable, or None if it does not say so in a time with a zone."""
        return instant(self.property_value(DEADLINE))

    @property
    def sent_at(self) -> datetime | None:
        """Its Timestamp, or None if it has none with a zone."""
        return instant(self.timestamp)


def maker(frozen: Callable[..., T]) -> Callable[..., T]:
    """Return what makes a `frozen` dataclass of its fields, in order or by name, four times as fast.

    A frozen `__init__` pays a call for each field. A twin with the same slots is made, then frozen; it skips
    `__post_init__`.
    """
    specs = [
        (one.name, one.type, field() if one.default is MISSING else field(default=one.default))
        for one in fields(cast(Any, frozen))
    ]

    def freeze(made: Any) -> None:
        made.__class__ = frozen

    twin = make_dataclass(f"Thawed{frozen.__name__}", specs, slots=True, namespace={"__post_init__": freeze})
    return cast(Callable[..., T], twin)


def instant(text: str | None) -> datetime | None:
    """Return the point in time that `text` says, or None for none, a naive one, or one that Python cannot hold."""
    try:
        value = datetime.fromisoformat(text.strip()) if text else None
    except ValueError:
        return None
    return value if value is not None and value.tzinfo is not None else None


def timestamp(at: datetime) -> str:
    """Return `at` as it goes on the wire: UTC, milliseconds, Z."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
