"""Opening, closing, draining, and what holds before and after."""

import asyncio
import os
import signal
import time
from collections.abc import Callable
from typing import Any

import pytest

from iec62746 import (
    Closed,
    Domain,
    InvalidMessage,
    Kind,
    LocalError,
    Message,
    MissingCapability,
    Notice,
    PartyConflict,
    RequestFailed,
    Result,
    State,
    Superseded,
    TransportError,
    VirtualEndNode,
    VirtualTopNode,
    What,
)

MakeDomain = Callable[..., Domain]
Soon = Callable[[Callable[[], bool]], Any]


async def test_the_same_object_is_opened_twice_in_a_row(domain: MakeDomain, url: str) -> None:
    vtn, ven = VirtualTopNode(domain(), url), VirtualEndNode(domain(), url, "ven-1")
    ven.on_request("create", "EndDeviceControls")(lambda request: None)
    for _ in range(2):
        async with vtn, ven:
            reply = await vtn.request("create", "EndDeviceControls", to="ven-1")
            assert Result.OK is reply.result
        assert not vtn.is_connected


def test_the_same_object_is_opened_in_two_loops(domain: MakeDomain, url: str) -> None:
    vtn = VirtualTopNode(domain(), url)

    async def once() -> None:
        async with vtn:
            assert vtn.is_connected

    asyncio.run(once())
    asyncio.run(once())


async def test_it_is_open_once_at_a_time(domain: MakeDomain, url: str) -> None:
    async with VirtualTopNode(domain(), url) as vtn:
        with pytest.raises(Closed, match="open already"):
            await vtn.__aenter__()
        assert vtn.is_connected


async def test_before_and_after_a_call_says_so(domain: MakeDomain, url: str) -> None:
    vtn = VirtualTopNode(domain(), url)
    await vtn.aclose()
    for _ in range(2):
        with pytest.raises(Closed, match="async with"):
            await vtn.request("get", "MeterReadings", to="ven-1")
        with pytest.raises(Closed, match="async with"):
            await vtn.publish("MarketPrices", node="price.north")
        async with vtn:
            pass


async def test_closing_is_safe_many_times_at_once(domain: MakeDomain, url: str) -> None:
    vtn = VirtualTopNode(domain(), url)
    await vtn.__aenter__()
    await asyncio.gather(*(vtn.aclose() for _ in range(10)))
    await vtn.aclose()

    assert not vtn.is_connected


@pytest.mark.parametrize("through", ["directly", "in a task of its own"])
async def test_a_handler_may_close_its_own_party(through: str, domain: MakeDomain, url: str) -> None:
    vtn, ven, closed = VirtualTopNode(domain(), url), VirtualEndNode(domain(), url, "ven-1"), asyncio.Event()

    @ven.on_request("create", "EndDeviceControls")
    async def closes(request: Message) -> None:
        if through == "directly":
            await ven.aclose()
        else:
            async with asyncio.TaskGroup() as group:
                group.create_task(ven.aclose())
        closed.set()

    async with vtn:
        await ven.__aenter__()
        with pytest.raises((TransportError, RequestFailed)):
            await vtn.request("create", "EndDeviceControls", to="ven-1", timeout=0.2)
        await closed.wait()
        await asyncio.sleep(0)

    assert not ven.is_connected


async def test_a_listener_may_close_its_own_party(domain: MakeDomain, url: str) -> None:
    ven, closed = VirtualEndNode(domain(), url, "ven-1"), asyncio.Event()

    @ven.on_connected
    async def closes() -> None:
        await ven.aclose()
        closed.set()

    async with ven:
        await closed.wait()

    assert not ven.is_connected


async def test_a_listener_that_is_told_by_a_handlers_task_may_close_its_own_party(domain: MakeDomain, url: str) -> None:
    vtn, ven = VirtualTopNode(domain(), url), VirtualEndNode(domain(), url, "ven-1")
    closed = asyncio.Event()

    @ven.on_notice
    async def closes(notice: Notice) -> None:
        if notice.what is What.NO_HANDLER:
            await ven.aclose()
            closed.set()

    async with vtn, ven:
        with pytest.raises((TransportError, RequestFailed)):
            await vtn.request("create", "EndDeviceControls", to="ven-1", timeout=0.2)
        await closed.wait()

    assert not ven.is_connected


