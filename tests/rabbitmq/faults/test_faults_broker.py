"""The broker is killed, frozen or out of memory: every request has an outcome, and it is the true one."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from iec62746_rabbitmq.private import PrivateBroker

LANES = pytest.mark.parametrize("lane", ["plain", "fast"])
EACH = 50
"""Requests held, and askers in a storm, each way."""


@pytest.fixture
def starved(hurt: PrivateBroker) -> Iterator[PrivateBroker]:
    """Return the broker to be starved; it has its memory again afterwards."""
    yield hurt
    hurt.ctl("set_vm_memory_high_watermark", "absolute", "1GB")


@pytest.mark.requirement("R-5.1b")
@LANES
async def test_a_broker_killed_under_load(stage: Any, hurt: PrivateBroker, lane: str) -> None:
    one = await stage(hurt, lane=lane)
    await one.enter("vtn")
    await one.enter("ven-1")

    async with one.storm(EACH):
        held = await one.hold(2 * EACH)
        hurt.kill()
        for life in one.lives.values():
            await life.until_lost()
        one.ledger.gate.set()
        during = [await one.ledger.ask(life.party) for life in one.lives.values()]
        await asyncio.to_thread(hurt.start)
        for life in one.lives.values():
            await life.until_back()

    await one.settle()
    # They had been executed, and nobody can know it who asked; what came meanwhile was not sent.
    assert {"UNKNOWN"} == {call.ended for call in held}
    assert ["NOT_SENT", "NOT_SENT"] == [call.ended for call in during]
    await one.works()


@LANES
async def test_a_frozen_broker_that_thaws_after_every_deadline(stage: Any, hurt: PrivateBroker, lane: str) -> None:
    one = await stage(hurt, lane=lane, real_time=2)
    await one.enter("vtn")
    await one.enter("ven-1")

    async with one.storm(EACH):
        hurt.freeze()
        for life in one.lives.values():
            # A message that is not confirmed by its Deadline ends the session: it must not leave later.
            await life.until_lost()
        hurt.thaw()
        for life in one.lives.values():
            await life.until_back()

    outcomes = await one.settle()
    assert outcomes["UNKNOWN"] >= EACH
    await one.works()


@pytest.mark.requirement("R-5.1d")
@LANES
async def test_a_memory_alarm_under_load(stage: Any, starved: PrivateBroker, waits: Any, lane: str) -> None:
    one = await stage(starved, lane=lane, real_time=2)
    vtn, ven = await one.enter("vtn"), await one.enter("ven-1")

    async with one.storm(EACH):
        await asyncio.to_thread(starved.ctl, "set_vm_memory_high_watermark", "0.0000001")
        await waits(lambda: vtn.load.is_blocked and ven.load.is_blocked)
        before = [call for call in one.ledger.calls.values() if not call.seconds]
        during = [await one.ledger.ask(vtn), await one.ledger.ask(ven)]
        await waits(lambda: all(call.seconds for call in before))
        executed = one.ledger.executed.total()
        await asyncio.to_thread(starved.ctl, "set_vm_memory_high_watermark", "absolute", "1GB")
        await waits(lambda: one.ledger.executed.total() > executed, within=30)
        for life in one.lives.values():
            await life.until_back(opened=1)

    await one.settle()
    assert {"NOT_SENT"} == {call.ended for call in during}
    assert not vtn.load.is_blocked
    await one.works()


@pytest.mark.requirement("R-7b")
async def test_of_two_brokers_the_first_dies(stage: Any, hurt: PrivateBroker, victim: PrivateBroker) -> None:
    one = await stage(hurt)
    urls = one.url("vtn"), one.url("vtn", broker=victim)
    await one.enter("vtn", *urls)
    await one.enter("ven-1", *urls)

    async with one.storm(EACH):
        held = await one.hold(2 * EACH)
        hurt.kill()
        for life in one.lives.values():
            await life.until_back()
        one.ledger.gate.set()

    await one.settle()
    assert {"UNKNOWN"} == {call.ended for call in held}
    await one.works()
