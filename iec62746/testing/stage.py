"""What a rule of the conformance kit has at hand: parties, sessions, breakable links, messages and patience."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from itertools import count
from typing import Any

from iec62746.address import Address, Inbox
from iec62746.domain import Domain
from iec62746.errors import Iec62746Error
from iec62746.testing import _wire
from iec62746.testing._peers import Peer
from iec62746.testing.harness import Harness
from iec62746.testing.proxy import Link
from iec62746.testing.sessions import Broken, Member, RemoteSession, Times
from iec62746.transport import Capabilities, Outgoing, ReplyTo

GetPeer = Callable[[str, int], Awaitable[Peer]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """What all rules of one run share."""

    run: str
    harness: Harness
    capabilities: Capabilities
    domain: Domain
    other: Domain
    """Another domain, whose parties have the same names."""
    times: Times
    peer: GetPeer


class Stage:
    """One rule's parties; what it opens is closed after it, and other rules' messages are not seen in it."""

    def __init__(self, scene: Scene, number: int, stack: AsyncExitStack) -> None:
        """Prepare for the rule that is the `number`th to run."""
        self.scene, self.harness, self.capabilities = scene, scene.harness, scene.capabilities
        self.domain, self.other, self.times = scene.domain, scene.other, scene.times
        self.vtn = scene.domain.vtn
        self.vens = tuple(party for party in scene.domain.parties if party != self.vtn)
        """The first may subscribe to every node, the second to `dispatch.north` only, the last is never there."""
        self._stack, self._numbers = stack, count(1)
        self._run, self._tag = f"kit.{scene.run}.", f"kit.{scene.run}.{number}."

    # ---------------------------------------------------------------- messages

    def message(self, body: bytes = b"kit", *, within: float = 30.0, **options: Any) -> Outgoing:
        """Return a message of this rule that expires in so many seconds."""
        options.setdefault("correlation_id", f"{self._tag}{next(self._numbers)}")
        return Outgoing(body=body, expires=time.time() + within, **options)

    def messages(self, number: int, within: float = 30.0, **options: Any) -> list[Outgoing]:
        """Return so many messages of different bodies."""
        return [self.message(b"kit %d" % index, within=within, **options) for index in range(number)]

    def is_mine(self, correlation_id: str) -> bool:
        """Return whether a message belongs to this rule, as far as can be told."""
        return correlation_id.startswith(self._tag) or not correlation_id.startswith(self._run)

    # ---------------------------------------------------------------- sessions

    async def open(
        self,
        party: str,
        *addresses: Address,
        twin: int = 0,
        domain: Domain | None = None,
        link: Link | None = None,
        mode: str = "take",
        **changes: Any,
    ) -> RemoteSession:
        """Open a session of `party`, subscribed to `addresses`; `twin` is another process of the same party.

        `mode` says what becomes of deliveries: take, hold, raise, close, echo. `changes` are to its Config.
        """
        at = domain or self.domain
        peer = await self.scene.peer(party, twin)
        name = f"{self._tag}s{next(self._numbers)}"
        session = RemoteSession(peer, name, party, self.times, self.is_mine)
        session.domain, session.link = at, link
        config = self.config(party, at, link) | changes
        # A session's name: [A-Za-z0-9_-]{1,32}.
        config["session"] = f"k{name.removeprefix('kit.').replace('.', '-')}"
        await peer.call("open", session=name, config=config, mode=mode)
        for address in addresses:
            await session.subscribe(address)
        return session

    def config(self, party: str, domain: Domain, link: Link | None = None) -> dict[str, Any]:
        """Return how `party` connects, for JSON."""
        access = self.harness.access(domain, party, link.endpoint if link is not None else None)
        return {
            "urls": list(access.urls),
            "password": access.password,
            "files": [access.ca_file, access.certificate_file, access.key_file],
            "domain": domain.name,
            "party": party,
            "vtn": domain.vtn,
            "session": "",
            "account": domain.party(party).account,
            "will": None,
        }

    async def inbox(self, party: str, **options: Any) -> RemoteSession:
        """Open a session of `party` that reads its inbox."""
        return await self.open(party, Inbox(party), **options)

    async def pair(self, **options: Any) -> tuple[RemoteSession, RemoteSession]:
        """Return sessions of the VTN and the first VEN, each reading its inbox; `options` are for the VEN's."""
        return await self.inbox(self.vtn), await self.inbox(self.vens[0], **options)

    async def join(
        self, party: str, *, twin: int = 0, link: Link | None = None, limits: dict[str, float] | None = None
    ) -> Member:
        """Start a real participant, with these limits of the domain."""
        peer = await self.scene.peer(party, twin)
        member = Member(peer, f"{self._tag}m{next(self._numbers)}", self.times)
        member.link, member.domain, member.party = link, self.domain, party
        text = with_limits(self.scene.run, self.domain.name, limits or {})
        await peer.call(
            "join", session=member.name, text=text, party=party, config=self.config(party, self.domain, link)
        )
        return member

    async def peer(self, party: str, twin: int = 0) -> Peer:
        """Return the process of `party`."""
        return await self.scene.peer(party, twin)

    # ---------------------------------------------------------------- faults

    async def link(self) -> Link | None:
        """Return a link to open sessions through, if there is an endpoint."""
        target = self.harness.endpoint()
        return await self._stack.enter_async_context(Link(target)) if target is not None else None

    async def true_link(self) -> Link:
        """Return a link, where the rule has demanded one."""
        link = await self.link()
        assert link is not None, "the rule demands a link"
        return link

    async def cut(self, session: RemoteSession | Member) -> None:
        """Break the link of `session`."""
        if session.link is not None:
            session.link.cut()
        else:
            await self.harness.cut(session.domain, session.party)

    # ---------------------------------------------------------------- what ought to be

    async def send_all(
        self, session: RemoteSession, sends: Iterable[tuple[Address | ReplyTo, Outgoing]], *, in_turn: bool = False
    ) -> list[int | Iec62746Error]:
        """Send all of them; returns the receipt's level, or what was raised, for each."""
        return await session.send_all(list(sends), in_turn=in_turn)

    async def quiet(self) -> None:
        """Give time to what must not happen."""
        await asyncio.sleep(self.times.silence)


