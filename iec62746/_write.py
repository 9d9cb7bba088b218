"""From a `Message` to text: the values are written along the tables."""

import re
from collections.abc import Callable
from itertools import compress, count, product
from operator import attrgetter
from typing import Any

from lxml import etree

from iec62746 import _forms, _tree
from iec62746._items import Xml, element
from iec62746._parser import parse
from iec62746._schema import (
    HEADER,
    ID_ATTRIBUTES,
    IDENTIFIER,
    KINDS,
    MANY,
    QNAME,
    ROOTS,
    SEQUENCES,
    XML_NAMESPACE,
    Place,
    Sequence,
    Simple,
    escape,
    escape_attribute,
    has_special,
    is_date_time,
    schema,
)
from iec62746.errors import EnvelopeError, InvalidMessage
from iec62746.limits import Limits
from iec62746.message import ID, NAMESPACE, VERBS, Kind, Message, Property, TypedForm

_DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>\n'


def message(value: Message) -> str:
    """Return `value` as a document; raises `InvalidMessage` for what cannot be written."""
    _check_parts(value)
    parts = []
    for place in ROOTS[value.kind].places:
        if not place.field:
            parts.append((place.name, _usual_header(value) or _inside(place.name, value, _HEADER)))
        elif (part := getattr(value, place.field)) is not None:
            parts.append((place.name, _inside(place.name, part, _WRITERS[place.type])))
    if value.form:
        return _typed(value, value.form, parts)
    body = "".join([f"<{name}>{text}</{name}>" for name, text in parts])
    return f'{_DECLARATION}<{value.kind} xmlns="{NAMESPACE}">{body}</{value.kind}>'


def _check_parts(value: Message) -> None:
    """Raise `InvalidMessage` for a part that the kind lacks, or that would be lost."""
    kind = value.kind
    if value.vendor:
        raise InvalidMessage("it has vendor elements, which the schema has no place for: replace(message, vendor=())")
    if (value.reply is None) == (kind is Kind.RESPONSE or kind is Kind.FAULT):
        raise InvalidMessage(f"{kind} has {'a' if value.reply is None else 'no'} Reply")
    if value.request is not None and kind is not Kind.REQUEST:
        raise InvalidMessage(f"{kind} has no Request")
    if kind is Kind.FAULT and value != Message(kind=kind, reply=value.reply, form=value.form):
        raise InvalidMessage("a FaultMessage has only a Reply: leave out the Header's fields and the Payload")


# ---------------------------------------------------------------- the typed form


def _typed(value: Message, form: TypedForm, parts: list[tuple[str, str]]) -> str:
    """Return the document in its typed form: the root and the parts are in the profile's namespace."""
    _check_form(value, form)
    text = "".join(inside for _, inside in parts)
    # What the root declares, a payload keeps if its text seems to use it: take a prefix that none uses.
    used = set(re.findall(r"(t\d+):", text))
    prefix = next(name for name in map("t{}".format, count()) if name not in used)
    body = "".join(f"<{prefix}:{name}>{inside}</{prefix}:{name}>" for name, inside in parts)
    root = f"{prefix}:{form.name}"
    declared = f'xmlns:{prefix}="{escape_attribute(form.namespace)}" xmlns="{NAMESPACE}"'
    return f"{_DECLARATION}<{root} {declared}>{body}</{root}>"


def _check_form(value: Message, form: TypedForm) -> None:
    if form.name in ROOTS or form.namespace in _RESERVED or not _is_tag(f"{{{form.namespace}}}{form.name}"):
        raise InvalidMessage(f"{form} is no typed form: it needs an XML name and a namespace of its own")
    names = {place.name for place in ROOTS[value.kind].places if place.low or getattr(value, place.field) is not None}
    found = _forms.kind_of(names, value.verb)
    if found is not value.kind:
        raise InvalidMessage(
            f"in a typed form the verb tells the kind: {value.verb!r} makes it a {found}, not a {value.kind}"
        )


_RESERVED = ("", NAMESPACE, XML_NAMESPACE, "http://www.w3.org/2000/xmlns/")


def _is_tag(tag: str) -> bool:
    try:
        etree.Element(tag)
    except ValueError:
        return False
    return True


# ---------------------------------------------------------------- the usual header

# As most have them: these fields and no others, and at most so many properties.
_USUAL = ("verb", "noun", "timestamp", "source", "message_id", "correlation_id")
_MOST_PROPERTIES = 4
_usual = attrgetter(*_USUAL)
_other = attrgetter(*[place.field for place in HEADER.places if place.field not in (*_USUAL, "properties")])
_NO_OTHER = _other(Message(kind=Kind.EVENT))
_TAGS = [f"<{place.name}>{{}}</{place.name}>" for place in HEADER.places if place.field in _USUAL]
_PROPERTY_TAGS = ["<Property><Name>{}</Name>", "<Value>{}</Value></Property>"]
# What stands before, between and behind the texts: by which of the fields are given, and the number of properties.
_ALL = (True,) * len(_USUAL)
_AROUND = {
    (given, count): "".join([*compress(_TAGS, given), *count * _PROPERTY_TAGS]).split("{}")
    for given in product([True], [True], *4 * [[True, False]])
    for count in range(_MOST_PROPERTIES + 1)
}


