"""Short words for what we ask of an lxml tree."""

from lxml import etree


def split(tag: str) -> tuple[str, str]:
    """Return the namespace and the local name of `tag`."""
    namespace, brace, name = tag.rpartition("}")
    return (namespace[1:], name) if brace else ("", tag)


def local(element: etree._Element) -> str:
    """Return the local name of `element`."""
    return element.tag.rpartition("}")[2]


def text(element: etree._Element) -> str:
    """Return the text of `element`, without the comments and processing instructions that may stand in it."""
    return str(_string(element)) if len(element) else element.text or ""


_string = etree.XPath("string()")


def path(element: etree._Element) -> str:
    """Return the local names from the root down to `element`: `RequestMessage/Header/Verb`."""
    names = [local(element)]
    while (parent := element.getparent()) is not None:
        element = parent
        names.append(local(element))
    return "/".join(reversed(names[:_LONGEST_PATH]))


_LONGEST_PATH = 32


def line(element: etree._Element) -> int:
    """Return the line on which `element` starts, or 0 if it was not read."""
    found = element.sourceline
    return found if isinstance(found, int) else 0


def elements(parent: etree._Element) -> list[etree._Element]:
    """Return the child elements of `parent`, without comments and processing instructions."""
    return list(parent.iterchildren("*"))
