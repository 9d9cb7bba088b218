"""The conformance kit: tries the rules of the transport contract on a transport, and reports.

report = await conform("memory://north")
assert report.profiles == ("core", "realtime")
"""

import asyncio
import logging
import random
import secrets
import time
from collections.abc import Callable, Iterable
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Self

from iec62746 import plugins
from iec62746.domain import Domain
from iec62746.errors import Iec62746Error
from iec62746.testing import _wire
from iec62746.testing._peers import LocalPeer, NoAnswer, Peer, ProcessPeer
from iec62746.testing.harness import BareHarness, Harness
from iec62746.testing.report import UNWRITTEN, Report, Status, Verdict
from iec62746.testing.rule import Rule
from iec62746.testing.rules import ALL
from iec62746.testing.sessions import Broken, Times
from iec62746.testing.stage import Scene, Stage, with_limits
from iec62746.transport import Capabilities, Transport

log = logging.getLogger(__name__)

Progress = Callable[[Verdict], None]


def harness_for(url: str, capabilities: Capabilities) -> Harness:
    """Return the installed harness for the scheme of `url`, or one that knows nothing but the URL."""
    found = plugins.harness(url)
    if found is None:
        bare = BareHarness(url)
        bare.reach = "process" if capabilities.reach == "process" else "network"
        return bare
    if not isinstance(found, Harness):
        raise TypeError(f"{type(found).__name__}, the harness for {plugins.scheme_of(url)}://, is no Harness")
    return found


class Kit:
    """One run: `async with Kit(url) as kit`, then `await kit.verdict(rule)` for each rule."""

    def __init__(
        self,
        url: str,
        *,
        harness: Harness | None = None,
        transport: Transport | None = None,
        times: Times | None = None,
    ) -> None:
        """Prepare to test `url`; a `transport` that is given must reach no further than this process."""
        self.url = url
        self.capabilities = (transport or plugins.transport(url)).capabilities(url)
        self.harness = harness or harness_for(url, self.capabilities)
        self._transport = transport
        self._times = times or Times(silence=0.05 if self._is_local else 0.4)
        self._peers: dict[tuple[str, int], Peer] = {}
        self._run = secrets.token_hex(3)
        self._number = 0
        self._scene: Scene | None = None
        if transport is not None and not self._is_local:
            raise ValueError("a transport object cannot be given to parties in other processes: install it")

    @property
    def domains(self) -> tuple[Domain, ...]:
        """Return the domains that are set up."""
        return (self._scene.domain, self._scene.other) if self._scene is not None else ()

    @property
    def _is_local(self) -> bool:
        return self.harness.reach == "process"

    async def __aenter__(self) -> Self:
        """Set up the domains of the kit."""
        domain, other = (Domain.parse(with_limits(self._run, f"kit-{self._run}-{which}", {})) for which in ("a", "b"))
        try:
            await self.harness.set_up(domain)
            await self.harness.set_up(other)
        except BaseException:
            await self.harness.tear_down()
            raise
        self._scene = Scene(
            run=self._run,
            harness=self.harness,
            capabilities=self.capabilities,
            domain=domain,
            other=other,
            times=self._times,
            peer=self._peer,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the parties and tear down."""
        peers, self._peers = list(self._peers.values()), {}
        await asyncio.gather(*(peer.aclose() for peer in peers))
        await self.harness.tear_down()

    async def _peer(self, party: str, twin: int) -> Peer:
        key = (party, twin)
        if key not in self._peers:
            self._peers[key] = LocalPeer(self._transport) if self._is_local else await ProcessPeer.start()
        return self._peers[key]

    async def verdict(self, rule: Rule) -> Verdict:
        """Try one rule."""
        if lack := rule.lacks(self.capabilities):
            return Verdict(rule=rule, status=Status.SKIPPED, reason=lack)
        if miss := rule.misses(self.harness):
            demanded = bool(set(rule.needs) - {"carries_nodes", "reach"}) and not self.harness.is_bare
            reason = f"{miss}, so {' and '.join(rule.needs)} cannot be proven" if demanded else miss
            return Verdict(rule=rule, status=Status.FAILED if demanded else Status.SKIPPED, reason=reason)
        began = time.monotonic()
        reason = await self._broken(rule)
        status = Status.FAILED if reason else Status.PASSED
        return Verdict(rule=rule, status=status, reason=reason, seconds=time.monotonic() - began)

    async def _broken(self, rule: Rule) -> str:
        """Return how `rule` is broken, or nothing."""
        assert self._scene is not None, "use `async with`"
        self._number += 1
        limit = asyncio.timeout(rule.seconds)
        try:
            async with limit, AsyncExitStack() as stack:
                stack.push_async_callback(self._forget)
                await rule.run(Stage(self._scene, self._number, stack))
        except TimeoutError as exc:
            return f"it did not end within {rule.seconds:g} s" if limit.expired() else f"TimeoutError: {exc}"
        except (Broken, NoAnswer) as exc:
            return str(exc)
        except Iec62746Error as exc:
            return f"unexpected {type(exc).__name__}: {exc}"
        except _wire.Unwritten as exc:
            return f"{UNWRITTEN}{exc}"
        except _wire.Foreign as exc:
            return f"{exc}, which is none of our errors"
        except Exception as exc:  # the harness is somebody else's code
            log.debug("%s", rule.id, exc_info=exc)
            return f"the harness, or the kit, raised {type(exc).__name__}: {exc}"
        return ""

    async def _forget(self) -> None:
        """Close what the rule opened; a party that cannot is ended."""
        await asyncio.gather(*(self._forget_at(key, peer) for key, peer in list(self._peers.items())))

    async def _forget_at(self, key: tuple[str, int], peer: Peer) -> None:
        peer.hear.clear()
        try:
            await peer.call("forget", within=15.0)
        except NoAnswer:
            del self._peers[key]
            await peer.kill()


async def conform(
    url: str,
    *,
    harness: Harness | None = None,
    transport: Transport | None = None,
    times: Times | None = None,
    rules: Iterable[Rule] = ALL,
    seed: int | None = None,
    progress: Progress = lambda verdict: None,
) -> Report:
    """Try `rules` on the transport of `url`, in the order that `seed` makes, and report.

    `progress` is told of each verdict. Raises `UnknownTransport`, and what the harness raises.
    """
    order = list(rules)
    if seed is not None:
        random.Random(seed).shuffle(order)
    kit = Kit(url, harness=harness, transport=transport, times=times)
    verdicts = []
    async with kit:
        versions = dict(kit.harness.versions())
        for rule in order:
            verdict = await kit.verdict(rule)
            verdicts.append(verdict)
            progress(verdict)
    return Report(
        transport=plugins.without_password(url),
        versions=versions,
        reach=kit.harness.reach,
        is_bare=kit.harness.is_bare,
        capabilities=kit.capabilities,
        verdicts=tuple(verdicts),
        is_whole={rule.id for rule in order} >= {rule.id for rule in ALL},
    )