async def test_closing_waits_for_the_handler_of_another_message_than_the_one_that_closes(
    domain: MakeDomain, url: str
) -> None:
    vtn, ven = VirtualTopNode(domain(), url), VirtualEndNode(domain(), url, "ven-1")
    closing, begun, done = list[asyncio.Task[None]](), asyncio.Event(), list[str]()

    @vtn.on_event(noun="MeterReadings")
    async def take(event: Message) -> None:
        if not closing:
            closing.append(asyncio.create_task(vtn.aclose()))
            begun.set()
            return
        for _ in range(20):
            await asyncio.sleep(0)
        done.append("handled")

    async with ven:
        await vtn.__aenter__()
        await asyncio.gather(ven.publish("MeterReadings"), ven.publish("MeterReadings"))
        await begun.wait()
        await closing[0]
        done.append("closed")

    assert ["handled", "closed"] == done


async def test_closing_while_a_handler_runs_waits_for_it_and_answers_new_ones_5_1(domain: MakeDomain, url: str) -> None:
    vtn, ven = VirtualTopNode(domain(), url), VirtualEndNode(domain(), url, "ven-1")
    begun, release = asyncio.Event(), asyncio.Event()

    @ven.on_request("create", "EndDeviceControls")
    async def slow(request: Message) -> None:
        begun.set()
        await release.wait()

    async with vtn:
        await ven.__aenter__()
        first = asyncio.create_task(vtn.request("create", "EndDeviceControls", to="ven-1"))
        await begun.wait()
        closing = asyncio.create_task(ven.aclose())
        await asyncio.sleep(0)
        with pytest.raises(RequestFailed, match="5.1"):
            await vtn.request("create", "EndDeviceControls", to="ven-1")
        assert not closing.done()
        release.set()
        assert Result.OK is (await first).result
        await closing


async def test_closing_waits_no_longer_than_handling(domain: MakeDomain, url: str) -> None:
    vtn, ven = VirtualTopNode(domain(), url), VirtualEndNode(domain(handling=0.05), url, "ven-1")
    begun = asyncio.Event()

    @ven.on_request("create", "EndDeviceControls")
    async def hangs(request: Message) -> None:
        begun.set()
        await asyncio.Event().wait()

    async with vtn:
        await ven.__aenter__()
        asked = asyncio.create_task(vtn.request("create", "EndDeviceControls", to="ven-1"))
        await begun.wait()
        async with asyncio.timeout(5):
            await ven.aclose()
        with pytest.raises(RequestFailed, match="4.1"):
            await asked


async def test_who_waits_for_closing_may_give_up_and_it_closes_all_the_same(domain: MakeDomain, url: str) -> None:
    vtn, ven = VirtualTopNode(domain(), url), VirtualEndNode(domain(), url, "ven-1")
    begun, release = asyncio.Event(), asyncio.Event()

    @ven.on_request("create", "EndDeviceControls")
    async def slow(request: Message) -> None:
        begun.set()
        await release.wait()

    async with vtn:
        await ven.__aenter__()
        asked = asyncio.create_task(vtn.request("create", "EndDeviceControls", to="ven-1"))
        await begun.wait()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await ven.aclose()
        release.set()
        await asked
        await ven.aclose()

    assert not ven.is_connected


async def test_closing_ends_our_own_requests(domain: MakeDomain, url: str) -> None:
    vtn, ven = VirtualTopNode(domain(), url), VirtualEndNode(domain(), url, "ven-1")
    begun, release = asyncio.Event(), asyncio.Event()

    @ven.on_request("create", "EndDeviceControls")
    async def slow(request: Message) -> None:
        begun.set()
        await release.wait()

    async with ven:
        await vtn.__aenter__()
        asked = asyncio.create_task(vtn.request("create", "EndDeviceControls", to="ven-1"))
        await begun.wait()
        await vtn.aclose()
        with pytest.raises(TransportError, match="closed"):
            await asked
        release.set()


