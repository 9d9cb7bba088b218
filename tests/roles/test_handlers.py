"""Handlers that misbehave: each becomes a Reply FAILED with the right code, and hurts nobody else."""

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest

from iec62746 import (
    Domain,
    Kind,
    Message,
    NoReply,
    Payload,
    Refused,
    Reply,
    RequestFailed,
    Result,
    VirtualEndNode,
    VirtualTopNode,
    What,
)

MakeDomain = Callable[..., Domain]


class Pair:
    """A VTN that asks, and a VEN whose handler is the test's."""

    def __init__(self, north: Domain, url: str, handler: Callable[[Message], Any] | None) -> None:
        self.vtn, self.ven = VirtualTopNode(north, url), VirtualEndNode(north, url, "ven-1")
        if handler is not None:
            self.ven.on_request("create", "EndDeviceControls")(handler)

    async def ask(self, *, timeout: float | None = None) -> Reply:  # noqa: ASYNC109
        return await self.vtn.request("create", "EndDeviceControls", to="ven-1", timeout=timeout)

    async def code(self) -> str:
        with pytest.raises(RequestFailed) as caught:
            await self.ask()
        return caught.value.reply_code

    async def __aenter__(self) -> "Pair":
        await self.vtn.__aenter__()
        await self.ven.__aenter__()
        return self

    async def __aexit__(self, *_: Any) -> None:
        await self.ven.aclose()
        await self.vtn.aclose()


async def raises(request: Message) -> None:
    raise ValueError("my own secret")


async def raises_timeout(request: Message) -> None:
    raise TimeoutError


async def cancels_itself(request: Message) -> None:
    raise asyncio.CancelledError


def stops(request: Message) -> None:
    raise StopIteration


async def answers_nonsense(request: Message) -> Any:
    return 42


async def answers_with_a_request(request: Message) -> Message:
    return Message(kind=Kind.REQUEST, verb="get", noun="MeterReadings")


async def answers_with_another_verb(request: Message) -> Message:
    return Message(kind=Kind.RESPONSE, verb="create", noun="MeterReadings", reply=Reply().to_message("X").reply)


async def answers_bad_xml(request: Message) -> str:
    return "<open>"


async def answers_what_xml_has_no_place_for(request: Message) -> Reply:
    return Reply(payload=Payload(items=(b'<x xmlns=""/>',), format="\x00"))


async def answers_too_much(request: Message) -> str:
    return f'<x xmlns="urn:test">{"x" * 2_000_000}</x>'


async def refuses_with_a_letter_that_xml_lacks(request: Message) -> None:
    raise Refused("6.1", "\x00")


@pytest.mark.parametrize(
    "handler",
    [
        raises,
        raises_timeout,
        cancels_itself,
        stops,
        answers_nonsense,
        answers_with_a_request,
        answers_with_another_verb,
        answers_bad_xml,
        answers_what_xml_has_no_place_for,
        answers_too_much,
    ],
)
async def test_a_handler_that_fails_is_answered_5_3_and_tells_the_peer_nothing_more(
    handler: Callable[[Message], Any], domain: MakeDomain, url: str
) -> None:
    async with Pair(domain(), url, handler) as pair:
        with pytest.raises(RequestFailed) as caught:
            await pair.ask()

    assert "5.3" == caught.value.reply_code
    assert "secret" not in str(caught.value)


async def test_a_handler_that_hangs_is_answered_4_1_after_its_time(domain: MakeDomain, url: str) -> None:
    cancelled = asyncio.Event()

    async def hangs(request: Message) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    async with Pair(domain(handling=0.05), url, hangs) as pair:
        assert "4.1" == await pair.code()
        await cancelled.wait()


async def test_one_that_will_not_be_cancelled_is_answered_4_1_all_the_same(domain: MakeDomain, url: str) -> None:
    release = asyncio.Event()

    async def stubborn(request: Message) -> None:
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue

    async with Pair(domain(handling=0.05), url, stubborn) as pair:
        assert "4.1" == await pair.code()
        release.set()


async def test_a_thread_that_hangs_is_answered_4_1(domain: MakeDomain, url: str) -> None:
    release = threading.Event()

    def hangs(request: Message) -> None:
        release.wait(30)

    async with Pair(domain(handling=0.05), url, hangs) as pair:
        assert "4.1" == await pair.code()
        release.set()


async def test_without_a_handler_it_is_5_2(domain: MakeDomain, url: str) -> None:
    async with Pair(domain(), url, None) as pair:
        assert "5.2" == await pair.code()


async def test_a_handler_that_is_not_async_runs_in_a_thread(domain: MakeDomain, url: str) -> None:
    names = list[str]()

    def handler(request: Message) -> None:
        names.append(threading.current_thread().name)

    async with Pair(domain(), url, handler) as pair:
        await pair.ask()

    assert names[0].startswith("handlers of ven-1")


async def test_handlers_beyond_the_bound_wait_and_those_beyond_that_are_5_1(domain: MakeDomain, url: str) -> None:
    release, running, most = asyncio.Event(), 0, 0

    async def slow(request: Message) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await release.wait()
        running -= 1

    async with Pair(domain(handlers=2, waiting=3), url, slow) as pair:
        asked = [asyncio.create_task(pair.ask()) for _ in range(6)]
        done, _ = await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED)
        release.set()
        results = await asyncio.gather(*asked, return_exceptions=True)

    (full,) = [one.exception() for one in done]
    assert isinstance(full, RequestFailed)
    assert ("5.1", 2) == (full.reply_code, most)
    assert 5 == sum(isinstance(one, Reply) for one in results)


