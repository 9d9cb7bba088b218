"""How docs/wire.md shows what was captured: ids, sessions and times made round, and tables."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

import pika  # type: ignore[import-untyped]  # it has no types
from lxml import etree

VTN = "grid-operator"


@dataclass(frozen=True)
class Seen:
    """One message, as a bare client got it."""

    exchange: str
    key: str
    properties: pika.BasicProperties
    body: bytes

    def is_it(self, exchange: str, key: str, *parts: str) -> bool:
        """Return whether it went there, and has each of `parts` in its body."""
        return (self.exchange, self.key) == (exchange, key) and all(part.encode() in self.body for part in parts)


class Rounding:
    """Makes round what is another each time; what was equal stays equal."""

    _UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
    _TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
    _FIRST = datetime.fromisoformat("2026-01-01T12:00:00Z")

    def __init__(self, seen: Iterable[Seen]) -> None:
        """Know the sessions of all that was `seen`."""
        self._ids: dict[str, str] = {}
        self._times: dict[str, datetime] = {}
        self._count = 0
        self._sessions: dict[str, str] = {}
        for one in seen:
            if one.exchange == "north.presence":
                session = one.body.partition(b"<session>")[2].partition(b"<")[0].decode()
                self._sessions.setdefault(one.key, session)

    def session_of(self, party: str) -> str:
        """Return the name of its session."""
        return self._sessions[party]

    def of(self, one: Seen) -> str:
        """Return the message as it is shown."""
        self._count += 1
        properties = "".join(f"{name:<15}{value}\n" for name, value in self._properties(one).items())
        return f"```text\n{self.text(properties)}\n{self.text(_lines(one.body))}\n```\n"

    def _properties(self, one: Seen) -> dict[str, str]:
        had = one.properties
        found = {"exchange": one.exchange, "routing_key": one.key}
        for name in ("content_type", "message_id", "correlation_id", "reply_to", "user_id", "expiration"):
            if (value := getattr(had, name)) is not None:
                found[name] = value
        found["message_id"] = f"m{self._count}"
        found["expiration"] = str(5_000 * round(int(found["expiration"]) / 5_000))
        found["delivery_mode"] = str(had.delivery_mode)
        if had.headers:
            found["headers"] = ", ".join(f"{name}: {value}" for name, value in had.headers.items())
        more = {"content_encoding", "priority", "timestamp", "type", "app_id", "cluster_id"}
        if some := [name for name in sorted(more) if getattr(had, name) is not None]:
            raise SystemExit(f"properties that the page does not know: {', '.join(some)}")
        return found

    def text(self, text: str) -> str:
        """Return `text` with round ids, sessions, epochs and times."""
        for party, session in self._sessions.items():
            text = text.replace(session, "s-vtn" if party == VTN else "s-ven")
        text = self._UUID.sub(self._id, text)
        text = re.sub(r"<epoch>\d+<", f"<epoch>{self._FIRST.timestamp() * 1000:.0f}<", text)
        if stamped := re.search(f"<Timestamp>({self._TIME.pattern})", text):
            self._times[stamped[1]] = self._FIRST + timedelta(seconds=self._count)
            text = self._TIME.sub(partial(self._time, stamped[1]), text)
        return text

    def _id(self, found: re.Match[str]) -> str:
        return self._ids.setdefault(found[0], f"00000000-0000-4000-8000-{len(self._ids) + 1:012d}")

    def _time(self, stamped: str, found: re.Match[str]) -> str:
        since = datetime.fromisoformat(found[0]) - datetime.fromisoformat(stamped)
        at = self._times.get(found[0]) or self._times[stamped] + timedelta(seconds=round(since.total_seconds(), 1))
        return f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03d}Z"


def _lines(body: bytes) -> str:
    """Return `body` with line breaks between elements, which are not in it."""
    declaration, _, document = body.decode().partition("\n")
    root = etree.fromstring(document)
    _indent(root, 0)
    text = etree.tostring(root, encoding="unicode")
    if re.sub(r"\n *", "", text) != document:
        raise SystemExit(f"it would not be shown as it is: {document}")
    return f"{declaration}\n{text}"


def _indent(element: etree._Element, level: int) -> None:
    children = list(element)
    if not children or (level > 1 and len(etree.tostring(element, with_tail=False)) < 160):
        return
    element.text = "\n" + "  " * (level + 1)
    for child in children:
        _indent(child, level + 1)
        child.tail = "\n" + "  " * (level + 1)
    children[-1].tail = "\n" + "  " * level


# ---------------------------------------------------------------- tables


def yes(value: bool) -> str:
    return "yes" if value else "no"


def pairs(some: Iterable[tuple[str, object]]) -> str:
    return ", ".join(f"{name}={value}" for name, value in sorted(some))


def table(head: str, rows: Iterable[tuple[str, ...]]) -> str:
    """Return a table; the words of `head` are its columns."""
    columns = [word.replace("-", " ") for word in head.split()]
    lines = [f"| {' | '.join(columns)} |", f"|{'---|' * len(columns)}"]
    lines += [f"| {' | '.join(map(_cell, row))} |" for row in rows]
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    if not text or text in ("yes", "no"):
        return text
    for pattern, name in (("[A-Za-z0-9_-]{1,64}", "PARTY"), ("[A-Za-z0-9_-]{1,32}", "SESSION"), ("|", "\\|")):
        text = text.replace(pattern, name)
    return f"`{text}`"
