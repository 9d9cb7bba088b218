"""The kit is worth what it notices: each broken transport fails the rule that was made for it."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from iec62746 import (
    Address,
    Capabilities,
    Config,
    Deliver,
    Delivery,
    Inbox,
    Node,
    NoReceiver,
    Observer,
    Outgoing,
    Presence,
    Receipt,
    ReceiptLevel,
    ReplyTo,
    Subscription,
    TransportError,
)
from iec62746.testing.report import Report, Status, Verdict
from iec62746.testing.sessions import Times
from iec62746_memory import MemorySession, MemoryTransport

Judge = Callable[..., Verdict]

QUICK = Times(signal=2.0, silence=0.1)
"""What is broken here takes no time to show."""
SENT = Receipt(ReceiptLevel.ROUTED)


class Mutant(MemoryTransport):
    """The memory transport, with sessions and observers that may be worse."""

    def __init__(self, session: "type[Honest]") -> None:
        self.session = session
        self.sessions: list[Honest] = []
        self.kept: dict[Any, Any] = {}
        """What a broken communication server remembers."""

    def capabilities(self, url: str) -> Capabilities:
        return replace(super().capabilities(url), **self.session.claims)

    async def open(self, config: Config, observer: Observer) -> Any:
        made = self.session(self, config, observer)
        made.inner = await super().open(made.changed(config), made)
        self.sessions.append(made)
        return made


class Honest:
    """A session and its observer that hand on everything as it is."""

    claims: dict[str, Any] = {}  # never changed
    inner: MemorySession

    def __init__(self, at: Mutant, config: Config, observer: Observer) -> None:
        self.at, self.config, self.observer = at, config, observer

    def changed(self, config: Config) -> Config:
        return config

    async def send(self, to: Address | ReplyTo, message: Outgoing) -> Receipt:
        return await self.inner.send(to, message)

    async def subscribe(self, address: Address, deliver: Deliver) -> Subscription:
        return await self.inner.subscribe(address, deliver)

    async def aclose(self) -> None:
        await self.inner.aclose()

    def lost(self, cause: TransportError) -> None:
        self.observer.lost(cause)

    def gone(self, party: str) -> None:
        self.observer.gone(party)

    def bounced(self, correlation_id: str, cause: TransportError) -> None:
        self.observer.bounced(correlation_id, cause)

    def blocked(self, is_blocked: bool) -> None:
        self.observer.blocked(is_blocked)


class Distorting(Honest):
    """Hands each delivery to `distort`, with what delivers it."""

    async def subscribe(self, address: Address, deliver: Deliver) -> Subscription:
        state: dict[str, Any] = {}

        async def distorted(delivery: Delivery) -> None:
            await self.distort(delivery, deliver, state)

        return await self.inner.subscribe(address, distorted)

    async def distort(self, delivery: Delivery, deliver: Deliver, state: dict[str, Any]) -> None:
        await deliver(delivery)


class LosesTheFirst(Distorting):
    async def distort(self, delivery: Delivery, deliver: Deliver, state: dict[str, Any]) -> None:
        if state.setdefault("is first", True):
            state["is first"] = False
            return
        await deliver(delivery)


class DeliversSomeTwice(Distorting):
    async def distort(self, delivery: Delivery, deliver: Deliver, state: dict[str, Any]) -> None:
        state["number"] = state.get("number", 0) + 1
        await deliver(delivery)
        if state["number"] % 100 == 0:
            await deliver(delivery)


class SwapsNeighbours(Distorting):
    async def distort(self, delivery: Delivery, deliver: Deliver, state: dict[str, Any]) -> None:
        held = state.pop("held", None)
        if held is None:
            state["held"] = delivery
            return
        await deliver(delivery)
        await deliver(held)


class StripsZeros(Distorting):
    async def distort(self, delivery: Delivery, deliver: Deliver, state: dict[str, Any]) -> None:
        await deliver(replace(delivery, body=delivery.body.rstrip(b"\x00")))


class NamesOneSender(Distorting):
    async def distort(self, delivery: Delivery, deliver: Deliver, state: dict[str, Any]) -> None:
        vens = [one.config.party for one in self.at.sessions if one.config.party != one.config.vtn]
        sender = vens[0] if vens and self.config.party == self.config.vtn else delivery.sender
        await deliver(replace(delivery, sender=sender))


class LowersCorrelations(Distorting):
    async def distort(self, delivery: Delivery, deliver: Deliver, state: dict[str, Any]) -> None:
        await deliver(replace(delivery, correlation_id=delivery.correlation_id.encode("ascii", "replace").decode()))


class NamesNoAddress(Distorting):
    async def distort(self, delivery: Delivery, deliver: Deliver, state: dict[str, Any]) -> None:
        await deliver(replace(delivery, address=Inbox(self.config.party)))


class SwallowsErrors(Distorting):
    async def distort(self, delivery: Delivery, deliver: Deliver, state: dict[str, Any]) -> None:
        try:
            await deliver(delivery)
        except RuntimeError:
            pass


class MixesUpOutcomes(Honest):
    """As a client library does that knows a message by an identifier which is not unique."""

    async def send(self, to: Address | ReplyTo, message: Outgoing) -> Receipt:
        if message.correlation_id in self.at.kept:
            await self._quietly(to, message)
            outcome = self.at.kept[message.correlation_id]
            if isinstance(outcome, TransportError):
                raise outcome
            return SENT
        try:
            self.at.kept[message.correlation_id] = await self.inner.send(to, message)
        except TransportError as exc:
            self.at.kept[message.correlation_id] = exc
            raise
        return SENT

    async def _quietly(self, to: Address | ReplyTo, message: Outgoing) -> None:
        try:
            await self.inner.send(to, message)
        except TransportError:
            pass


class SwallowsRefusals(Honest):
    async def send(self, to: Address | ReplyTo, message: Outgoing) -> Receipt:
        try:
            return await self.inner.send(to, message)
        except NoReceiver:
            return SENT


class RaisesForeignErrors(Honest):
    async def send(self, to: Address | ReplyTo, message: Outgoing) -> Receipt:
        try:
            return await self.inner.send(to, message)
        except NoReceiver as exc:
            raise KeyError(str(exc)) from exc


class LiesAboutRefusals(Honest):
    async def send(self, to: Address | ReplyTo, message: Outgoing) -> Receipt:
        receipt = await self.inner.send(to, message)
        if message.body.endswith(b"7"):
            raise NoReceiver("so it says")
        return receipt


class IgnoresExpiry(Honest):
    async def send(self, to: Address | ReplyTo, message: Outgoing) -> Receipt:
        return await self.inner.send(to, replace(message, expires=message.expires + 60))


class WaitsForEver(Honest):
    async def send(self, to: Address | ReplyTo, message: Outgoing) -> Receipt:
        if isinstance(to, Inbox):
            return await self.inner.send(to, replace(message, expires=message.expires + 3600))
        return await self.inner.send(to, message)


class HoldsUpAll(WaitsForEver):
    """One message at a time, however long it waits."""

    async def send(self, to: Address | ReplyTo, message: Outgoing) -> Receipt:
        async with self.at.kept.setdefault(self.config.session, asyncio.Lock()):
            return await super().send(to, message)


class ComesLater(Honest):
    """Gives up in time, but the message stays queued."""

    async def send(self, to: Address | ReplyTo, message: Outgoing) -> Receipt:
        later = replace(message, expires=message.expires + 3600)
        sending = asyncio.ensure_future(self.inner.send(to, later))
        done, _ = await asyncio.wait([sending], timeout=message.expires - time.time())
        if not done:
            raise TransportError("given up")
        return sending.result()


class RepliesToTheParty(Honest):
    async def send(self, to: Address | ReplyTo, message: Outgoing) -> Receipt:
        if isinstance(to, ReplyTo) and isinstance(to.token, MemorySession):
            return await self.inner.send(Inbox(to.token.party), message)
        return await self.inner.send(to, message)


class BelievesReplyAddresses(Honest):
    async def send(self, to: Address | ReplyTo, message: Outgoing) -> Receipt:
        if isinstance(to, ReplyTo) and isinstance(to.token, str) and to.token:
            return await self.inner.send(Inbox(to.token.rpartition(".")[2]), message)
        return await self.inner.send(to, message)


class AlwaysWantsReplies(Honest):
    async def send(self, to: Address | ReplyTo, message: Outgoing) -> Receipt:
        return await self.inner.send(to, replace(message, expects_reply=True))


class SilencesPresence(Honest):
    async def send(self, to: Address | ReplyTo, message: Outgoing) -> Receipt:
        return SENT if isinstance(to, Presence) else await self.inner.send(to, message)


class RetainsEvents(Honest):
    async def send(self, to: Address | ReplyTo, message: Outgoing) -> Receipt:
        if isinstance(to, Node):
            self.at.kept[to] = message
        return await self.inner.send(to, message)

    async def subscribe(self, address: Address, deliver: Deliver) -> Subscription:
        subscription = await self.inner.subscribe(address, deliver)
        if address in self.at.kept:
            await self.inner.send(address, self.at.kept[address])
        return subscription


class StoresForTheAbsent(Honest):
    async def send(self, to: Address | ReplyTo, message: Outgoing) -> Receipt:
        try:
            return await self.inner.send(to, message)
        except NoReceiver:
            self.at.kept.setdefault(to, []).append(message)
            return SENT

    async def subscribe(self, address: Address, deliver: Deliver) -> Subscription:
        subscription = await self.inner.subscribe(address, deliver)
        for message in self.at.kept.pop(address, []):
            await self.inner.send(address, message)
        return subscription


class MatchesTooWidely(Honest):
    async def subscribe(self, address: Address, deliver: Deliver) -> Subscription:
        if isinstance(address, Node):
            await self.inner.subscribe(Node(f"{address.name}.west"), deliver)
        return await self.inner.subscribe(address, deliver)


class ReadsOthersInboxes(Honest):
    async def send(self, to: Address | ReplyTo, message: Outgoing) -> Receipt:
        receipt = await self.inner.send(to, message)
        if isinstance(to, Inbox):
            for other in self.at.sessions:
                if other.config.party not in (to.party, self.config.party, self.config.vtn):
                    await self.inner.send(Inbox(other.config.party), message)
        return receipt


class NeverCancels(Honest):
    async def subscribe(self, address: Address, deliver: Deliver) -> Subscription:
        await self.inner.subscribe(address, deliver)
        return self

    async def cancel(self) -> None:
        """Do nothing."""


class CancelsAll(Honest):
    async def subscribe(self, address: Address, deliver: Deliver) -> Subscription:
        self.at.kept.setdefault(self, []).append(await self.inner.subscribe(address, deliver))
        return self

    async def cancel(self) -> None:
        for one in self.at.kept[self]:
            await one.cancel()


class LostTwice(Honest):
    def lost(self, cause: TransportError) -> None:
        self.observer.lost(cause)
        self.observer.lost(cause)


class LostNever(Honest):
    def lost(self, cause: TransportError) -> None:
        """Say nothing."""


class LivesOn(Honest):
    """Takes messages after it was lost, as a client library does that connects again by itself."""

    async def send(self, to: Address | ReplyTo, message: Outgoing) -> Receipt:
        if self.inner._cause is not None:
            return SENT
        return await self.inner.send(to, message)


class LostByClosing(Honest):
    async def aclose(self) -> None:
        await self.inner.aclose()
        self.observer.lost(TransportError("closed"))


class ClosesOnce(Honest):
    async def aclose(self) -> None:
        if self.inner._is_closed:
            raise RuntimeError("it is closed already")
        await self.inner.aclose()


class WillsByClosing(Honest):
    async def aclose(self) -> None:
        if self.config.will is not None and not self.inner._is_closed:
            await self.inner.send(Presence(self.config.party), self.config.will)
        await self.inner.aclose()


class WorksAfterClosing(Honest):
    async def aclose(self) -> None:
        """Do nothing, but in the end."""
        if self.at.kept.setdefault(self, 0) < 1:
            self.at.kept[self] += 1
            return
        await self.inner.aclose()


class LeavesTasks(Honest):
    async def aclose(self) -> None:
        await self.inner.aclose()
        # It ends with the loop of the run.
        self.at.kept[self] = asyncio.ensure_future(asyncio.Event().wait())


class SharesDomains(Honest):
    def changed(self, config: Config) -> Config:
        return replace(config, domain="everybody")


class SharesSessions(Honest):
    async def aclose(self) -> None:
        for other in self.at.sessions:
            if other.config.party == self.config.party:
                await other.inner.aclose()


class GoneTooEarly(Honest):
    async def aclose(self) -> None:
        await self.inner.aclose()
        for other in self.at.sessions:
            if other.config.party != self.config.party:
                other.observer.gone(self.config.party)


class GoneNever(Honest):
    def gone(self, party: str) -> None:
        """Say nothing."""


class BlockedNever(Honest):
    def blocked(self, is_blocked: bool) -> None:
        """Say nothing."""


class PromisesMore(Honest):
    claims = {"receipt": ReceiptLevel.PEER}  # never changed


class PromisesNonsense(Honest):
    claims = {"reach": "the moon"}  # never changed


class PromisesTooLittleRoom(Honest):
    claims = {"max_message": 65_536}  # never changed


# Which rule it must fail, and what the kit says then: no mutant is caught by luck.
MUTANTS: tuple[tuple[type[Honest], str, str], ...] = (
    (PromisesNonsense, "required_01", "reach is"),
    (LeavesTasks, "required_09", "after 20 rounds"),
    (ClosesOnce, "required_06", "RuntimeError"),
    (WorksAfterClosing, "required_07", "not Closed"),
    (LostByClosing, "required_08", "lost was called after aclose"),
    (WillsByClosing, "required_08", "the will was published"),
    (SharesSessions, "required_11", "NoReceiver"),
    (StripsZeros, "required_14", "lengths sent"),
    (PromisesTooLittleRoom, "optional_max_message_16", "not TooLarge"),
    (LowersCorrelations, "required_17", "???"),
    (LosesTheFirst, "required_18", "2 deliveries: not seen"),
    (DeliversSomeTwice, "required_19", "10 arrived more than once"),
    (SwapsNeighbours, "optional_keeps_order_20", "in another order"),
    (NeverCancels, "required_21", "delivered after cancel"),
    (CancelsAll, "required_22", "NoReceiver"),
    (SwallowsErrors, "required_24", "lost: not seen"),
    (PromisesMore, "required_25", "the receipt says ROUTED"),
    (NamesOneSender, "required_26", "100 of 200 name another sender"),
    (ReadsOthersInboxes, "required_28", "for the second"),
    (MatchesTooWidely, "required_29", "price.north.west"),
    (RetainsEvents, "required_30", "too early"),
    (SharesDomains, "required_32", "here came"),
    (NamesNoAddress, "required_33", "price.north"),
    (RepliesToTheParty, "required_37", "the other session"),
    (AlwaysWantsReplies, "required_38", "it has one"),
    (BelievesReplyAddresses, "required_39", "it was sent"),
    (SwallowsRefusals, "optional_unroutable_43", "raised nothing"),
    (RaisesForeignErrors, "optional_unroutable_43", "KeyError"),
    (MixesUpOutcomes, "optional_unroutable_44", "to the absent were not NoReceiver"),
    (LiesAboutRefusals, "required_46", "though they were refused"),
    (IgnoresExpiry, "required_47", "not Expired"),
    (StoresForTheAbsent, "optional_stores_for_vens_49", "while absent"),
    (StoresForTheAbsent, "optional_stores_for_vtn_50", "while absent"),
    (LostTwice, "required_53", "lost was called 2 times"),
    (LostNever, "required_53", "lost: not seen"),
    (LivesOn, "required_54", "not SessionLost"),
    (WaitsForEver, "optional_full_63", "send did not return"),
    (HoldsUpAll, "optional_full_64", "did not return"),
    (BlockedNever, "optional_tells_blocked_65", "blocked: not seen"),
    (ComesLater, "optional_tells_blocked_66", "it was delivered though it had expired"),
    (SilencesPresence, "required_67", "2 deliveries: not seen"),
    (GoneNever, "optional_tells_gone_69", "gone of ven-1"),
    (GoneTooEarly, "optional_tells_gone_71", "while there is another session"),
    (SilencesPresence, "required_79", "lost: not seen"),
    (NamesOneSender, "required_80", "noticed both forged replies: not seen"),
)


@pytest.mark.parametrize(("mutant", "rule", "reason"), MUTANTS, ids=[f"{one.__name__}-{r}" for one, r, _ in MUTANTS])
def test_a_broken_transport_fails_the_rule_made_for_it(
    mutant: type[Honest], rule: str, reason: str, judge: Judge, true_report: Report
) -> None:
    verdict = judge(rule, Mutant(mutant), QUICK)

    assert verdict.status is Status.FAILED, verdict
    assert reason in verdict.reason
    (truth,) = (one for one in true_report.verdicts if one.rule.id == verdict.rule.id)
    assert truth.status is Status.PASSED, truth


def test_wrapping_alone_breaks_nothing(judge: Judge) -> None:
    verdicts = {rule: judge(rule, Mutant(Honest)).status for _, rule, _ in MUTANTS}

    assert set(verdicts.values()) == {Status.PASSED}, verdicts
