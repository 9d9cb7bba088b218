"""Sends the messages of a folder through a domain of their own, and compares what arrives with what was sent."""

import asyncio
import re
import ssl
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lxml import etree

from iec62746.demo.capture import CapturingTransport
from iec62746.demo.north import unwatched
from iec62746.demo.wire import Wire
from iec62746.domain import OWN_NOUNS, Domain
from iec62746.envelope import decode, encode, inflate
from iec62746.errors import EnvelopeError, Iec62746Error, InvalidMessage
from iec62746.message import DEADLINE, DESTINATION, EVENT_VERBS, REQUEST_VERBS, Kind, Message, Payload
from iec62746.participant import Participant
from iec62746.plugins import transport
from iec62746.ven import VirtualEndNode
from iec62746.vtn import VirtualTopNode

VTN, VEN, NODE = "grid-operator", "field-device", "field"


Read = dict[Path, Message | str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One file: what it is, and what differs between what was sent and what arrived; empty if nothing."""

    file: str
    what: str
    milliseconds: float
    differs: str
    is_skipped: bool = False
    """True for what parties say by themselves: presence, nodes."""

    def __str__(self) -> str:
        """Return the row as it is printed."""
        end = "skipped: said by itself" if self.is_skipped else self.differs or "same"
        return f"  {self.milliseconds:7.2f} ms  {self.file[:62]:<62} {self.what[:40]:<40} {end}"


def read_folder(folder: Path) -> Read:
    """Return every *.xml of `folder` in order: its message, or why it cannot be read."""
    return {path: _read(path) for path in sorted(folder.glob("*.xml"))}


async def replay(
    read: Read,
    url: str,
    wire: Wire,
    watch: Callable[[Participant], None] = unwatched,
    tls: ssl.SSLContext | None = None,
) -> list[Row]:
    """Send every message that was `read` over `url`, one after another; returns a row for each."""
    skipped = {path for path, one in read.items() if isinstance(one, Message) and one.noun in OWN_NOUNS}
    messages = [
        one
        for path, one in read.items()
        if isinstance(one, Message) and path not in skipped and _NOUN.fullmatch(one.noun or "Unnamed")
    ]
    domain = _domain(messages)
    by = CapturingTransport(transport(url), wire.show)
    arrived: asyncio.Queue[Message] = asyncio.Queue()
    vtn = VirtualTopNode(domain, url, tls=tls, transport=by)
    ven = VirtualEndNode(domain, url, VEN, tls=tls, transport=by)
    watch(vtn)
    watch(ven)
    answers: list[Message | None] = []

    async def take(request: Message) -> Message | None:
        arrived.put_nowait(request)
        return answers[0] if answers else None

    for verb, noun in sorted(_requests(messages)):
        ven.on_request(verb, noun)(take)
    if domain.nodes[NODE].nouns:
        ven.on_event(node=NODE)(arrived.put)
    rows = []
    async with vtn, ven:
        for path, message in read.items():
            start, is_skipped = time.perf_counter(), path in skipped
            differs = message if isinstance(message, str) else ""
            if isinstance(message, Message) and not is_skipped:
                differs = await _send(vtn, message, arrived, answers)
            what = f"{message.kind.value} {message.verb} {message.noun}" if isinstance(message, Message) else ""
            elapsed = (time.perf_counter() - start) * 1000
            row = Row(file=path.name, what=what, milliseconds=round(elapsed, 3), differs=differs, is_skipped=is_skipped)
            rows.append(row)
    return rows


def _read(path: Path) -> Message | str:
    try:
        return decode(path.read_bytes(), reading="tolerant")
    except EnvelopeError as exc:
        return f"cannot be read: {exc}"


def _asked(message: Message) -> tuple[str, str]:
    """Return verb and noun of the request that brings `message`: its own, or the one that it answers."""
    return (message.verb, message.noun) if message.kind is Kind.REQUEST else ("get", message.noun or "Unnamed")


# What a domain file takes as a noun.
_NOUN = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,127}")


def _requests(messages: Iterable[Message]) -> set[tuple[str, str]]:
    return {_asked(one) for one in messages if one.kind is not Kind.EVENT and _asked(one)[0] in REQUEST_VERBS}


def _domain(messages: list[Message]) -> Domain:
    """Return a domain that allows just these messages."""
    nouns = sorted({one.noun for one in messages if one.kind is Kind.EVENT}) or ["Nothing"]
    by_verb: dict[str, list[str]] = {}
    for verb, noun in sorted(_requests(messages)):
        by_verb.setdefault(verb, []).append(noun)
    serve = "\n".join(f"serve.{verb} = {_list(some)}" for verb, some in by_verb.items())
    return Domain.parse(
        # They are sent as they are, whatever a profile would say of them.
        f'[domain]\nname = "field"\nvtn = "{VTN}"\nreading = "tolerant"\npayloads = "any"\n'
        f"[nodes.{NODE}]\nnouns = {_list(nouns)}\n"
        f'[roles.device]\nsubscribe = ["{NODE}"]\n{serve}\n[parties.{VEN}]\nroles = ["device"]\n',
        "the demo's own domain",
    )


def _list(names: list[str]) -> str:
    return "[" + ", ".join(f'"{name}"' for name in names) + "]"


async def _send(
    vtn: VirtualTopNode, message: Message, arrived: "asyncio.Queue[Message]", answers: list[Message | None]
) -> str:
    """Send `message` the way of its kind; returns what differs."""
    template = replace(message, message_id=None)
    try:
        encode(template)
        async with asyncio.timeout(10):
            if message.kind is Kind.EVENT:
                if message.verb not in EVENT_VERBS:
                    return f"cannot be sent: {message.verb} is no verb of an event"
                await vtn.publish_message(template, node=NODE)
                return _compare(message, await arrived.get())
            if message.kind is Kind.REQUEST:
                answers.clear()
                await vtn.request_message(template, to=VEN)
                return _compare(message, await arrived.get())
            answers[:] = [template]
            verb, noun = _asked(message)
            answer = await vtn.request_message(
                Message(kind=Kind.REQUEST, verb=verb, noun=noun, correlation_id=message.correlation_id), to=VEN
            )
            await arrived.get()
            return _compare(message, answer)
    except TimeoutError:
        return "did not arrive"
    except Iec62746Error as exc:
        return f"cannot be sent: {type(exc).__name__}: {exc}"


_OURS = ("message_id", "source", "findings", "is_current")


def _compare(sent: Message, received: Message) -> str:
    """Return the names of what differs, but for what is ours to set."""
    before, after = _comparable(sent), _comparable(received)
    given = {name for name, value in before.items() if value is not None}
    return ", ".join(
        name for name in before if name in given | {"payload", "request", "reply"} and before[name] != after[name]
    )


def _comparable(message: Message) -> dict[str, Any]:
    values = {name: getattr(message, name) for name in Message.__slots__ if name not in _OURS}
    values["properties"] = tuple(one for one in message.properties if one.name not in (DESTINATION, DEADLINE))
    values["extensions"] = _canonical(message.extensions)
    if message.payload is not None:
        found = _inflated(message.payload)
        values["payload"] = replace(found, items=_canonical(found.items))
    for part in ("request", "reply"):
        if values[part] is not None:
            values[part] = replace(values[part], extensions=_canonical(values[part].extensions))
    return values


def _inflated(payload: Payload) -> Payload:
    """Return what a handler gets: out of Compressed, where that can be read."""
    try:
        return inflate(payload)
    except InvalidMessage:
        return payload


def _canonical(items: tuple[bytes, ...]) -> tuple[bytes, ...]:
    return tuple(etree.tostring(etree.fromstring(item), method="c14n", exclusive=True) for item in items)