def check(is_so: object, otherwise: str) -> None:
    """Raise `Broken` unless it is so."""
    if not is_so:
        raise Broken(otherwise)


@asynccontextmanager
async def raises(*kinds: type[Exception], doing: str) -> AsyncIterator[list[Any]]:
    """Raise `Broken` unless one of `kinds` is raised inside; the list has it afterwards."""
    caught: list[Any] = []
    try:
        yield caught
    except kinds as exc:
        caught.append(exc)
        return
    except _wire.Unwritten:
        raise
    except (Iec62746Error, _wire.Foreign) as exc:
        raise Broken(f"{doing} raised {type(exc).__name__} ({exc}), not {_names(kinds)}") from exc
    raise Broken(f"{doing} raised nothing, not {_names(kinds)}")


def _names(kinds: Iterable[type[Exception]]) -> str:
    return " or ".join(kind.__name__ for kind in kinds)


TEXT = """
[domain]
name = "{name}"
vtn = "vtn-{run}"
[limits]
{limits}
[nodes."price.north"]
nouns = ["MarketPrices"]
[nodes."price.northern"]
nouns = ["MarketPrices"]
[nodes."price.north.west"]
nouns = ["MarketPrices"]
[nodes."dispatch.north"]
nouns = ["MarketPrices"]
[roles.household]
subscribe = ["price.#", "dispatch.north"]
publish = ["MeterReadings"]
request.get = ["MarketPrices"]
serve.create = ["EndDeviceControls"]
[roles.guest]
subscribe = ["dispatch.north"]
publish = ["MeterReadings"]
serve.create = ["EndDeviceControls"]
[parties.ven-1-{run}]
roles = ["household"]
[parties.ven-2-{run}]
roles = ["guest"]
[parties.ven-3-{run}]
roles = ["household"]
"""
"""The domain of the kit."""


def with_limits(run: str, name: str, limits: dict[str, float]) -> str:
    """Return the text of the kit's domain of this name, with these limits."""
    return TEXT.format(run=run, name=name, limits="\n".join(f"{key} = {value}" for key, value in limits.items()))
