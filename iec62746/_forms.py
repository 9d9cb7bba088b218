"""Where the envelope is in a document, and how its typed and SOAP forms become the generic one.

The *envelope element* is the first element with a child Header that has a Verb, or a child Reply that has a Result, whatever its
name and namespace: a SOAP wrapper falls away by itself.
"""

from lxml import etree

from iec62746._schema import PARTS, M
from iec62746.message import NAMESPACE, Kind, TypedForm

_OWN_IN_PAYLOAD = frozenset({"Format", "Compressed", "OperationSet", "ID"})
_ROOTS = frozenset(kind.value for kind in Kind)
_BRACE = M[:-1]
_KEY = {"Header": "Verb", "Reply": "Result"}


def split(tag: str) -> tuple[str, str]:
    """Return the namespace and the local name of `tag`."""
    namespace, brace, name = tag.rpartition("}")
    return (namespace[1:], name) if brace else ("", tag)


def local(element: etree._Element) -> str:
    """Return the local name of `element`."""
    return split(element.tag)[1]


def elements(parent: etree._Element) -> list[etree._Element]:
    """Return the child elements of `parent`, without comments and processing instructions."""
    return list(parent.iterchildren("*"))


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
        if local(item) in _OWN_IN_PAYLOAD:
            item.tag = M + local(item)


def is_foreign_own(item: etree._Element) -> bool:
    """True for an element of another namespace that becomes Payload's own in the generic form."""
    namespace, _, name = item.tag.rpartition("}")
    return name in _OWN_IN_PAYLOAD and namespace != _BRACE


def _typed(namespace: str, name: str, parts: list[etree._Element]) -> TypedForm | None:
    is_typed = namespace not in ("", NAMESPACE) and name not in _ROOTS
    if is_typed and any(split(part.tag) == (namespace, local(part)) for part in parts if local(part) in PARTS):
        return TypedForm(name, namespace)
    return None


def _kind(name: str, parts: list[etree._Element]) -> Kind:
    if name in _ROOTS:
        return Kind(name)
    names = [local(part) for part in parts]
    if "Header" not in names:
        return Kind.FAULT
    if "Reply" in names:
        return Kind.RESPONSE
    if "Request" in names or not _verb(parts).endswith("ed"):
        return Kind.REQUEST
    return Kind.EVENT


def _verb(parts: list[etree._Element]) -> str:
    for part in parts:
        for child in elements(part) if local(part) == "Header" else ():
            if local(child) == "Verb":
                return (child.text or "").strip()
    return ""


def reply_form(form: TypedForm | None, noun: str, kind: Kind = Kind.RESPONSE) -> TypedForm | None:
    """Return the form of the reply to a request of `form`: typed in, typed out."""
    return TypedForm(f"{noun}{kind.value}", form.namespace) if form else None
