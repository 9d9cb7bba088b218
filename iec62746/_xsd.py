"""The documents of a schema: what it includes and imports, its root elements, and what is wrong with it where."""

import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote

from lxml import etree

from iec62746 import _tree
from iec62746._parser import parse
from iec62746.errors import EnvelopeError, InvalidSchema
from iec62746.limits import Limits

XSD: Final = "{http://www.w3.org/2001/XMLSchema}"
_REFERRING: Final = [XSD + name for name in ("include", "import", "redefine", "override")]
_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:")
_LARGEST: Final = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Schema:
    """A schema and every document that it needs, each once; `own` are those of its namespace."""

    main: Path
    documents: dict[Path, etree._Element]
    own: frozenset[Path]
    namespace: str

    @property
    def root(self) -> Path:
        """The deepest folder that has all the documents."""
        return Path(os.path.commonpath([path.parent for path in self.documents]))

    def demand_namespace(self) -> None:
        """Raise `InvalidSchema` unless it has a namespace."""
        if not self.namespace:
            reason = "it has no targetNamespace, but a payload is found by the namespace of its root element: add one"
            raise InvalidSchema(reason, file=self.main, line=_tree.line(self.documents[self.main]))

    def copy_to(self, folder: Path) -> Path:
        """Copy the documents into `folder`, as they stand to one another; return the copy of the main one."""
        for path in self.documents:
            copy = folder / path.relative_to(self.root)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)
        return folder / self.main.relative_to(self.root)

    def roots(self) -> tuple[str, ...]:
        """Return the names of the elements that may begin a document: those that no other is made of, if there are."""
        found = [element for path in self.own for element in self.documents[path].findall(f"{XSD}element")]
        known = {one.get("name", ""): one for one in found if one.get("abstract") not in ("true", "1")}
        every = [one for document in self.documents.values() for one in document.iter(f"{XSD}element")]
        used = {one.get("ref", "").rpartition(":")[2] for one in every}
        names = [name for name, one in known.items() if name not in used and "substitutionGroup" not in one.attrib]
        return tuple(sorted(names or known))


def load(path: Path) -> Schema:
    """Return the schema at `path`; raises `InvalidSchema`, of the file and line that is wrong."""
    main = Path(os.path.normpath(path.absolute()))
    documents: dict[Path, etree._Element] = {}
    own = {main}
    waiting = [main]
    while waiting:
        one = waiting.pop()
        if one not in documents:
            documents[one] = _document(one)
            for element, found in _referred(one, documents[one]):
                waiting.append(found)
                # What is included without a namespace takes that of who includes it.
                if one in own and _tree.local(element) != "import":
                    own.add(found)
    compiled(main)
    namespace = documents[main].get("targetNamespace", "")
    return Schema(main=main, documents=documents, own=frozenset(own), namespace=namespace)


def compiled(path: Path) -> etree.XMLSchema:
    """Return what libxml2 validates by; raises `InvalidSchema`."""
    try:
        return etree.XMLSchema(file=str(path))
    except etree.XMLSchemaParseError as exc:
        fault: Any = next(iter(exc.error_log), None)
        if fault is None:
            raise InvalidSchema(str(exc), file=path) from exc
        file = Path(unquote(fault.filename.removeprefix("file://")))
        raise InvalidSchema(fault.message.replace(XSD, "xs:"), file=file, line=fault.line) from exc


def _document(path: Path) -> etree._Element:
    try:
        root = parse(path.read_bytes(), Limits(message=_LARGEST))
    except OSError as exc:
        raise InvalidSchema(f"it cannot be read: {exc.strerror}", file=path) from exc
    except EnvelopeError as exc:
        raise InvalidSchema(exc.reason, file=path, line=exc.line) from exc
    if root.tag != f"{XSD}schema":
        reason = f"its root element is {_tree.local(root)}, so it is no XML Schema: give an .xsd"
        raise InvalidSchema(reason, file=path, line=_tree.line(root))
    return root


def _referred(path: Path, document: etree._Element) -> Iterator[tuple[etree._Element, Path]]:
    """Yield what includes or imports in `document`, and which one."""
    for element in document.iterchildren(*_REFERRING):
        location = element.get("schemaLocation", "").strip()
        # An import without a location only says that a namespace is used.
        if location:
            yield element, _located(path, location, element)


def _located(path: Path, location: str, element: etree._Element) -> Path:
    line = _tree.line(element)
    if _SCHEME.match(location):
        advice = "save it in a file of your own, and write its relative path there"
        raise InvalidSchema(f"schemaLocation {location} is not fetched: {advice}", file=path, line=line)
    found = Path(os.path.normpath(path.parent / unquote(location)))
    if Path(location).is_absolute():
        reason = f"schemaLocation {location} is absolute: write it relative to the schema, so that both can be copied"
        raise InvalidSchema(reason, file=path, line=line)
    if not found.is_file():
        kind = _tree.local(element)
        raise InvalidSchema(f"it has an xs:{kind} of {location}, but there is no {found}", file=path, line=line)
    return found
