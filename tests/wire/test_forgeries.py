"""Bare clients that do not keep to docs/wire.md: what each gets is what the page says."""

import asyncio
from asyncio import to_thread
from typing import Any

import pika.exceptions  # type: ignore[import-untyped]  # it has no types
import pytest

from iec62746 import Message, VirtualEndNode, VirtualTopNode, What

GROUP = '<Payload><Group xmlns="urn:test"/></Payload>'
IN = ("to.vtn", "battery.in")
COPIES = {"CC": ["heat-pump.in"]}
OPEN = pytest.mark.parametrize("way", ["open"], indirect=True)
PROVISIONED = pytest.mark.parametrize("way", ["provisioned-3", "provisioned-4"], indirect=True)


@pytest.fixture
def created() -> list[str | None]:
    """Return who had `create Resources` executed."""
    return []


@pytest.fixture
def vtn(way: Any, created: list[str | None]) -> VirtualTopNode:
    """Return our VTN, not yet open."""
    vtn: VirtualTopNode = way.our_vtn()

    @vtn.on_request("create", "Resources")
    async def create(request: Message) -> None:
        created.append(request.source)

    @vtn.on_request("change", "Resources")
    async def change(request: Message) -> None:
        raise RuntimeError("a flaw")

    return vtn


def create(bare: Any, *, noun: str = "Resources", verb: str = "create", **options: Any) -> bytes:
    given = {"source": "battery", "destination": "grid-operator"} | options
    body: bytes = bare.envelope("RequestMessage", verb, noun, rest=GROUP, **given)
    return body


async def still_serves(ven: Any, bare: Any) -> bool:
    """Return whether the next request is answered OK: what was sent before it has been looked at by then."""
    reply = await to_thread(ven.send_request, create(bare), IN, "battery", "grid-operator")
    return bool(reply.outcome == ("OK", "0.0"))


# ---------------------------------------------------------------- answered


@OPEN
@pytest.mark.parametrize(
    ("code", "options"),
    [
        ("2.14", {"source": "heat-pump"}),
        ("7.5", {"destination": "heat-pump"}),
        ("4.1", {"life": -6.0}),
        ("2.9", {"verb": "created"}),
        ("2.5", {"noun": "Unheard"}),
        ("7.5", {"noun": "EndDeviceControls"}),
        ("5.3", {"verb": "change"}),
        ("5.2", {"verb": "delete"}),
    ],
)
async def test_a_wrong_request_is_answered_by_its_code(
    way: Any, vtn: VirtualTopNode, created: list[str | None], bare: Any, code: str, options: dict[str, Any]
) -> None:
    async with vtn:
        ven = await to_thread(way.ven)

        reply = await to_thread(ven.send_request, create(bare, **options), IN, "battery", "grid-operator")

    assert ("ResponseMessage", ("FAILED", code)) == (reply.root, reply.outcome)
    assert not created


@OPEN
@pytest.mark.parametrize(
    ("code", "old", "new"),
    [
        ("1.8", b"<?xml", b"not XML"),
        ("1.8", b"<Verb>", b"<Vorb/><Verb>"),
        ("1.5", b"<Noun>Resources</Noun>", b""),
        ("2.9", b"<Verb>create<", b"<Verb>eat<"),
        ("1.9", b"http://iec.ch/TC57/2011/schema/message", b"http://iec.ch/TC57/2021/schema/message"),
        ("1.6", b"<Payload>", b"<Request><Option><value/></Option></Request><Payload>"),
        ("1.7", GROUP.encode(), b"<Payload><OperationSet><Operation/></OperationSet></Payload>"),
        ("3.1", b"<Group", b" " * 1_048_576 + b"<Group"),
    ],
)
async def test_what_cannot_be_read_is_answered_by_a_fault(
    way: Any, vtn: VirtualTopNode, created: list[str | None], bare: Any, code: str, old: bytes, new: bytes
) -> None:
    async with vtn:
        ven = await to_thread(way.ven)

        fault = await to_thread(ven.send_request, create(bare).replace(old, new), IN, "battery", "grid-operator")

    assert ("FaultMessage", ("FAILED", code)) == (fault.root, fault.outcome)
    assert not created


@OPEN
async def test_a_reused_message_id_is_answered_2_15(
    way: Any, vtn: VirtualTopNode, created: list[str | None], bare: Any
) -> None:
    async with vtn:
        ven, same = await to_thread(way.ven), "11111111-1111-4111-8111-111111111111"
        bodies = [create(bare, message_id=same, correlation_id=str(number)) for number in range(2)]

        replies = [await to_thread(ven.send_request, one, IN, "battery", "grid-operator") for one in bodies]

    assert [("OK", "0.0"), ("FAILED", "2.15")] == [reply.outcome for reply in replies]
    assert ["battery"] == created


