"""The connection stays open (62746-3, 5.1): what is lost is opened again, what cannot heal is told."""

import asyncio
import gc
import time
import weakref
from collections.abc import Callable
from typing import Any

import pytest

from iec62746 import (
    AuthenticationFailed,
    Delivery,
    Domain,
    Iec62746Error,
    Inbox,
    InvalidAddress,
    InvalidMessage,
    Kind,
    Message,
    Node,
    NoReceiver,
    NoReply,
    Outgoing,
    Overloaded,
    Payload,
    PermissionDenied,
    Presence,
    Proof,
    Receipt,
    ReceiptLevel,
    ReplyPart,
    ReplyTo,
    Result,
    SessionLost,
    State,
    Superseded,
    Unreachable,
    VirtualEndNode,
    VirtualTopNode,
    What,
    decode,
    encode,
)
from iec62746 import connection as module

MakeDomain = Callable[..., Domain]
Soon = Callable[[Callable[[], bool]], Any]


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Do not wait as long as in the field."""
    monkeypatch.setattr(module, "RETRY_FIRST", 0.001)
    monkeypatch.setattr(module, "RETRY_MOST", 0.002)
    monkeypatch.setattr(module, "REANNOUNCE", 0.001)
    monkeypatch.setattr(module, "GOODBYE", 0.05)


def ven_on(script: Any, domain: Domain) -> VirtualEndNode:
    ven = VirtualEndNode(domain, "scripted://x", "ven-1", transport=script)
    ven.on_event(node="price.north")(lambda event: None)
    return ven


def presence(party: str, state: str, session: str, epoch: int) -> bytes:
    item = (
        f'<Presence xmlns="urn:iec62746:presence:1"><state>{state}</state><session>{session}</session>'
        f"<epoch>{epoch}</epoch><interval>30</interval></Presence>"
    )
    message = Message(
        kind=Kind.EVENT, verb="changed", noun="Presence", source=party, payload=Payload(items=(item.encode(),))
    )
    return encode(message)


async def told(
    session: Any, party: str, state: str = "online", name: str = "other", epoch: int = 9_999_999_999_999
) -> None:
    """Deliver an announcement of `party` to `session`."""
    address = Presence(party)
    body = presence(party, state, name, epoch)
    await session.delivers[address](Delivery(body=body, address=address, sender=party, proof=Proof.CLAIMED))


def states(session: Any) -> list[str]:
    """Return what was announced."""
    sent = [message for to, message in session.sent if isinstance(to, Presence)]
    return [str(decode(one.body).payload.xml) for one in sent]  # type: ignore[union-attr]  # each has one


def asked(session: Any) -> int:
    """Return how often a current value was asked for."""
    return sum(isinstance(to, Inbox) and message.expects_reply for to, message in session.sent)


@pytest.mark.requirement("R-5.1b")
async def test_a_lost_session_is_opened_again_subscribed_announced_and_current(
    domain: MakeDomain, script: Any, soon: Soon
) -> None:
    by = script()
    ven, lost, connected = ven_on(by, domain()), asyncio.Queue[Iec62746Error](), asyncio.Queue[int]()
    ven.on_lost(lost.put)
    ven.on_connected(lambda: connected.put_nowait(by.tries))

    async with ven:
        await connected.get()
        by.sessions[0].observer.lost(SessionLost("cut"))
        assert "cut" == str(await lost.get())
        assert 2 == await connected.get()
        await soon(lambda: asked(by.sessions[1]) == 1)
        assert ven.is_connected

    first, second = by.sessions
    assert first.config.session != second.config.session
    assert {Inbox("ven-1"), Presence("ven-1"), Presence("operator"), Node("price.north")} == set(second.delivers)
    assert "<state>online</state>" in states(second)[0]
    assert "<state>offline</state>" in states(second)[-1]
    assert first.is_closed
    assert second.is_closed


@pytest.mark.requirement("R-5.1b")
async def test_it_keeps_trying_while_the_server_cannot_be_reached(domain: MakeDomain, script: Any) -> None:
    by = script([Unreachable("down"), Unreachable("down"), Overloaded("full"), "session"])

    async with ven_on(by, domain()):
        assert 4 == by.tries


async def test_a_session_that_breaks_at_once_does_not_spin(
    domain: MakeDomain, script: Any, monkeypatch: pytest.MonkeyPatch, soon: Soon
) -> None:
    monkeypatch.setattr(module, "RETRY_MOST", 60.0)
    by, pauses, sleep = script(), list[float](), asyncio.sleep

    async def noted(seconds: float) -> None:
        if seconds:
            pauses.append(seconds)
        await sleep(0)

    monkeypatch.setattr(asyncio, "sleep", noted)
    async with ven_on(by, domain()) as ven:
        for count in range(1, 12):
            await soon(lambda: len(by.sessions) == count and ven.is_connected)  # noqa: B023  # it is awaited here
            by.sessions[-1].observer.lost(SessionLost("cut"))
            await soon(lambda: not ven.is_connected)
        await soon(lambda: ven.is_connected)

    assert 11 == len(pauses)
    assert len(set(pauses)) > 8
    assert max(pauses) > 0.01


@pytest.mark.requirement("R-5.1c")
@pytest.mark.parametrize("step", ["hang", "hang in subscribe"])
async def test_set_up_has_a_limit_that_the_error_names(step: str, domain: MakeDomain, script: Any) -> None:
    by = script([step])
    with pytest.raises(Unreachable, match=r"0\.05 s \(limit set_up\)"):
        async with ven_on(by, domain(set_up=0.05)):
            pass

    assert all(session.is_closed for session in by.sessions)


@pytest.mark.requirement("R-5.1c")
async def test_the_error_of_set_up_says_what_the_trouble_was_and_no_password(domain: MakeDomain, script: Any) -> None:
    ven = VirtualEndNode(
        domain(set_up=0.05), "scripted://me:secret@host", "ven-1", transport=script([Unreachable("connection refused")])
    )
    with pytest.raises(Unreachable, match="connection refused") as caught:
        async with ven:
            pass

    assert "secret" not in str(caught.value)
    assert "secret" not in repr(ven._config)


@pytest.mark.parametrize("cause", [AuthenticationFailed("wrong"), PermissionDenied("not you"), InvalidAddress("what?")])
async def test_what_cannot_heal_is_raised_at_once_and_tried_once(
    cause: Iec62746Error, domain: MakeDomain, script: Any
) -> None:
    by = script([cause])
    with pytest.raises(type(cause), match=str(cause).rstrip("?")):
        async with ven_on(by, domain()):
            pass

    assert 1 == by.tries


async def test_what_cannot_heal_later_is_told_to_the_application_and_to_every_call(
    domain: MakeDomain, script: Any
) -> None:
    by, lost = script(["session", AuthenticationFailed("revoked")]), asyncio.Queue[Iec62746Error]()
    ven = ven_on(by, domain())
    ven.on_lost(lost.put)

    async with ven:
        by.sessions[0].observer.lost(SessionLost("cut"))
        with pytest.raises(AuthenticationFailed, match="revoked"):
            await ven.closed()
        for _ in range(2):
            with pytest.raises(AuthenticationFailed, match="revoked"):
                await ven.request("get", "MarketPrices")
            with pytest.raises(AuthenticationFailed, match="revoked"):
                await ven.publish("MeterReadings")
        assert ["cut", "revoked"] == [str(await lost.get()), str(await lost.get())]
        assert not ven.is_connected


async def test_a_newer_session_of_the_same_party_ends_this_one_for_good(domain: MakeDomain, script: Any) -> None:
    by = script()
    async with ven_on(by, domain()) as ven:
        await told(by.sessions[0], "ven-1", name="newer")
        with pytest.raises(Superseded, match="newer"):
            await ven.closed()
        with pytest.raises(Superseded):
            await ven.request("get", "MarketPrices")

    assert 1 == by.tries
    assert by.sessions[0].is_closed


async def test_an_older_session_of_the_same_party_does_not(domain: MakeDomain, script: Any) -> None:
    by = script()
    async with ven_on(by, domain()) as ven:
        await told(by.sessions[0], "ven-1", name="older", epoch=1)
        assert ven.is_connected


async def test_what_a_dead_session_still_says_is_not_heard(domain: MakeDomain, script: Any, soon: Soon) -> None:
    by = script()
    async with ven_on(by, domain()) as ven:
        dead = by.sessions[0]
        dead.observer.lost(SessionLost("cut"))
        await soon(lambda: len(by.sessions) == 2 and ven.is_connected)
        dead.observer.lost(SessionLost("again"))
        dead.observer.blocked(True)
        for party, name in (("ven-1", "newer"), ("operator", "other")):
            with pytest.raises(SessionLost, match="is over"):  # so that it is not acked
                await told(dead, party, name=name)
        assert ven.is_connected
        assert "operator" not in ven.presence


async def test_a_lost_session_ends_every_request_with_an_error_of_its_own(
    domain: MakeDomain, script: Any, soon: Soon
) -> None:
    by = script()
    async with ven_on(by, domain()) as ven:
        asking = [asyncio.create_task(ven.request("get", "MarketPrices")) for _ in range(3)]
        await soon(lambda: asked(by.sessions[0]) == 4)
        by.sessions[0].observer.lost(SessionLost("cut"))
        errors = await asyncio.gather(*asking, return_exceptions=True)

    assert ["cut"] * 3 == [str(one) for one in errors]
    assert 3 == len({id(one) for one in errors})


async def test_between_two_sessions_a_call_says_that_there_is_none(domain: MakeDomain, script: Any, soon: Soon) -> None:
    by = script(["session", "hang"])
    async with ven_on(by, domain()) as ven:
        by.sessions[0].observer.lost(SessionLost("cut"))
        await soon(lambda: by.tries == 2)
        with pytest.raises(Unreachable, match="opened again.*cut"):
            await ven.request("get", "MarketPrices")


@pytest.mark.requirement("R-5.5.5")
async def test_it_announces_itself_at_each_interval(domain: MakeDomain, script: Any, soon: Soon) -> None:
    by = script()
    async with ven_on(by, domain(presence=0.01)):
        await soon(lambda: len(states(by.sessions[0])) >= 4)


@pytest.mark.requirement("R-5.5.5")
async def test_it_announces_itself_once_to_all_who_come_in_the_same_moment(
    domain: MakeDomain, script: Any, soon: Soon
) -> None:
    by = script()
    vtn = VirtualTopNode(domain(), "scripted://x", transport=by)
    async with vtn:
        session = by.sessions[0]
        for party in ("ven-1", "ven-2"):
            body = presence(party, "online", "s", 1)
            delivery = Delivery(body=body, address=Presence(party), sender=party, proof=Proof.CLAIMED)
            await session.delivers[Presence()](delivery)
        await soon(lambda: len(states(session)) == 2)
        assert all(vtn.presence[party].state is State.ONLINE for party in ("ven-1", "ven-2"))

    assert 3 == len(states(session))  # at set-up, for both, and goodbye


async def test_current_values_are_asked_for_again_when_the_vtn_comes_back(
    domain: MakeDomain, script: Any, soon: Soon
) -> None:
    by = script()
    async with ven_on(by, domain()):
        session = by.sessions[0]
        await soon(lambda: asked(session) == 1)
        await told(session, "operator", name="first", epoch=1)  # it was there when we asked
        assert 1 == asked(session)
        session.observer.gone("operator")
        await told(session, "operator", name="second", epoch=2)
        await soon(lambda: asked(session) == 2)


async def test_a_session_that_does_not_close_holds_nothing_up(domain: MakeDomain, script: Any) -> None:
    by = script(["hang in aclose"])
    async with asyncio.timeout(5), ven_on(by, domain()):
        pass

    assert by.sessions[0].is_closed


async def test_patience_ends_a_request_that_cannot_even_be_sent(domain: MakeDomain, script: Any) -> None:
    by = script(["hang in send"])
    ven = VirtualEndNode(domain(), "scripted://x", "ven-1", transport=by)
    async with ven:
        with pytest.raises(Iec62746Error, match=r"within 0\.05 s"):
            await ven.request("get", "MarketPrices", timeout=0.05)


async def test_a_transport_that_breaks_the_contract_is_named(
    domain: MakeDomain, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken:
        def capabilities(self, url: str) -> Any:
            from iec62746 import Capabilities

            return Capabilities(proof=Proof.CLAIMED)

        async def open(self, config: Any, observer: Any) -> Any:
            raise OSError("raw")

    with pytest.raises(SessionLost, match="Broken broke down: OSError: raw"):
        async with VirtualEndNode(domain(), "scripted://x", "ven-1", transport=Broken()):
            pass


async def test_a_session_that_breaks_the_contract_later_is_lost_and_another_is_opened(
    domain: MakeDomain, script: Any, soon: Soon
) -> None:
    by, lost = script(), list[Iec62746Error]()
    ven = ven_on(by, domain())
    ven.on_lost(lost.append)
    async with ven:
        by.sessions[0].raises = OSError("raw")
        with pytest.raises(SessionLost, match="Script broke down: OSError: raw"):
            await ven.request("get", "MarketPrices")
        await soon(lambda: len(by.sessions) == 2 and ven.is_connected)

    assert ["the transport Script broke down: OSError: raw"] == [str(one) for one in lost]
    assert by.sessions[0].is_closed


@pytest.mark.requirement("R-5.1b")
async def test_each_try_begins_with_another_url(domain: MakeDomain, script: Any, soon: Soon) -> None:
    by = script([Unreachable("down"), "session"])
    urls = ["scripted://a", "scripted://b", "scripted://c"]
    async with VirtualEndNode(domain(), urls, "ven-1", transport=by) as ven:
        by.sessions[0].observer.lost(SessionLost("cut"))
        await soon(lambda: len(by.sessions) == 2 and ven.is_connected)

    assert ("scripted://b", "scripted://c", "scripted://a") == by.sessions[0].config.urls
    assert ("scripted://c", "scripted://a", "scripted://b") == by.sessions[1].config.urls


@pytest.mark.requirement("R-5.1c")
async def test_a_url_that_does_not_answer_leaves_time_for_the_others(domain: MakeDomain, script: Any) -> None:
    by = script(["hang", "session"])
    async with VirtualEndNode(domain(set_up=0.5), ["scripted://a", "scripted://b"], "ven-1", transport=by):
        assert "scripted://b" == by.sessions[0].config.urls[0]


async def test_a_delivery_that_breaks_the_exchange_is_told_and_ends_nothing(
    domain: MakeDomain, script: Any, notices: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    by = script()
    ven = ven_on(by, domain())
    told = notices(ven)
    async with ven:
        with monkeypatch.context() as broken:
            broken.setattr("iec62746.exchange.decode", lambda *_, **__: 1 / 0)
            inbox = Inbox("ven-1")
            await by.sessions[0].delivers[inbox](
                Delivery(body=b"<x/>", address=inbox, sender="operator", proof=Proof.CLAIMED)
            )
        assert "it broke the exchange: ZeroDivisionError" == (await told.get(What.BROKE_US)).detail
        assert ven.is_connected


async def test_a_set_up_that_is_cancelled_leaves_nothing(domain: MakeDomain, script: Any, soon: Soon) -> None:
    by = script(["hang in subscribe"])
    ven = ven_on(by, domain())
    opening = asyncio.create_task(ven.__aenter__())
    await soon(lambda: len(by.sessions) == 1)
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening

    assert by.sessions[0].is_closed
    assert not ven.is_connected


async def test_a_closed_party_is_collected(domain: MakeDomain, script: Any) -> None:
    ven = ven_on(script(), domain())
    async with ven:
        pass
    seen = weakref.ref(ven)
    del ven
    await asyncio.sleep(0)
    gc.collect()

    assert seen() is None


async def test_what_cannot_be_announced_is_not_announced_later(domain: MakeDomain, script: Any, soon: Soon) -> None:
    by = script()
    async with ven_on(by, domain()) as ven:
        with pytest.raises(InvalidMessage, match="XML cannot carry"):
            await ven.announce("away", "battery \0 low")
        by.sessions[0].observer.lost(SessionLost("cut"))
        await soon(lambda: by.tries == 2 and ven.is_connected)

    assert "<state>online</state>" in states(by.sessions[1])[0]


def request_of(party: str, noun: str, key: str) -> Delivery:
    """Return a request to the VTN as `party` sends it."""
    message = Message(kind=Kind.REQUEST, verb="create", noun=noun, source=party, message_id=f"{party}-{noun}")
    return Delivery(
        body=encode(message),
        address=Inbox("operator"),
        sender=party,
        proof=Proof.CLAIMED,
        reply_to=ReplyTo(party),
        correlation_id=key,
    )


async def takes_no_answers(to: Any, message: Outgoing) -> Receipt:
    """Send everything but answers."""
    if isinstance(to, ReplyTo):
        raise NoReceiver(f"{to.token} is not there")
    return Receipt(ReceiptLevel.LOCAL)


async def test_an_answer_that_cannot_be_sent_ends_no_request_of_ours(
    domain: MakeDomain, script: Any, soon: Soon, notices: Any
) -> None:
    by = script()
    vtn = VirtualTopNode(domain(), "scripted://x", transport=by)
    unsent = notices(vtn)
    template = Message(kind=Kind.REQUEST, verb="create", noun="EndDeviceControls", correlation_id="order-7")
    async with vtn:
        session = by.sessions[0]
        session.send = takes_no_answers
        deliver = session.delivers[Inbox("operator")]
        asked = asyncio.create_task(vtn.request_message(template, to="ven-1"))
        await soon(lambda: vtn.load.pending == 1)
        await deliver(request_of("ven-2", "Unknown", "order-7"))
        notice = await unsent.get(What.UNANSWERED)
        answer = Message(
            kind=Kind.RESPONSE,
            verb="reply",
            noun="EndDeviceControls",
            source="ven-1",
            correlation_id="order-7",
            reply=ReplyPart(result=Result.OK),
        )
        address = Inbox("operator")
        await deliver(Delivery(body=encode(answer), address=address, sender="ven-1", proof=Proof.CLAIMED))
        reply = (await asked).reply

    assert ("ven-2", True) == (notice.party, "ven-2 is not there" in notice.detail)
    assert reply is not None
    assert Result.OK is reply.result


async def test_more_answers_than_the_limit_waiting_are_told_as_unsent(
    domain: MakeDomain, script: Any, notices: Any
) -> None:
    by = script(["hang in send"])
    vtn = VirtualTopNode(domain(waiting=2), "scripted://x", transport=by)
    unsent = notices(vtn)
    async with vtn:
        for number in range(3):
            await by.sessions[0].delivers[Inbox("operator")](request_of("ven-2", f"Unknown{number}", str(number)))
        notice = await unsent.get(What.UNANSWERED)

    assert "limit waiting" in notice.detail


async def test_while_a_lost_session_is_closed_callers_read_why_it_was_lost(
    domain: MakeDomain, script: Any, soon: Soon, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "GOODBYE", 0.5)
    by = script(["hang in aclose"])
    async with ven_on(by, domain()) as ven:
        by.sessions[0].observer.lost(SessionLost("cable cut"))
        await soon(lambda: by.sessions[0].is_closed)
        with pytest.raises(Unreachable, match="cable cut"):
            await ven.request("get", "MarketPrices")


async def test_a_session_that_breaks_when_it_is_closed_is_left_and_another_is_opened(
    domain: MakeDomain, script: Any, soon: Soon, caplog: pytest.LogCaptureFixture
) -> None:
    by = script()

    async def breaks() -> None:
        raise OSError("raw")

    async with ven_on(by, domain()) as ven:
        by.sessions[0].aclose = breaks
        by.sessions[0].observer.lost(SessionLost("cut"))
        await soon(lambda: by.tries == 2 and ven.is_connected)

    assert "Script broke down" in caplog.text


class _Clock:
    """A clock that can be put."""

    put_by = 0.0

    def time(self) -> float:
        return time.time() + self.put_by


@pytest.mark.parametrize("by", [-3_600.0, 3_600.0])
async def test_a_request_waits_as_long_as_it_was_to_though_the_clock_is_put(
    by: float, domain: MakeDomain, script: Any, soon: Soon, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, loop = _Clock(), asyncio.get_running_loop()
    monkeypatch.setattr(module, "time", clock)
    async with VirtualTopNode(domain(), "scripted://x", transport=script()) as vtn:
        began = loop.time()
        asked = asyncio.create_task(vtn.request("create", "EndDeviceControls", to="ven-1", timeout=0.3))
        await soon(lambda: vtn.load.pending == 1)
        clock.put_by = by
        later = asyncio.create_task(vtn.request("create", "EndDeviceControls", to="ven-1", timeout=0.3))
        async with asyncio.timeout(10):
            results = await asyncio.gather(asked, later, return_exceptions=True)
        took = loop.time() - began

    assert [NoReply, NoReply] == [type(one) for one in results]
    assert took >= 0.3
