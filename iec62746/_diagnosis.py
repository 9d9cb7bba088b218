"""What is wrong with an envelope that is not valid: a walk along the tables, mending what tolerant reading takes.

The walk changes the tree. In tolerant mode the mended tree is validated again; otherwise the first finding names the
rule.
"""

from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field

from lxml import etree

from iec62746._schema import HEADER, LEVEL, PARTS, PAYLOAD, RESULT, ROOTS, SEQUENCES, VERB, M, Place, Sequence
from iec62746._tree import elements, line, local, path, split, text
from iec62746.errors import Rule
from iec62746.message import NAMESPACE, VERBS, Finding, Kind, Level, Result

EDITION_2 = "http://iec.ch/TC57/2021/schema/message"
NO_EDITION_2 = "edition 2 of IEC 61968-100 is not compatible and not supported: send edition 1"
WWW = NAMESPACE.replace("//", "//www.")
_MOST = 1_000


@dataclass(slots=True)
class Diagnosis:
    """The findings of one walk, and what was taken out of the tree.

    `fatal` is the first that could not be mended; `path` and `reply_code` are of that, else of the first.
    """

    findings: list[Finding] = field(default_factory=list)
    fatal: Finding | None = None
    path: str = ""
    reply_code: str = "1.8"
    vendor: list[bytes] = field(default_factory=list)
    items: list[bytes] = field(default_factory=list)

    def note(
        self,
        rule: Rule,
        element: etree._Element,
        reason: str,
        *,
        name: str = "",
        mended: bool = False,
        reply_code: str = "1.8",
    ) -> None:
        """Record one deviation; the first that is not `mended` is fatal, and so is one too many."""
        finding = Finding(rule=rule, element=name or local(element), line=line(element), reason=reason)
        is_fatal = not mended or len(self.findings) == _MOST
        if is_fatal or not self.findings:
            self.path, self.reply_code = path(element), reply_code
        if is_fatal:
            self.fatal = finding
            raise _Fatal
        self.findings.append(finding)


class _Fatal(Exception):
    """Nothing after this finding matters: the document is refused."""


def missing_code(parent: etree._Element, name: str) -> str:
    """Return the reply code for a `parent` that lacks the element `name`."""
    around = (name, *path(parent).split("/")[::-1])
    return next((_MISSING_IN[one] for one in around if one in _MISSING_IN), "1.8")


_MISSING_IN = {"Header": "1.5", "Request": "1.6", "Payload": "1.7"}


def diagnose(envelope: etree._Element, kind: Kind) -> Diagnosis:
    """Walk the generic `envelope`, mend what can be mended, and say what was found."""
    result = Diagnosis()
    with suppress(_Fatal):
        _walk_envelope(result, envelope, kind)
    return result


def misplaced(envelope: etree._Element) -> tuple[Finding, ...]:
    """Return the findings of order in a valid `envelope`.

    libxml2 lets extensions stand before the IDs or the Properties that the schema has before them.
    """
    result = Diagnosis()
    with suppress(_Fatal):
        for part in elements(envelope):
            _order(result, part, PARTS[local(part)][2])
    return tuple(result.findings)


def _walk_envelope(result: Diagnosis, envelope: etree._Element, kind: Kind) -> None:
    if _is_edition_2(envelope):
        result.note(Rule.EDITION, envelope, NO_EDITION_2, reply_code="1.9")
    _mend_www(result, envelope)
    _check_children(result, envelope, ROOTS[kind])
    for part in elements(envelope):
        _walk(result, part, PARTS[local(part)][2])


def _is_edition_2(envelope: etree._Element) -> bool:
    tags = [envelope.tag, *(child.tag for part in elements(envelope) for child in (part, *elements(part)))]
    return any(split(tag)[0] == EDITION_2 for tag in tags)


def _mend_www(result: Diagnosis, envelope: etree._Element) -> None:
    strangers = list(envelope.iter(f"{{{WWW}}}*"))
    if strangers:
        result.note(Rule.NAMESPACE, strangers[0], f"the namespace is {WWW}: drop the www.", mended=True)
    for stranger in strangers:
        stranger.tag = M + local(stranger)


def _walk(result: Diagnosis, parent: etree._Element, sequence: Sequence) -> None:
    """Check the children of `parent` against `sequence`, and theirs in turn."""
    _check_children(result, parent, sequence)
    for child in elements(parent):
        if child.tag in sequence.by_tag:
            _check(result, child, sequence.by_tag[child.tag])


def _check_children(result: Diagnosis, parent: etree._Element, sequence: Sequence) -> None:
    _qualify(result, parent, sequence)
    _take_strangers(result, parent, sequence)
    _order(result, parent, sequence)
    _count(result, parent, sequence)