async def test_of_two_sessions_of_a_party_the_newer_lives_and_the_vtn_is_told(domain: MakeDomain, url: str) -> None:
    north, conflicts = domain(), asyncio.Queue[PartyConflict]()
    vtn = VirtualTopNode(north, url)
    vtn.on_conflict(conflicts.put)
    online = asyncio.Semaphore(0)

    @vtn.on_presence
    def seen(presence: Any) -> None:
        if presence.state is State.ONLINE:
            online.release()

    older, newer = VirtualEndNode(north, url, "ven-1"), VirtualEndNode(north, url, "ven-1")
    newer.on_request("create", "EndDeviceControls")(lambda request: None)
    async with vtn, older:
        await online.acquire()
        began = time.time_ns() // 1_000_000  # in which the epoch counts
        while time.time_ns() // 1_000_000 <= began:
            pass
        async with newer:
            with pytest.raises(Superseded):
                await older.closed()
            conflict = await conflicts.get()
            assert newer.is_connected
            assert Result.OK is (await vtn.request("create", "EndDeviceControls", to="ven-1")).result

    assert "ven-1" == conflict.party


async def test_what_the_domain_demands_and_the_transport_lacks_is_listed(domain: MakeDomain) -> None:
    with pytest.raises(
        MissingCapability, match=r"demands secure; memory://x lacks: .*proof.*access_control.*is_encrypted"
    ):
        VirtualTopNode(domain(transport="secure"), "memory://x")


async def test_handlers_of_events_are_registered_before(domain: MakeDomain, url: str) -> None:
    async with VirtualEndNode(domain(), url, "ven-1") as ven:
        with pytest.raises(LocalError, match="before"):
            ven.on_event(node="price.north")(lambda event: None)


async def test_a_second_handler_for_the_same_is_an_error(domain: MakeDomain, url: str) -> None:
    ven = VirtualEndNode(domain(), url, "ven-1")
    ven.on_request("get", "MeterReadings")(lambda request: None)
    with pytest.raises(LocalError, match="has a handler already"):
        ven.on_request("get", "MeterReadings")(lambda request: None)


def test_run_serves_until_interrupted(domain: MakeDomain, url: str) -> None:
    vtn, connected = VirtualTopNode(domain(), url), list[bool]()

    @vtn.on_connected
    def interrupt() -> None:
        connected.append(vtn.is_connected)
        os.kill(os.getpid(), signal.SIGTERM)

    vtn.run()

    assert [True] == connected
    assert not vtn.is_connected


async def test_who_opens_it_while_another_closes_it_is_told_and_harms_no_later_life(
    domain: MakeDomain, script: Any, soon: Soon
) -> None:
    by = script(["hang", "session"])
    ven = VirtualEndNode(domain(), "scripted://x", "ven-1", transport=by)
    opening = asyncio.create_task(ven.__aenter__())
    await soon(lambda: by.tries == 1)
    await ven.aclose()
    async with ven:
        with pytest.raises(Closed, match="while it was being opened"):
            await opening
        assert ven.is_connected


async def test_a_correlation_id_may_be_used_again_once_it_is_answered(domain: MakeDomain, url: str) -> None:
    vtn, ven = VirtualTopNode(domain(), url), VirtualEndNode(domain(), url, "ven-1")
    ven.on_request("create", "EndDeviceControls")(lambda request: None)
    template = Message(kind=Kind.REQUEST, verb="create", noun="EndDeviceControls", correlation_id="order-7")

    async def as_soon_as_possible() -> Message:
        while True:
            try:
                return await vtn.request_message(template, to="ven-1")
            except InvalidMessage:  # unanswered
                await asyncio.sleep(0)

    async with vtn, ven, asyncio.timeout(10):
        answers = await asyncio.gather(*(as_soon_as_possible() for _ in range(3)))
        assert 0 == vtn.load.pending

    assert [Result.OK] * 3 == [answer.reply and answer.reply.result for answer in answers]


async def test_a_listener_that_is_told_by_the_end_ends_with_it(domain: MakeDomain, script: Any, soon: Soon) -> None:
    by = script()
    ven, told = VirtualEndNode(domain(), "scripted://x", "ven-1", transport=by), list[Notice]()
    ven.on_event(node="price.north")(lambda event: None)

    @ven.on_notice
    async def hangs(notice: Notice) -> None:
        told.append(notice)
        await asyncio.Event().wait()

    async with ven:
        await soon(lambda: ven.load.pending == 1)
    # That nothing is left behind is held of every test here.

    assert [What.UNANSWERED] == [one.what for one in told]
