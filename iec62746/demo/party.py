"""One party of the demo as a program of its own: the grid operator, or one of its neighbours, until it is stopped."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final

from iec62746._interrupts import interruptible
from iec62746.demo import payloads
from iec62746.demo.north import KILOWATT, Story, grid_operator, neighbour, north, unwatched
from iec62746.errors import RemoteError, Superseded, TransportError
from iec62746.participant import Participant
from iec62746.plugins import transport
from iec62746.roster import State
from iec62746.ven import VirtualEndNode
from iec62746.vtn import VirtualTopNode

EACH: Final = 5.0
"""Seconds between two turns: the grid operator publishes a price and asks who is there, a neighbour reports."""

Say = Callable[[str], None]
_Turn = Callable[[], Awaitable[None]]


async def take_part(
    url: str,
    name: str,
    say: Say,
    watch: Callable[[Participant], None] = unwatched,
    tls: ssl.SSLContext | None = None,
) -> None:
    """Be the party `name` of the demo until SIGINT or SIGTERM, and `say` what happens, a line each.

    Raises `InvalidAddress` for who is none, and what `Participant` raises that no second try mends.
    """
    domain, story, by = north(), Story(), transport(url)
    domain.party(name)
    party: Participant
    if name == domain.vtn:
        vtn = grid_operator(domain, url, by, story, tls)
        party, turn = vtn, lambda: _operate(vtn, say)
    else:
        ven = neighbour(domain, url, by, story, name, tls)
        party, turn = ven, lambda: _live(ven, name, say)
    watch(party)
    with interruptible():
        async with party:
            say(f"{name} is online")
            while True:
                await _try(turn, say)
                await asyncio.sleep(EACH)
    say(f"{name} is offline")


async def _try(turn: _Turn, say: Say) -> None:
    """Take a turn; what fails on the way is told, and tried again at the next."""
    try:
        await turn()
    except Superseded:
        raise
    except (RemoteError, TransportError) as exc:
        say(f"  {type(exc).__name__}: {exc}")


async def _operate(vtn: VirtualTopNode, say: Say) -> None:
    await vtn.publish("MarketPrices", payloads.price(91.37), node="price.north")
    say("published MarketPrices on price.north")
    for party, presence in list(vtn.presence.items()):
        if party != vtn.party and presence.state is State.ONLINE:
            await _try(partial(_ask, vtn, party, say), say)


async def _ask(vtn: VirtualTopNode, party: str, say: Say) -> None:
    reply = await vtn.request("get", "MeterReadings", to=party, timeout=EACH)
    say(f"{party} answered get MeterReadings: {reply.result}")


async def _live(ven: VirtualEndNode, name: str, say: Say) -> None:
    await ven.publish("MeterReadings", payloads.reading(name, KILOWATT[name]))
    say("reported MeterReadings")
