"""What is wrong with an envelope that is not valid: a walk along the tables, mending what tolerant reading takes.

The walk changes the tree. In tolerant mode the mended tree is validated again; otherwise the first finding names the rule.
"""

from dataclasses import dataclass, field

from lxml import etree

from iec62746._forms import elements, local, split
from iec62746._schema import HEADER, LEVEL, PARTS, PAYLOAD, RESULT, SEQUENCES, VERB, M, Place, Sequence
from iec62746.errors import Rule
from iec62746.message import NAMESPACE, VERBS, Finding, Kind, Level, Result

EDITION_2 = "http://iec.ch/TC57/2021/schema/message"
WWW = NAMESPACE.replace("//", "//www.")

@dataclass(slots=True)
class Diagnosis:
    """The findings of one walk, whether all of them could be mended, and what was taken out of the tree."""

    findings: list[Finding] = field(default_factory=list)
    fatal: Finding | None = None
    reply_code: str = "1.8"
    vendor: list[bytes] = field(default_factory=list)
    items: list[bytes] | None = None

    def note(self, rule: Rule, element: etree._Element, reason: str, *, name: str = "", mended: bool = False) -> None:
        """Record one deviation; the first that is not `mended` is fatal."""
        finding = Finding(rule=rule, element=name or local(element), line=element.sourceline or 0, reason=reason)
        self.findings.append(finding)
        if len(self.findings) == 1:
            self.reply_code = _reply_code(rule, element)
        if not mended and self.fatal is None:
            self.fatal = finding


_MISSING_IN = {"Header": "1.5", "Request": "1.6", "Payload": "1.7"}


def _reply_code(rule: Rule, element: etree._Element) -> str:
    if rule in (Rule.VERB, Rule.VERB_CASE):
        return "2.9"
    if rule is Rule.EDITION:
        return "1.9"
    if rule is Rule.MISSING_ELEMENT:
        around = (element, *element.iterancestors())
        return next((_MISSING_IN[local(one)] for one in around if local(one) in _MISSING_IN), "1.8")
    return "1.8"


PARTS_OF = {
    Kind.REQUEST: ("Header", "Request", "Payload"),
    Kind.RESPONSE: ("Header", "Reply", "Payload"),
    Kind.EVENT: ("Header", "Payload"),
    Kind.FAULT: ("Reply",),
}
_MANDATORY = ("Header", "Reply")


def diagnose(envelope: etree._Element, kind: Kind) -> Diagnosis:
    """Walk the generic `envelope`, mend what can be mended, and say what was found."""
    result = Diagnosis()
    if _is_edition_2(envelope):
        result.note(Rule.EDITION, envelope, "edition 2 of IEC 61968-100 is not compatible and not supported: send edition 1")
        return result
    _mend_www(result, envelope)
    root = Sequence.of(
        *(Place(name, name, low=int(name in _MANDATORY)) for name in PARTS_OF[kind])
    )
    _walk(result, envelope, root)
    for part in elements(envelope):
        if local(part) in PARTS:
            _walk(result, part, PARTS[local(part)][2])
    return result


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
    _qualify(result, parent, sequence)
    _take_strangers(result, parent, sequence)
    _order(result, parent, sequence)
    _count(result, parent, sequence)
    for child in elements(parent):
        if child.tag in sequence.by_tag:
            _check(result, child, sequence.by_tag[child.tag])


def _qualify(result: Diagnosis, parent: etree._Element, sequence: Sequence) -> None:
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
    """Take out what the schema has no place for: in Payload it is the payload all the same, elsewhere a vendor's element."""
    for child in elements(parent):
        if child.tag in sequence.by_tag or split(child.tag)[0] not in ("", NAMESPACE) or local(child) in PARTS:
            continue
        xml = etree.tostring(child, with_tail=False, encoding="UTF-8")
        if sequence is PAYLOAD:
            result.note(Rule.PAYLOAD_NAMESPACE, child, f"{local(child)} needs a namespace of its own", mended=True)
            result.items = [*(result.items or []), xml]
        else:
            reason = f"{local(child)} is no element of {local(parent)} in the schema"
            result.note(Rule.VENDOR_ELEMENT, child, reason, mended=True)
            result.vendor.append(xml)
        parent.remove(child)


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
    tags = [child.tag for child in elements(parent)]
    for index, place in enumerate(sequence.places):
        if place.name == "*":
            count = sum(tag not in sequence.by_tag for tag in tags)
        else:
            count = tags.count(M + place.name)
        if count > place.high:
            result.note(Rule.REPEATED_ELEMENT, parent, f"{local(parent)} has {count} × {place.name}, not one", name=place.name)
        elif count < place.low:
            is_noun = sequence is HEADER and place.name == "Noun"
            reason = f"{local(parent)} has no {place.name}"
            result.note(Rule.MISSING_ELEMENT, parent, reason, name=place.name, mended=is_noun)
            if is_noun:
                parent.insert(index, etree.Element(M + "Noun"))


def _check(result: Diagnosis, child: etree._Element, place: Place) -> None:
    """Check one element's value, or walk on."""
    text = child.text or ""
    if place.type in SEQUENCES:
        _walk(result, child, SEQUENCES[place.type])
    elif place.type is VERB and text not in VERBS:
        is_case = text.strip().lower() in VERBS
        rule = Rule.VERB_CASE if is_case else Rule.VERB
        result.note(rule, child, f"{text!r} is no verb of IEC 61968-100", mended=is_case)
        child.text = text.strip().lower()
    elif place.type is RESULT and text not in Result.__members__:
        is_error = text.strip() == "ERROR"
        result.note(Rule.RESULT, child, f"{text!r} is no Result: OK, PARTIAL or FAILED", mended=is_error)
        child.text = "FAILED"
    elif place.type is LEVEL and text not in Level.__members__:
        result.note(Rule.VALUE, child, f"{text!r} is no level: {', '.join(Level)}")
