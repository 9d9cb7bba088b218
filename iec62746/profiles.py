"""Payload profiles: schemas and typed objects for payloads, found by their namespace (62746-3, 5.3, 5.4).

A profile says its nouns, namespaces, schema and generated classes, and nothing of nodes or rights: those are the
domain's. Its entry point, in the group `iec62746.profiles`, is the `Profile` itself. Nothing is bound, and no class
imported, until somebody asks for it.
"""

import dataclasses
import importlib
import re
import sys
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from itertools import islice
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Final, Protocol, TypeGuard, cast

from lxml import etree

from iec62746 import _tree
from iec62746._parser import element_at_fault, parse
from iec62746._plugin import Plugin, claimed, distribution, entries
from iec62746.errors import EnvelopeError, InvalidMessage, Rule, UnknownProfile
from iec62746.limits import Limits

if TYPE_CHECKING:
    from xsdata.formats.dataclass.context import XmlContext

GROUP: Final = "iec62746.profiles"
OURS: Final = "iec62746"
"""The distribution whose profiles give way to others of the same namespace."""

_SMALL = 16_384
_NAIVE = re.compile(r"The value '\d{4}-\d\d-\d\dT[\d:.]+' is not accepted by the pattern")
_LIMITS: Final = Limits(message=sys.maxsize)
"""Of whoever has no domain: how large a payload is, he knows who has it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """Payloads of some namespaces: which nouns carry them, their schema, and the module of their generated classes.

    `schema` is an XSD; what it includes and imports stands beside it. `models` is imported when somebody binds.
    """

    name: str
    nouns: tuple[str, ...]
    namespaces: tuple[str, ...]
    schema: Path
    models: str

    def validate(self, xml: bytes, limits: Limits = _LIMITS) -> None:
        """Raise `EnvelopeError` with line and path unless `xml` is one element that is valid by the schema."""
        self._check(parse(xml, limits), xml)

    def _check(self, root: etree._Element, xml: bytes) -> None:
        schema, lock = _schema(self.schema, self.name)
        if len(xml) < _SMALL:
            with lock:  # its log of errors is one for all threads
                is_valid = schema.validate(root)
            if is_valid:
                return
        # For each fault in a tree, libxml2 counts the siblings before it: those of a large one are found in its stream.
        fault = element_at_fault(xml, schema)
        if fault is not None:
            raise _complaint(root, *fault)

    def bind(self, xml: bytes) -> Any:
        """Return the typed object that `xml` says, which must be valid; raises `EnvelopeError` as `validate` does."""
        return self.bound(parse(xml, _LIMITS), xml)

    def bound(self, root: etree._Element, xml: bytes) -> Any:
        """Return the typed object of `root`, which was parsed from `xml`; otherwise as `bind`."""
        from iec62746._binding import read

        self._check(root, xml)
        return read(root, self._class(root.tag), xml, _context())

    def write(self, value: Any) -> bytes:
        """Return the XML of a typed object; raises `InvalidMessage`, with path, unless it is valid by the schema."""
        from iec62746._binding import write

        xml = write(value, _context())
        try:
            self.validate(xml)
        except EnvelopeError as exc:
            raise InvalidMessage(f"{type(value).__name__} is not valid in profile {self.name}: {exc}") from exc
        return xml

    def _class(self, tag: str) -> type[Any]:
        found = _classes(self.models).get(tag)
        if found is None:
            raise EnvelopeError(Rule.PAYLOAD, f"profile {self.name} has no class for {tag}: it is no root element")
        return found


@cache
def _context() -> "XmlContext":
    """Return what xsdata remembers of classes: to make it anew costs more than to read most payloads."""
    from xsdata.formats.dataclass.context import XmlContext

    return XmlContext()


@cache
def _schema(path: Path, name: str) -> tuple[etree.XMLSchema, threading.Lock]:
    try:
        return etree.XMLSchema(file=str(path)), threading.Lock()
    except (etree.XMLSchemaParseError, etree.XMLSyntaxError, OSError) as exc:
        raise UnknownProfile(f"profile {name!r} cannot be used: its schema {path} is broken: {exc}") from exc


@cache
def _classes(module: str) -> Mapping[str, type[Any]]:
    """Return the generated classes of root elements by tag."""
    try:
        found = vars(importlib.import_module(module))
    except Exception as exc:  # it is somebody else's code
        raise UnknownProfile(f"the models {module} cannot be imported: {type(exc).__name__}: {exc}") from exc
    classes: list[Any] = [one for one in found.values() if isinstance(one, type) and _is_root(one)]
    return {f"{{{one.Meta.namespace}}}{_name(one)}": one for one in classes}


def _is_root(one: type[Any]) -> bool:
    # The generated classes of types that are no elements have no namespace of their own.
    meta = vars(one).get("Meta")
    return meta is not None and bool(getattr(meta, "namespace", ""))


def _name(one: Any) -> str:
    return getattr(one.Meta, "name", None) or str(one.__name__)


def _complaint(root: etree._Element, message: str, begun: int) -> EnvelopeError:
    """Return what libxml2 says, at the element that it means: the last that had begun, or one around it."""
    element = next(islice(root.iter("*"), max(begun - 1, 0), None), root)
    while f"Element '{element.tag}'" not in message and (parent := element.getparent()) is not None:
        element = parent
    text, line = message.replace(f"{{{_tree.split(element.tag)[0]}}}", ""), _tree.line(element)
    if _NAIVE.search(text):
        text += " It has no time zone: end it with Z or an offset."
    return EnvelopeError(Rule.PAYLOAD, text, line=line, path=_tree.path(element))


# ---------------------------------------------------------------- those that are installed


class Profiles:
    """Some profiles, by name and by namespace."""

    def __init__(self, profiles: Mapping[str, Profile], broken: Mapping[str, str] = MappingProxyType({})) -> None:
        """Hold `profiles`; `broken` says of others why they cannot be used."""
        self._by_name, self._broken = dict(profiles), dict(broken)
        self._by_namespace = {space: one for one in profiles.values() for space in one.namespaces}

    def __iter__(self) -> Iterator[Profile]:
        """Yield each."""
        return iter(self._by_name.values())

    def of(self, namespace: str) -> Profile | None:
        """Return the one whose namespace this is."""
        return self._by_namespace.get(namespace)

    def get(self, name: str) -> Profile:
        """Return the one of that name; raises `UnknownProfile`."""
        if name in self._broken:
            raise UnknownProfile(self._broken[name])
        if name not in self._by_name:
            known = ", ".join(sorted(self._by_name)) or "none"
            raise UnknownProfile(f"no profile {name!r} is installed (installed: {known})")
        return self._by_name[name]


@cache
def installed() -> Profiles:
    """Return the installed profiles; one that cannot be used is left out, and hurts no other."""
    found, broken = dict[str, Profile](), dict[str, str]()
    for entry, profile in _load():
        if isinstance(profile, Profile):
            found[entry.name] = profile
        else:
            broken[entry.name] = profile
    return Profiles(found, broken)


def plugins() -> Iterator[Plugin]:
    """Yield every installed profile; one that cannot be used says why."""
    for entry, profile in _load():
        yield Plugin.of(entry, "" if isinstance(profile, Profile) else profile)


def _load() -> list[tuple[metadata.EntryPoint, Profile | str]]:
    """Return what stands at each entry point, or why it cannot be used."""
    loaded = [(entry, _loaded(entry)) for entry in entries(GROUP)]
    claims: dict[str, list[metadata.EntryPoint]] = {}
    for entry, profile in loaded:
        for what in _claims(entry, profile):
            claims.setdefault(what, []).append(entry)
    refused: dict[int, str] = {}
    for what, some in claims.items():
        refused |= _refused(what, some)
    return [(entry, refused.get(id(entry), profile)) for entry, profile in loaded]


def _refused(what: str, claims: list[metadata.EntryPoint]) -> dict[int, str]:
    """Return which of those that claim `what` cannot be used, and why: of two strangers neither, ours beside one."""
    strangers = [entry for entry in claims if distribution(entry) != OURS]
    if len(strangers) == 1 < len(claims):
        # Who installs the whole schema means it: the subset in the box gives way.
        replaced = f"replaced by {distribution(strangers[0])}, which has {what}"
        return {id(entry): replaced for entry in claims if entry is not strangers[0]}
    return {id(entry): claimed(what, claims) for entry in claims} if len(claims) > 1 else {}


def _claims(entry: metadata.EntryPoint, profile: Profile | str) -> list[str]:
    """Return what nobody else may have: the name, and the namespaces."""
    spaces = [f"the namespace {one}" for one in profile.namespaces] if isinstance(profile, Profile) else []
    return [f"the profile {entry.name!r}", *spaces]


def _loaded(entry: metadata.EntryPoint) -> Profile | str:
    who = f"profile {entry.name!r} of {distribution(entry)}"
    try:
        profile = entry.load()
    except Exception as exc:  # it is somebody else's code
        return f"{who} is broken: {type(exc).__name__}: {exc}"
    if not isinstance(profile, Profile):
        return f"{who} is broken: {entry.value} is no iec62746.profiles.Profile, but a {type(profile).__name__}"
    return profile


# ---------------------------------------------------------------- payloads


class Typed(Protocol):
    """An object of a generated class of a root element; such classes have no base in common."""

    __dataclass_fields__: ClassVar[dict[str, dataclasses.Field[Any]]]


def is_typed(value: object) -> TypeGuard[Typed]:
    """Return whether `value` is an object of a generated class of a root element."""
    return not isinstance(value, type) and _is_root(type(value)) and dataclasses.is_dataclass(value)


def write(value: Typed) -> bytes:
    """Return the XML of a typed object, by the installed profile of its namespace; raises `InvalidMessage`."""
    namespace = str(cast(Any, value).Meta.namespace)
    profile = installed().of(namespace)
    if profile is None:
        raise InvalidMessage(f"no installed profile has the namespace {namespace} of {type(value).__name__}")
    return profile.write(value)


def bind(xml: bytes) -> Any:
    """Return the typed object that `xml` says, by the installed profile of its namespace.

    Raises `UnknownProfile` if there is none, `EnvelopeError` with line and path if it is not valid.
    """
    root = parse(xml, _LIMITS)
    namespace = _tree.split(root.tag)[0]
    profile = installed().of(namespace)
    if profile is None:
        raise UnknownProfile(f"no installed profile has the namespace {namespace!r}: `iec62746 profile list`")
    return profile.bound(root, xml)


def namespace_of(xml: bytes, limits: Limits = _LIMITS) -> str:
    """Return the namespace of the root element of `xml`; raises `EnvelopeError` for what is not well-formed."""
    return _tree.split(parse(xml, limits).tag)[0]
