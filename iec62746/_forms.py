"""Where the envelope is in a document, and how its typed and SOAP forms become the generic one.

The *envelope element* is the first element with a child Header that has a Verb, or a child Reply that has a Result,
whatever its name and namespace: a SOAP wrapper falls away by itself.
"""

from collections.abc import Container

from lxml import etree

from iec62746._schema import PARTS, M
from iec62746._tree import elements, local, split, text
from iec62746.message import NAMESPACE, Kind, TypedForm

OWN_IN_PAYLOAD = frozenset({"Format", "Compressed", "OperationSet", "ID"})
_ROOTS = frozenset(kind.value for kind in Kind)
_KEY = {"Header": "Verb", "Reply": "Result"}


def find(root: etree._Element) -> etree._Element | None:
    """Return the envelope element, or None."""
    return next((element for element in root.iter("*") if _is_envelope(element)), None)


def _is_envelope(element: etree._Element) -> bool:
    return any(
        local(part) in _KEY and _KEY[local(part)] in (local(child) for child in elements(part))
        for part in elements(element)
    )


def almost(root: etree._Element) -> tuple[etree._Element, str] | None:
    """Return what would be the envelope's part and the element it lacks, where `find` finds nothing."""
    for element in root.iter("*"):
        for part in elements(element):
            if local(part) in _KEY and local(element) not in ("Envelope", *PARTS):
                return part, _KEY[local(part)]
    return None


def to_generic(element: etree._Element) -> tuple[Kind, TypedForm | None]:
    """Rewrite the envelope in place to the generic form; return its kind, and its typed form if it had one."""
    parts = elements(element)
    namespace, name = split(element.tag)
    form = _typed(namespace, name, parts)
    kind = _kind(name, parts)
    element.tag = M + kind.value
    for attribute in list(element.attrib):
        del element.attrib[attribute]
    for part in parts:
        if local(part) in PARTS:
            part.tag = M + local(part)
            if local(part) == "Payload":
                _own_in_payload(part)
    return kind, form


def _own_in_payload(payload: etree._Element) -> None:
    for item in elements(payload):
        if is_own(item):
            item.tag = M + local(item)


def is_own(item: etree._Element) -> bool:
    """True for what is Payload's own element in the generic form, whatever its namespace."""
    return local(item) in OWN_IN_PAYLOAD


def is_generic(envelope: etree._Element) -> bool:
    """True for a valid generic envelope that `to_generic` would leave as it is."""
    return not any(is_own(item) and split(item.tag)[0] != NAMESPACE for item in envelope.iterfind(f"{M}Payload/*"))


def _typed(namespace: str, name: str, parts: list[etree._Element]) -> TypedForm | None:
    is_typed = namespace not in ("", NAMESPACE) and name not in _ROOTS
    if is_typed and any(split(part.tag) == (namespace, local(part)) for part in parts if local(part) in PARTS):
        return TypedForm(name, namespace)
    return None


def _kind(name: str, parts: list[etree._Element]) -> Kind:
    return Kind(name) if name in _ROOTS else kind_of({local(part) for part in parts}, _verb(parts))


def kind_of(parts: Container[str], verb: str) -> Kind:
    """Return the kind of a message whose root does not name it, by its parts and its verb."""
    if "Header" not in parts:
        return Kind.FAULT
    if "Reply" in parts:
        return Kind.RESPONSE
    return Kind.REQUEST if "Request" in parts or not verb.endswith("ed") else Kind.EVENT


def _verb(parts: list[etree._Element]) -> str:
    for part in parts:
        for child in elements(part) if local(part) == "Header" else ():
            if local(child) == "Verb":
                return text(child).strip()
    return ""


def reply_form(form: TypedForm | None, noun: str, kind: Kind = Kind.RESPONSE) -> TypedForm | None:
    """Return the form of the reply to a request of `form`: typed in, typed out."""
    return TypedForm(f"{noun}{kind.value}", form.namespace) if form else None
