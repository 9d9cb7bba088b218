"""Real VTNs and VENs in a party of the conformance kit: what applications see of a transport."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

from iec62746.domain import Domain
from iec62746.errors import Iec62746Error
from iec62746.message import Message
from iec62746.outputs import Notice
from iec62746.testing import _wire
from iec62746.transport import Transport
from iec62746.ven import VirtualEndNode
from iec62746.vtn import VirtualTopNode

NOUN = "EndDeviceControls"
NODE_NOUN = "MarketPrices"
PAYLOAD = '<m:Kit xmlns:m="urn:iec62746:kit">{}</m:Kit>'


class Members:
    """The participants of one worker, by name."""

    def __init__(self, tell: Callable[[dict[str, Any]], None], transport: Transport | None) -> None:
        """Use `transport` instead of the installed one, if it is given."""
        self._tell, self._transport = tell, transport
        self._members: dict[str, VirtualTopNode | VirtualEndNode] = {}

    async def join(self, session: str, text: str, party: str, config: dict[str, Any], tls: Any) -> None:
        """Start `party` of the domain in `text`; what happens to it is told as of `session`."""
        domain = Domain.parse(text)
        options: dict[str, Any] = {"password": config["password"], "tls": tls, "transport": self._transport}
        member: VirtualTopNode | VirtualEndNode
        if party == domain.vtn:
            member = VirtualTopNode(domain, config["urls"], **options)
        else:
            member = VirtualEndNode(domain, config["urls"], party, **options)
        self._listen(session, member, NOUN if party != domain.vtn else NODE_NOUN)
        self._members[session] = member
        await member.__aenter__()

    def _listen(self, session: str, member: VirtualTopNode | VirtualEndNode, noun: str) -> None:
        def tell(event: str, **what: Any) -> None:
            self._tell({"event": event, "session": session, "at": time.time(), **what})

        @member.on_request("get" if noun == NODE_NOUN else "create", noun)
        async def handle(request: Message) -> None:
            tell("handled", text=_text(request))

        @member.on_event()
        async def take(event: Message) -> None:
            tell("handled", text=_text(event))

        @member.on_notice
        async def notice(notice: Notice) -> None:
            tell("notice", what=notice.what.value)

        @member.on_connected
        async def connected() -> None:
            tell("connected")

        @member.on_lost
        async def lost(cause: Iec62746Error) -> None:
            tell("lost", cause=_wire.error(cause))

    async def ask(self, session: str, to: str, text: str, patience: float | None) -> str:
        """Send a request that carries `text`; returns the result of its reply."""
        member = self._members[session]
        given = PAYLOAD.format(text)
        if isinstance(member, VirtualTopNode):
            return str((await member.request("create", NOUN, given, to=to, timeout=patience)).result)
        return str((await member.request("get", NODE_NOUN, ids=(text,), timeout=patience)).result)

    async def publish(self, session: str, node: str | None, text: str) -> None:
        """Publish an event that carries `text`."""
        member = self._members[session]
        if isinstance(member, VirtualTopNode):
            await member.publish(NODE_NOUN, PAYLOAD.format(text), node=node or "")
        else:
            await member.publish("MeterReadings", PAYLOAD.format(text))

    async def leave_all(self) -> None:
        """Close all of them."""
        members, self._members = list(self._members.values()), {}
        await asyncio.gather(*(member.aclose() for member in members))


def _text(message: Message) -> str:
    """Return the text that the message carries."""
    if message.request is not None and message.request.ids:
        return message.request.ids[0].value
    if message.payload is None or not message.payload.items:
        return ""
    return message.payload.xml.decode().partition(">")[2].partition("</")[0]