@pytest.mark.requirement("R-5.1d")
async def test_what_waited_beyond_its_deadline_is_not_executed(
    domain: MakeDomain, url: str, notices: Callable[[Any], Any]
) -> None:
    begun, release, calls = asyncio.Event(), asyncio.Event(), 0

    async def slow(request: Message) -> None:
        nonlocal calls
        calls += 1
        begun.set()
        await release.wait()

    pair = Pair(domain(handlers=1, real_time=0.1, clock_skew=0.01), url, slow)
    seen = notices(pair.ven)
    async with pair:
        first = asyncio.create_task(pair.ask(timeout=5))
        await begun.wait()
        with pytest.raises(NoReply):
            await pair.ask(timeout=0.2)
        release.set()
        await first
        late = await seen.get(What.EXPIRED)

    assert ("4.1", 1) == (late.reply_code, calls)


async def test_who_asked_of_a_handler_that_was_cancelled_is_told(domain: MakeDomain, url: str) -> None:
    async def cancels(request: Message) -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await asyncio.sleep(0)

    async with Pair(domain(), url, cancels) as pair:
        assert "5.3" == await pair.code()


async def test_several_handlers_of_one_event_are_one_message(domain: MakeDomain, url: str) -> None:
    north, release, got = domain(handlers=2), asyncio.Event(), list[str]()
    vtn, ven = VirtualTopNode(north, url), VirtualEndNode(north, url, "ven-1")
    both, calls = asyncio.Event(), 0
    for _ in range(3):

        @vtn.on_event(noun="MeterReadings")
        async def slow(event: Message) -> None:
            nonlocal calls
            calls += 1
            if calls == 6:
                both.set()
            await release.wait()
            got.append(event.noun)

    async with vtn, ven:
        await ven.publish("MeterReadings")
        await ven.publish("MeterReadings")
        await both.wait()
        release.set()

    assert 6 == len(got)


async def test_one_handler_of_an_event_that_fails_does_not_stop_another(
    domain: MakeDomain, url: str, notices: Callable[[Any], Any]
) -> None:
    north, got = domain(), asyncio.Event()
    vtn, ven = VirtualTopNode(north, url), VirtualEndNode(north, url, "ven-1")
    seen = notices(vtn)
    vtn.on_event(noun="MeterReadings")(raises)

    @vtn.on_event(noun="MeterReadings")
    async def good(event: Message) -> None:
        await asyncio.sleep(0)
        got.set()

    async with vtn, ven:
        await ven.publish("MeterReadings")
        await got.wait()
        notice = await seen.get(What.HANDLER_FAILED)

    assert "5.3" == notice.reply_code


async def test_sixty_four_handlers_that_ask_back_do_not_block_one_another(domain: MakeDomain, url: str) -> None:
    north = domain(handlers=64)
    vtn, ven = VirtualTopNode(north, url), VirtualEndNode(north, url, "ven-1")

    @ven.on_request("create", "EndDeviceControls")
    async def asks(request: Message) -> None:
        await ven.request("create", "DERGroups")

    vtn.on_request("create", "DERGroups")(lambda request: None)

    async with vtn, ven:
        replies = await asyncio.gather(*(vtn.request("create", "EndDeviceControls", to="ven-1") for _ in range(200)))

    assert {Result.OK} == {one.result for one in replies}


async def test_a_listener_that_hangs_neither_takes_a_handlers_place_nor_holds_up_the_end(
    domain: MakeDomain, url: str
) -> None:
    pair = Pair(domain(handlers=1, handling=60), url, lambda request: None)

    @pair.vtn.on_presence
    async def hangs(presence: Any) -> None:
        await asyncio.Event().wait()

    @pair.ven.on_connected
    def fails() -> None:
        raise ValueError

    async with pair:
        pair.vtn.on_request("create", "DERGroups")(lambda request: None)
        await pair.ven.request("create", "DERGroups")
        assert Result.OK is (await pair.ask()).result


async def test_a_caller_that_gives_up_leaves_nothing_behind(domain: MakeDomain, url: str) -> None:
    begun, release = asyncio.Semaphore(0), asyncio.Event()

    async def slow(request: Message) -> None:
        begun.release()
        await release.wait()

    async with Pair(domain(pending=1), url, slow) as pair:
        asked = asyncio.create_task(pair.ask())
        await begun.acquire()
        asked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asked
        release.set()
        reply = await pair.ask(timeout=5)  # only one request may be unanswered: this one is let through

    assert Result.OK is reply.result


async def test_a_refusal_that_xml_has_no_letters_for_is_a_refusal_all_the_same(domain: MakeDomain, url: str) -> None:
    async with Pair(domain(), url, refuses_with_a_letter_that_xml_lacks) as pair:
        assert await pair.code() in ("6.1", "5.3")


@pytest.mark.parametrize("seconds", [0, -1, float("nan")])
async def test_a_timeout_is_above_zero(seconds: float, domain: MakeDomain, url: str) -> None:
    async with Pair(domain(), url, raises) as pair:
        with pytest.raises(Exception, match="seconds above 0"):
            await pair.ask(timeout=seconds)


async def test_a_listener_that_awaits_what_was_cancelled_is_told_of_the_next(
    domain: MakeDomain, url: str, caplog: pytest.LogCaptureFixture
) -> None:
    pair, told = Pair(domain(), url, None), asyncio.Queue[str]()

    @pair.vtn.on_presence
    async def awaits_what_was_cancelled(presence: Any) -> None:
        told.put_nowait(presence.party)
        nothing: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        nothing.cancel()
        await nothing

    async with pair, VirtualEndNode(domain(), url, "ven-2"):
        assert {"ven-1", "ven-2"} == {await told.get(), await told.get()}
    assert "awaits_what_was_cancelled" in caplog.text