# ---------------------------------------------------------------- dropped


@pytest.mark.parametrize(
    ("what", "properties"),
    [
        (What.NO_REPLY_ADDRESS, {"reply_to": "heat-pump"}),
        (What.NO_REPLY_ADDRESS, {"reply_to": "heat-pump.re.s1"}),
        (What.NO_REPLY_ADDRESS, {}),
        (What.UNPROVEN, {"reply_to": "battery", "content_type": "text/plain"}),
    ],
)
async def test_what_nobody_may_be_answered_for_is_dropped(
    way: Any,
    vtn: VirtualTopNode,
    created: list[str | None],
    bare: Any,
    notices: Any,
    what: What,
    properties: dict[str, str],
) -> None:
    told = notices(vtn)
    async with vtn:
        ven, other = await to_thread(way.ven), await to_thread(way.ven, "heat-pump")

        await to_thread(ven.publish, IN[0], IN[1], create(bare), **properties)

        await told.get(what)
        assert await still_serves(ven, bare)
        # What had been sent to the other would have come before this.
        await to_thread(other.request, "get", "Nodes")
    assert not [got for got in other.kept if got.exchange == "to.ven"]
    assert ["battery"] == created


@pytest.mark.parametrize("way", ["open", "provisioned-3"], indirect=True)
async def test_a_message_with_copies_is_dropped(
    way: Any, vtn: VirtualTopNode, created: list[str | None], bare: Any, notices: Any
) -> None:
    told = notices(vtn)
    async with vtn:
        ven = await to_thread(way.ven)

        await to_thread(ven.publish, IN[0], IN[1], create(bare), headers=COPIES, reply_to="battery")

        await told.get(What.UNPROVEN)
        assert await still_serves(ven, bare)
    assert ["battery"] == created


@pytest.mark.parametrize("way", ["provisioned-4"], indirect=True)
def test_rabbitmq_4_refuses_a_message_with_copies(way: Any, bare: Any) -> None:
    ven = way.ven()

    with pytest.raises(pika.exceptions.ChannelClosedByBroker) as caught:
        ven.publish(*IN, create(bare), headers=COPIES)

    assert 403 == caught.value.reply_code


async def test_only_the_ven_that_was_asked_can_answer(way: Any, vtn: VirtualTopNode, notices: Any, bare: Any) -> None:
    told = notices(vtn)
    async with vtn:
        ven, other = await to_thread(way.ven), await to_thread(way.ven, "heat-pump")
        asking = asyncio.create_task(vtn.request("get", "MeterReadings", to="battery"))
        request = await to_thread(ven.next, lambda got: got.root == "RequestMessage")
        stolen = request.properties.reply_to.replace("battery", "heat-pump")
        key, inside = request.header("CorrelationID"), "<Reply><Result>OK</Result></Reply>"
        body = bare.envelope(
            "ResponseMessage", "reply", "MeterReadings", "heat-pump", "grid-operator", inside, correlation_id=key
        )

        await to_thread(other.publish, "to.vtn", stolen, body, correlation_id=key)

        await told.get(What.WRONG_REPLIER)
        await to_thread(ven.answer, request)
        reply = await asking
    assert "battery" == (reply.message and reply.message.source)


@pytest.mark.parametrize(
    ("what", "properties", "source"),
    [
        (What.NO_REPLY_ADDRESS, {"reply_to": "heat-pump.re.s1"}, "grid-operator"),
        (What.UNPROVEN, {"reply_to": "battery.re.s1", "headers": {"BCC": [], "CC": ["heat-pump"]}}, "grid-operator"),
        (What.SOURCE_DIFFERS, {"reply_to": "battery.re.s1"}, "heat-pump"),
    ],
)
async def test_a_ven_does_not_believe_a_forged_request(
    way: Any, bare: Any, notices: Any, what: What, properties: dict[str, Any], source: str
) -> None:
    ven: VirtualEndNode = way.our_ven()
    told, executed = notices(ven), []

    @ven.on_request("create", "EndDeviceControls")
    async def control(request: Message) -> None:
        executed.append(request)

    vtn = await to_thread(way.vtn)
    async with ven:
        body = create(bare, noun="EndDeviceControls", source=source, destination="battery")

        await to_thread(vtn.publish, "to.ven", "battery", body, **properties)

        await told.get(what)
        answer = await to_thread(vtn.request, "create", "EndDeviceControls", "battery", GROUP)
    assert ("OK", "0.0") == answer.outcome
    assert 1 == len(executed)