def _usual_header(value: Message) -> str | None:
    """Return the content of the header if it is a usual one, all of it text that needs no escaping; else None.

    It saves the walk along the table; tests hold that both write the same.
    """
    fields, properties = _usual(value), value.properties
    given, texts = _ALL, [*fields]
    if None in fields:
        given, texts = tuple([one is not None for one in fields]), [one for one in fields if one is not None]
    around = _AROUND.get((given, len(properties))) if type(properties) is tuple else None
    if around is None or _other(value) != _NO_OTHER:
        return None
    try:
        for one in properties:
            texts += (one.name, one.value)
        is_sent_usual = fields[2] is None or is_date_time(fields[2])
        if not is_sent_usual or fields[0] not in VERBS or has_special("".join(texts)):
            return None
    except (AttributeError, TypeError):
        return None  # what it is that cannot be written, the table says
    out = [""] * len(around + texts)
    out[::2], out[1::2] = around, texts
    return "".join(out)


# ---------------------------------------------------------------- along the tables

_Write = Callable[[Any], str]
_Writer = tuple[str, str, str, _Write, bool, str]
_Writers = tuple[Callable[[Any], tuple[Any, ...]], tuple[_Writer, ...]]


def _inside(name: str, value: Any, writers: _Writers) -> str:
    """Return the content of the element `name`: the fields of `value`, by the table."""
    values, table = writers
    out: list[str] = []
    for one, writer in zip(values(value), table, strict=True):
        if not one and (one is None or one == ()):  # most are: the rest is not looked at
            if writer[-1]:
                raise InvalidMessage(f"{name} has no {writer[-1]}: the schema demands it")
            continue
        field, start, end, write, is_many, _ = writer
        try:
            if is_many:
                out += map(write, one)
            elif start:
                # Not formatted: what is a str and an Enum would be written by its own name.
                out.append(start + (one if write is escape and not has_special(one) else write(one)) + end)
            else:
                out.append(write(one))
        except (AttributeError, TypeError) as exc:
            raise InvalidMessage(f"{name}: {field} cannot be {one!r:.100}: {exc}") from exc
    return "".join(out)


def _writers(sequence: Sequence) -> _Writers:
    """Return what gives all the values at once; and for each its field, its tags if it is text, what writes it, whether
    there are several, and its name if it is mandatory.
    """
    places = sequence.places
    return attrgetter(*[one.field for one in places]), tuple(
        (one.field, *_tags(one), _write_by(one), one.high == MANY, one.name if one.low else "") for one in places
    )


def _tags(place: Place) -> tuple[str, str]:
    is_text = place.name != "*" and isinstance(place.type, Simple) and place.type not in (IDENTIFIER, QNAME)
    return (f"<{place.name}>", f"</{place.name}>") if is_text else ("", "")


def _write_by(place: Place) -> _Write:
    name, kind = place.name, place.type
    if name == "*":
        return _item
    if kind is Property:
        return _property
    if kind in SEQUENCES:
        return lambda value: f"<{name}>{_inside(name, value, _WRITERS[kind])}</{name}>"
    if kind is IDENTIFIER:
        return lambda value: f"<{name}{_attributes(value)}>" + escape(value.value) + f"</{name}>"
    if kind is QNAME:
        return lambda value: _qname(name, value)
    write: _Write = kind.write
    return write


def _item(value: bytes) -> str:
    return (value if type(value) is Xml else element(value)).decode()


def _property(one: Property) -> str:
    name, value = one.name, one.value
    if value is None:
        return "<Property><Name>" + escape(name) + "</Name></Property>"
    if has_special(name + value):
        name, value = escape(name), escape(value)
    return "<Property><Name>" + name + "</Name><Value>" + value + "</Value></Property>"


def _attributes(value: ID) -> str:
    if value.kind is not None and value.kind not in KINDS:
        raise InvalidMessage(f"{value.kind!r} is no kind of ID: use one of {', '.join(KINDS)}")
    pairs = ((name, getattr(value, field)) for name, field in ID_ATTRIBUTES.items())
    return "".join(f' {name}="{escape_attribute(text)}"' for name, text in pairs if text is not None)


def _qname(name: str, value: str) -> str:
    namespace, local = map(escape_attribute, _tree.split(value))
    if namespace == NAMESPACE:
        xml = f"<{name}>{local}</{name}>"
    elif namespace == XML_NAMESPACE:
        xml = f"<{name}>xml:{local}</{name}>"
    elif namespace:
        xml = f'<{name} xmlns:q="{namespace}">q:{local}</{name}>'
    else:
        # Without a prefix it would be a name of the default namespace, which is the message's.
        xml = f'<m:{name} xmlns:m="{NAMESPACE}" xmlns="">{local}</m:{name}>'
    if not _is_valid_in_error(xml):
        raise InvalidMessage(f"{value!r} is no QName: write {{namespace}}name")
    return xml


def _is_valid_in_error(xml: str) -> bool:
    """True if Error may have `xml` after its code: which letters a QName may have, only libxml2 knows."""
    error = f"<Reply><Result>OK</Result><Error><code/>{xml}</Error></Reply>"
    data = f'<FaultMessage xmlns="{NAMESPACE}">{error}</FaultMessage>'.encode()
    try:
        root = parse(data, Limits(message=len(data)))
    except EnvelopeError:
        return False
    return schema().validate(root)


_HEADER = _writers(HEADER)
_WRITERS = {cls: _writers(sequence) for cls, sequence in SEQUENCES.items()}
