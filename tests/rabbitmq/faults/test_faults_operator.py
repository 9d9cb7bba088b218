"""Queues, rights, passwords or the VTN are taken away: who is concerned is told, and every request has its outcome."""

import asyncio
from typing import Any

import pytest

from iec62746 import AuthenticationFailed, PermissionDenied, SessionLost, Superseded
from iec62746_rabbitmq.private import PrivateBroker

LANES = pytest.mark.parametrize("lane", ["plain", "fast"])
EACH = 25
"""Askers in a storm, each way."""


@pytest.mark.requirement("R-5.1d")
async def test_an_inbox_that_has_expired_tells_that_nobody_is_there(
    stage: Any, victim: PrivateBroker, waits: Any
) -> None:
    one = await stage(victim, is_provisioned=True)
    vtn, ven = await one.enter("vtn"), await one.enter("ven-1")
    # The domain's own policy says 10 s.
    name, pattern = one.domain.name, rf"^{one.domain.name}\.vtn\.in$"
    sooner = ("set_policy", "-p", name, "--priority", "20", "--apply-to", "queues", "sooner", pattern)
    await asyncio.to_thread(victim.ctl, *sooner, '{"expires": 1000}')

    await vtn.aclose()
    asked = []
    while not one.ledger.errors["NoReceiver"]:
        asked.append(one.group.create_task(one.ledger.ask(ven)))
        await asyncio.sleep(0.1)
        assert len(asked) < 100
    ends = [call.ended for call in await asyncio.gather(*asked)]
    assert "REFUSED" == ends[-1]
    assert {"REFUSED", "UNKNOWN"} >= set(ends)
    assert "UNKNOWN" == ends[0]
    await one.enter("vtn")

    await one.works()


@pytest.mark.parametrize(("whose", "lane"), [("vtn", "fast"), ("ven-1", "plain")])
async def test_a_queue_deleted_under_load_ends_the_session_and_begins_another(
    stage: Any, victim: PrivateBroker, lane: str, whose: str
) -> None:
    one = await stage(victim, lane=lane)
    await one.enter("vtn")
    await one.enter("ven-1")
    queues = (await asyncio.to_thread(victim.ctl, "list_queues", "--silent", "name")).split()
    begins = f"{one.domain.name}.{'vtn.in' if whose == 'vtn' else 'ven.ven-1.'}"
    [queue] = [name for name in queues if name.startswith(begins) and not name.endswith(".ev")]

    async with one.storm(EACH):
        await asyncio.to_thread(victim.ctl, "delete_queue", queue)
        cause = await one.lives[whose].until_lost()
        await one.lives[whose].until_back()

    await one.settle()
    assert isinstance(cause, SessionLost)
    assert {"vtn": 1, "ven-1": 1, whose: 2} == {name: life.opened for name, life in one.lives.items()}
    await one.works()


@LANES
async def test_a_right_taken_away_is_told_at_each_request(stage: Any, victim: PrivateBroker, lane: str) -> None:
    one = await stage(victim, lane=lane, is_provisioned=True)
    one.has_events = False  # so that the first request is alone: a broker does not say which message it refuses
    await one.enter("vtn")
    ven = await one.enter("ven-1")
    vhost = one.domain.name

    await asyncio.to_thread(victim.ctl, "set_topic_permissions", "-p", vhost, "ven-1", f"{vhost}.to.vtn", "^$", "^$")
    # RabbitMQ asks for a right once a channel.
    await asyncio.to_thread(victim.ctl, "close_all_connections", "--vhost", vhost, "rights were changed")
    for life in one.lives.values():
        await life.until_back()
    alone = await one.ledger.ask(ven)
    many = await asyncio.gather(*(one.ledger.ask(ven) for _ in range(EACH)))

    one.ledger.check()
    assert ("REFUSED", PermissionDenied) == (alone.ended, type(alone.error))
    assert all(call.error is not None for call in many)
    if lane == "fast":
        assert {PermissionDenied} == {type(call.error) for call in many}
        assert 2 == one.lives["ven-1"].opened
    else:
        # aiormq may publish behind its Channel.CloseOk: for that RabbitMQ ends the connection, 504.
        assert {PermissionDenied, SessionLost} >= {type(call.error) for call in many}
    assert not one.ledger.executed


@pytest.mark.parametrize("what", ["rights", "password"])
async def test_an_account_that_is_shut_out_is_told_so_once_and_does_not_try_for_ever(
    stage: Any, victim: PrivateBroker, what: str
) -> None:
    one = await stage(victim, is_provisioned=True)
    await one.enter("vtn")
    ven = await one.enter("ven-1")
    life, vhost = one.lives["ven-1"], one.domain.name
    how = {
        "rights": ("clear_permissions", "-p", vhost, "ven-1"),
        "password": ("change_password", "ven-1", "another-one"),
    }
    error = {"rights": PermissionDenied, "password": AuthenticationFailed}[what]

    await asyncio.to_thread(victim.ctl, *how[what])
    await asyncio.to_thread(victim.ctl, "close_all_connections", "--vhost", vhost, "shut out")
    async with asyncio.timeout(10):
        with pytest.raises(error) as caught:
            await ven.closed()
    call = await one.ledger.ask(ven)

    assert error is type(call.error)
    assert 1 == life.opened
    assert [SessionLost, error] == [type(loss) for loss in life.losses]
    assert one.passwords["ven-1"] not in str(caught.value)
    one.ledger.check()


async def test_a_wrong_password_is_told_at_once(stage: Any, victim: PrivateBroker, waits: Any) -> None:
    one = await stage(victim, is_provisioned=True)
    url = victim.url("ven-1", "wrong", one.domain.name)

    async with asyncio.timeout(3):
        with pytest.raises(AuthenticationFailed) as caught:
            await one.enter("ven-1", url)

    assert "wrong" not in str(caught.value)
    assert [AuthenticationFailed] == [type(loss) for loss in one.lives["ven-1"].losses]


@LANES
async def test_an_older_session_of_a_ven_ends_and_does_not_come_back(
    stage: Any, victim: PrivateBroker, waits: Any, lane: str
) -> None:
    one = await stage(victim, lane=lane)
    vtn, older = await one.enter("vtn"), await one.enter("ven-1")
    conflicts: list[object] = []
    vtn.on_conflict(conflicts.append)
    first = one.lives["ven-1"]

    await one.enter("ven-1")
    async with asyncio.timeout(10):
        with pytest.raises(Superseded):
            await older.closed()
    await waits(lambda: bool(conflicts))
    call = await one.ledger.ask(older)
    async with one.storm(EACH):
        pass

    # None was executed twice, though both had a queue for a while.
    await one.settle()
    assert ["NOT_SENT", "Superseded"] == [call.ended, type(call.error).__name__]
    assert [Superseded] == [type(loss) for loss in first.losses]
    assert (1, False) == (first.opened, older.is_connected)
    await one.works()