# ---------------------------------------------------------------- what the broker refuses


def refusal(channel: Any, do: Any) -> int:
    """Return the code by which the broker closes the channel on what `do` does."""
    with pytest.raises(pika.exceptions.ChannelClosedByBroker) as caught:
        do(channel)
    return int(caught.value.reply_code)


@PROVISIONED
@pytest.mark.parametrize(
    ("code", "exchange", "key", "user_id"),
    [
        (406, "to.vtn", "battery.in", "heat-pump"),
        (403, "to.vtn", "heat-pump.in", "account-of-battery"),
        (403, "to.vtn", "heat-pump.re.s1", "account-of-battery"),
        (403, "presence", "grid-operator", "account-of-battery"),
        (403, "to.ven", "heat-pump", "account-of-battery"),
        (403, "event", "price.north", "account-of-battery"),
    ],
)
def test_the_broker_refuses_what_is_anothers(way: Any, code: int, exchange: str, key: str, user_id: str) -> None:
    channel = way.bare_channel()
    channel.confirm_delivery()
    properties = pika.BasicProperties(user_id=user_id)

    closed = refusal(channel, lambda to: to.basic_publish(f"{way.domain.name}.{exchange}", key, b"<x/>", properties))

    assert code == closed


@PROVISIONED
@pytest.mark.parametrize(
    ("exchange", "key"),
    [("to.ven", "heat-pump"), ("event", "#"), ("presence", "*"), ("to.vtn", "*.in"), ("presence", "heat-pump")],
)
def test_a_ven_cannot_bind_to_what_is_anothers(way: Any, exchange: str, key: str) -> None:
    channel, domain = way.bare_channel(), way.domain.name
    queue = f"{domain}.ven.battery.s1"
    channel.queue_declare(queue, exclusive=True)

    assert 403 == refusal(channel, lambda to: to.queue_bind(queue, f"{domain}.{exchange}", key))


@PROVISIONED
@pytest.mark.parametrize("queue", ["ven.heat-pump.s1", "vtn.in", "other"])
def test_a_ven_cannot_declare_a_queue_of_anothers(way: Any, queue: str) -> None:
    name = f"{way.domain.name}.{queue}"

    assert 403 == refusal(way.bare_channel(), lambda to: to.queue_declare(name, exclusive=True))


@PROVISIONED
async def test_who_does_not_say_its_user_id_is_not_believed(
    way: Any, vtn: VirtualTopNode, created: list[str | None], bare: Any, notices: Any
) -> None:
    told = notices(vtn)
    async with vtn:
        ven = await to_thread(way.ven)

        await to_thread(ven.publish, IN[0], IN[1], create(bare), reply_to="battery", user_id=None)

        await told.get(What.UNPROVEN)
        assert await still_serves(ven, bare)
    assert ["battery"] == created


@OPEN
def test_in_the_open_way_a_user_id_must_be_the_login(way: Any) -> None:
    channel = way.bare_channel()
    way.ven()
    channel.confirm_delivery()
    properties = pika.BasicProperties(user_id="battery")

    closed = refusal(
        channel, lambda to: to.basic_publish(f"{way.domain.name}.presence", "battery", b"<x/>", properties)
    )

    assert 406 == closed


# ---------------------------------------------------------------- bare clients among themselves


@pytest.mark.parametrize("way", ["open", "provisioned-3"], indirect=True)
@pytest.mark.parametrize(
    ("flaw", "source", "properties"),
    [
        ("copy", "grid-operator", {"headers": {"CC": ["heat-pump"]}, "reply_to": "battery.re.s1"}),
        ("content_type", "grid-operator", {"content_type": "text/plain", "reply_to": "battery.re.s1"}),
        ("reply_to", "grid-operator", {"reply_to": "heat-pump.re.s1"}),
        ("2.14", "heat-pump", {"reply_to": "battery.re.s1"}),
    ],
)
def test_a_bare_ven_drops_or_refuses_what_the_page_says(
    way: Any, bare: Any, flaw: str, source: str, properties: dict[str, Any]
) -> None:
    vtn, ven = way.vtn(), way.ven()
    body = create(bare, source=source, destination="battery")

    vtn.publish("to.ven", "battery", body, **properties)
    ven.wait(lambda one: one.dropped)

    assert [flaw] == ven.dropped
    assert not [got for got in ven.kept if got.root == "RequestMessage"]
