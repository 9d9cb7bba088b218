"""The way to the broker is cut, or goes dead without a word: every request has an outcome, and it is the true one."""

import asyncio
import time
from contextlib import suppress
from typing import Any

import pytest

from iec62746 import What
from iec62746.testing.proxy import Link
from iec62746_rabbitmq.private import PrivateBroker

LANES = pytest.mark.parametrize("lane", ["plain", "fast"])
EACH = 50
"""Requests held, and askers in a storm, each way."""


@pytest.mark.requirement("R-5.1b")
@LANES
@pytest.mark.parametrize("whose", ["vtn", "ven-1"])
async def test_a_link_cut_under_load(stage: Any, victim: PrivateBroker, lane: str, whose: str) -> None:
    one = await stage(victim, lane=lane)
    link = await one.stack.enter_async_context(Link(("127.0.0.1", victim.port)))
    ports = {whose: link.endpoint[1]}
    for name in ("vtn", "ven-1"):
        await one.enter(name, one.url(name, port=ports.get(name)))

    async with one.storm(EACH):
        link.cut()
        await one.lives[whose].until_lost()
        link.restore()
        await one.lives[whose].until_back()

    outcomes = await one.settle()
    assert outcomes["UNKNOWN"] + outcomes["NOT_SENT"] >= EACH
    assert 1 == sum(life.opened - 1 for life in one.lives.values())
    await one.works()


async def test_requests_under_way_when_the_link_of_who_asked_is_cut(stage: Any, victim: PrivateBroker) -> None:
    one = await stage(victim)
    link = await one.stack.enter_async_context(Link(("127.0.0.1", victim.port)))
    await one.enter("vtn", one.url("vtn", port=link.endpoint[1]))
    await one.enter("ven-1")

    async with one.storm(EACH):
        held = await one.hold(2 * EACH)
        link.cut()
        await one.lives["vtn"].until_lost()
        link.restore()
        await one.lives["vtn"].until_back()
        one.ledger.gate.set()

    await one.settle()
    # What the VTN was asked it answers all the same, in its next session; if that came in time.
    ends = {name: {call.ended for call in held if call.name.startswith(name)} for name in one.lives}
    assert {"UNKNOWN"} == ends["vtn"]
    assert {"OK", "UNKNOWN"} >= ends["ven-1"]
    await one.works()


@LANES
async def test_what_is_delivered_again_is_not_executed_again(
    stage: Any, victim: PrivateBroker, waits: Any, lane: str
) -> None:
    one = await stage(victim, lane=lane)
    link = await one.stack.enter_async_context(Link(("127.0.0.1", victim.port)))
    await one.enter("vtn", one.url("vtn", port=link.endpoint[1]))
    await one.enter("ven-1")
    vtn, rounds = one.lives["vtn"], 10

    async with one.storm(EACH):
        while not vtn.noticed(What.DUPLICATE) and rounds:
            executed, rounds, opened = one.ledger.executed.total(), rounds - 1, vtn.opened
            link.freeze()
            # What is in its socket it still takes, and its acks get nowhere; where nothing was, there is another round.
            with suppress(TimeoutError):
                await waits(lambda executed=executed: one.ledger.executed.total() > executed, within=0.2)
            link.cut()
            link.restore()
            await vtn.until_back(opened + 1)

    await one.settle()
    assert vtn.noticed(What.DUPLICATE)
    await one.works()


async def test_half_open_links_are_noticed_within_30_seconds(stage: Any, victim: PrivateBroker, waits: Any) -> None:
    # 18 s each: all of them at once.
    async with asyncio.TaskGroup() as group:
        for lane in ("plain", "fast"):
            for whose in ("vtn", "ven-1"):
                group.create_task(_goes_dead(await stage(victim, lane=lane), whose, waits))


async def _goes_dead(one: Any, whose: str, waits: Any) -> None:
    link = await one.stack.enter_async_context(Link(("127.0.0.1", one.broker.port)))
    ports = {whose: link.endpoint[1]}
    for name in ("vtn", "ven-1"):
        await one.enter(name, one.url(name, port=ports.get(name)))
    other = one.lives["ven-1" if whose == "vtn" else "vtn"].party
    await one.works()
    # A message of one's own that is not confirmed tells it sooner.
    await waits(lambda: all(life.party.load.pending == 0 for life in one.lives.values()))
    executed = one.ledger.executed.total()

    link.freeze()
    began = time.monotonic()
    calls = await asyncio.gather(*(one.ledger.ask(other) for _ in range(EACH)))
    await one.lives[whose].until_lost(within=30)
    took = time.monotonic() - began
    link.thaw()
    await one.lives[whose].until_back()

    await one.settle()
    # The broker took them, and nobody came for them: they are not executed later either.
    assert {"UNKNOWN"} == {call.ended for call in calls}
    assert executed == one.ledger.executed.total()
    assert took < 30
    await one.works()


@LANES
@pytest.mark.parametrize("is_lost", [False, True], ids=["open", "being opened again"])
async def test_closing_over_a_dead_link_ends_and_leaves_nothing(
    stage: Any, victim: PrivateBroker, caplog: pytest.LogCaptureFixture, lane: str, is_lost: bool
) -> None:
    one = await stage(victim, lane=lane, real_time=1)
    one.has_events = False  # whose current values it would ask for
    link = await one.stack.enter_async_context(Link(("127.0.0.1", victim.port)))
    before = asyncio.all_tasks()
    ven = await one.enter("ven-1", one.url("ven-1", port=link.endpoint[1]))

    link.freeze()
    if is_lost:
        await one.ledger.ask(ven)
        await one.lives["ven-1"].until_lost()
    async with asyncio.timeout(10):
        await ven.aclose()

    left = {task for task in asyncio.all_tasks() - before if "Link." not in repr(task)}
    assert not left
    assert not [record for record in caplog.records if "iec62746" in record.name and record.levelname == "ERROR"]