def _qualify(result: Diagnosis, parent: etree._Element, sequence: Sequence) -> None:
    """Bring unqualified elements into the message namespace; a mandatory one in another namespace is fatal."""
    children = elements(parent)
    tags = {child.tag for child in children}
    for child in children:
        namespace, name = split(child.tag)
        own = M + name
        if own not in sequence.by_tag or namespace == NAMESPACE:
            continue
        if namespace == "":
            result.note(Rule.UNQUALIFIED, child, f"{name} has no namespace: it belongs to {NAMESPACE}", mended=True)
            child.tag = own
        elif sequence.by_tag[own].low and own not in tags:
            result.note(Rule.NAMESPACE, child, f"{name} is in {namespace}: it belongs to {NAMESPACE}")


def _take_strangers(result: Diagnosis, parent: etree._Element, sequence: Sequence) -> None:
    """Take out what the schema has no place for: a vendor's element, but in Payload it is the payload all the same."""
    for child in elements(parent):
        name, where = local(child), local(parent)
        is_foreign = split(child.tag)[0] not in ("", NAMESPACE)
        if child.tag in sequence.by_tag or (is_foreign and sequence.wildcard.high):
            continue
        if child.tag in _PART_TAGS and parent.tag in _ROOT_TAGS:
            result.note(Rule.SCHEMA, child, f"{where} has no {name}")
        if sequence is PAYLOAD:
            result.note(Rule.PAYLOAD_NAMESPACE, child, f"{name} needs a namespace of its own", mended=True)
            result.items.append(_xml(child))
        else:
            result.note(Rule.VENDOR_ELEMENT, child, f"{name} is no element of {where} in the schema", mended=True)
            result.vendor.append(_xml(child))
        parent.remove(child)


_PART_TAGS = {M + name for name in PARTS}
_ROOT_TAGS = {M + kind.value for kind in Kind}


def _xml(element: etree._Element) -> bytes:
    return etree.tostring(element, with_tail=False, encoding="UTF-8")


def _order(result: Diagnosis, parent: etree._Element, sequence: Sequence) -> None:
    """Find what comes after something that must follow it, and sort."""
    children = elements(parent)
    places = [sequence.by_tag.get(child.tag, sequence.wildcard).index for child in children]
    if places == sorted(places):
        return
    highest = -1
    for child, place in zip(children, places, strict=True):
        if place < highest:
            result.note(Rule.ELEMENT_ORDER, child, f"{local(child)} comes too late in {local(parent)}", mended=True)
        highest = max(highest, place)
    for _, child in sorted(zip(places, children, strict=True), key=lambda pair: pair[0]):
        parent.append(child)


def _count(result: Diagnosis, parent: etree._Element, sequence: Sequence) -> None:
    """Find what stands there too often, or not at all; a missing Noun is taken as an empty one."""
    counts = Counter(sequence.by_tag.get(child.tag, sequence.wildcard).name for child in elements(parent))
    for index, place in enumerate(sequence.places):
        count, name, where = counts[place.name], place.name, local(parent)
        if count > place.high:
            result.note(Rule.REPEATED_ELEMENT, parent, f"{where} has {count} × {name}, not one", name=name)
        elif count < place.low:
            is_noun = sequence is HEADER and name == "Noun"
            code = missing_code(parent, name)
            result.note(
                Rule.MISSING_ELEMENT, parent, f"{where} has no {name}", name=name, mended=is_noun, reply_code=code
            )
            parent.insert(index, etree.Element(M + name))


def _check(result: Diagnosis, child: etree._Element, place: Place) -> None:
    """Check one element's value, or walk on."""
    value = text(child)
    if place.type in SEQUENCES:
        _walk(result, child, SEQUENCES[place.type])
    elif place.type is VERB and value not in VERBS:
        is_case = value.strip().lower() in VERBS
        rule = Rule.VERB_CASE if is_case else Rule.VERB
        result.note(rule, child, f"{value!r} is no verb of IEC 61968-100", mended=is_case, reply_code="2.9")
        _replace(child, value.strip().lower())
    elif place.type is RESULT and value not in Result.__members__:
        is_error = value.strip() == "ERROR"
        result.note(Rule.RESULT, child, f"{value!r} is no Result: OK, PARTIAL or FAILED", mended=is_error)
        _replace(child, "FAILED")
    elif place.type is LEVEL and value not in Level.__members__:
        result.note(Rule.VALUE, child, f"{value!r} is no level: {', '.join(Level)}")


def _replace(element: etree._Element, value: str) -> None:
    """Make `value` the only content of `element`."""
    del element[:]
    element.text = value
