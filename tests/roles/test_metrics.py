"""Each metric moves when what it counts truly happens, and nobody outside can add series."""

import asyncio
import gc
import threading
import urllib.request
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from iec62746 import (
    Delivery,
    Domain,
    Iec62746Error,
    Inbox,
    Kind,
    LocalError,
    Message,
    NoReply,
    PermissionDenied,
    Presence,
    Proof,
    Refused,
    Reply,
    ReplyTo,
    RequestFailed,
    Result,
    Rule,
    SessionLost,
    State,
    VirtualEndNode,
    VirtualTopNode,
    What,
    encode,
    payload,
)
from iec62746 import connection as module
from iec62746._measures import COUNTERS, ERRORS, MEASURES, VALUES, name_of
from iec62746.demo import demonstrate
from iec62746.demo.wire import Wire
from iec62746.metrics import Metrics

MakeDomain = Callable[..., Domain]
Soon = Callable[[Callable[[], bool]], Any]
CONTROL = '<Control xmlns="urn:test"/>'


def value(metrics: Metrics, name: str, **labels: str) -> float:
    return metrics.registry.get_sample_value(f"iec62746_{name}", labels) or 0.0


def messages(metrics: Metrics, direction: str, pattern: str, verb: str, result: str) -> float:
    return value(metrics, "messages_total", direction=direction, pattern=pattern, verb=verb, result=result)


def series(metrics: Metrics) -> int:
    return sum(len(family.samples) for family in metrics.registry.collect())


def watched(*participants: Any) -> Metrics:
    metrics = Metrics()
    for participant in participants:
        metrics.watch(participant)
    return metrics


@pytest.fixture
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Do not wait as long as in the field."""
    monkeypatch.setattr(module, "RETRY_FIRST", 0.001)
    monkeypatch.setattr(module, "RETRY_MOST", 0.002)


# ---------------------------------------------------------------- messages


async def test_a_request_and_its_reply_are_counted_at_both_ends(domain: MakeDomain, url: str) -> None:
    north = domain()
    vtn, ven = VirtualTopNode(north, url), VirtualEndNode(north, url, "ven-1")
    ven.on_request("create", "EndDeviceControls")(lambda request: None)
    at_vtn, at_ven = watched(vtn), watched(ven)

    async with vtn, ven:
        await vtn.request("create", "EndDeviceControls", CONTROL, to="ven-1")

    assert 1 == messages(at_vtn, "out", "request", "create", "OK")
    assert 1 == messages(at_vtn, "in", "reply", "reply", "OK")
    assert 1 == messages(at_ven, "in", "request", "create", "taken")
    assert 1 == messages(at_ven, "out", "reply", "reply", "OK")
    assert 1 == value(at_vtn, "request_seconds_count", verb="create")
    assert 1 == value(at_ven, "handler_seconds_count", pattern="request")


async def test_partial_failed_and_broken_are_told_apart(domain: MakeDomain, url: str) -> None:
    north = domain()
    vtn, ven = VirtualTopNode(north, url), VirtualEndNode(north, url, "ven-1")
    metrics = watched(vtn, ven)

    @ven.on_request("create", "EndDeviceControls")
    async def partly(request: Message) -> Reply:
        return Reply(result=Result.PARTIAL)

    @ven.on_request("change", "EndDeviceControls")
    async def refuse(request: Message) -> None:
        raise Refused("6.1", "empty")

    @ven.on_request("cancel", "EndDeviceControls")
    async def fail(request: Message) -> None:
        raise ValueError("on purpose")

    async with vtn, ven:
        await vtn.request("create", "EndDeviceControls", CONTROL, to="ven-1")
        for verb in ("change", "cancel", "delete"):  # nobody handles delete
            with pytest.raises(RequestFailed):
                await vtn.request(verb, "EndDeviceControls", CONTROL, to="ven-1")

    assert 1 == messages(metrics, "out", "request", "create", "PARTIAL")
    assert [1, 1, 1] == [messages(metrics, "out", "request", verb, "FAILED") for verb in ("change", "cancel", "delete")]
    assert 1 == messages(metrics, "out", "reply", "reply", "PARTIAL")
    assert 3 == messages(metrics, "out", "reply", "reply", "FAILED")
    assert 3 == messages(metrics, "in", "reply", "reply", "FAILED")
    assert 1 == value(metrics, "notices_total", what="handler-failed")
    assert 1 == value(metrics, "notices_total", what="no-handler")


async def test_a_request_without_reply_has_the_name_of_its_error(domain: MakeDomain, url: str) -> None:
    north = domain()
    vtn, ven = VirtualTopNode(north, url), VirtualEndNode(north, url, "ven-1")
    release = asyncio.Event()
    metrics = watched(vtn)

    @ven.on_request("get", "MeterReadings")
    async def slow(request: Message) -> None:
        await release.wait()

    async with vtn, ven:
        with pytest.raises(NoReply):
            await vtn.request("get", "MeterReadings", to="ven-1", timeout=0.01)
        with pytest.raises(PermissionDenied):
            await vtn.request("get", "MarketPrices", to="ven-1")
        asking = asyncio.ensure_future(vtn.request("get", "MeterReadings", to="ven-1"))
        await asyncio.sleep(0)
        asking.cancel()
        await asyncio.wait([asking])
        release.set()

    assert 1 == messages(metrics, "out", "request", "get", "NoReply")
    assert 1 == messages(metrics, "out", "request", "get", "PermissionDenied")
    assert 1 == messages(metrics, "out", "request", "get", "Cancelled")
    assert 3 == value(metrics, "request_seconds_count", verb="get")


async def test_events_of_the_vtn_and_of_vens_are_told_apart(domain: MakeDomain, url: str, soon: Soon) -> None:
    north = domain()
    vtn, ven = VirtualTopNode(north, url), VirtualEndNode(north, url, "ven-1")
    metrics = watched(vtn, ven)
    vtn.on_event(noun="MeterReadings")(lambda event: None)
    ven.on_event(node="price.north")(lambda event: None)

    async with vtn, ven:
        await vtn.publish("MarketPrices", CONTROL, node="price.north")
        await ven.publish("MeterReadings", CONTROL, verb="changed")
        with pytest.raises(PermissionDenied):
            await ven.publish("MarketPrices", CONTROL)
        await soon(lambda: messages(metrics, "in", "ven_event", "changed", "taken") == 1)
        await soon(lambda: messages(metrics, "in", "event", "created", "taken") == 1)

    assert 1 == messages(metrics, "out", "event", "created", "sent")
    assert 1 == messages(metrics, "out", "ven_event", "changed", "sent")
    assert 1 == messages(metrics, "out", "ven_event", "created", "PermissionDenied")
    assert 1 == value(metrics, "handler_seconds_count", pattern="event")
    assert 1 == value(metrics, "handler_seconds_count", pattern="ven_event")


async def test_what_the_vtn_answers_itself_is_counted(domain: MakeDomain, url: str) -> None:
    north = domain()
    vtn, ven = VirtualTopNode(north, url), VirtualEndNode(north, url, "ven-1")
    metrics = watched(vtn)

    async with vtn, ven:
        await ven.request("get", "Nodes")

    assert 1 == messages(metrics, "in", "request", "get", "taken")
    assert 1 == messages(metrics, "out", "reply", "reply", "OK")
    assert 1 == value(metrics, "notices_total", what="answered")


async def test_what_is_counted_is_what_was_on_the_wire(url: str) -> None:
    metrics, wire = Metrics(), Wire(None, is_json=True)

    assert not await demonstrate(url, wire, metrics.watch)

    sums: Counter[tuple[str, str]] = Counter()
    for family in metrics.registry.collect():
        for sample in family.samples:
            if sample.name == "iec62746_messages_total" and sample.labels["result"] not in ERRORS:
                sums[sample.labels["direction"], sample.labels["pattern"]] += int(sample.value)
    [no_receiver] = [True] * int(messages(metrics, "out", "request", "get", "NoReceiver"))
    assert wire.count(Kind.EVENT) == sum(sums["out", pattern] for pattern in ("event", "ven_event", "presence"))
    assert wire.count(Kind.RESPONSE) == sums["out", "reply"]
    assert wire.count(Kind.REQUEST) == sums["in", "request"] + no_receiver


# ---------------------------------------------------------------- time


async def test_the_limits_of_the_specification_are_buckets(domain: MakeDomain, url: str) -> None:
    north = domain()
    vtn, ven = VirtualTopNode(north, url), VirtualEndNode(north, url, "ven-1")
    ven.on_request("create", "EndDeviceControls")(lambda request: None)
    metrics = watched(vtn)

    async with vtn, ven:
        await vtn.request("create", "EndDeviceControls", CONTROL, to="ven-1")

    within = [value(metrics, "request_seconds_bucket", verb="create", le=le) for le in ("30.0", "60.0", "+Inf")]
    assert [1, 1, 1] == within
    assert 0 < value(metrics, "request_seconds_sum", verb="create") < 30


async def test_a_handler_over_its_time_is_counted_with_that_time(domain: MakeDomain, url: str) -> None:
    north = domain(handling=0.05)
    vtn, ven = VirtualTopNode(north, url), VirtualEndNode(north, url, "ven-1")
    metrics = watched(ven)

    @ven.on_request("create", "EndDeviceControls")
    async def slow(request: Message) -> None:
        await asyncio.Event().wait()

    async with vtn, ven:
        with pytest.raises(RequestFailed):
            await vtn.request("create", "EndDeviceControls", CONTROL, to="ven-1")

    assert 1 == value(metrics, "handler_seconds_count", pattern="request")
    assert value(metrics, "handler_seconds_sum", pattern="request") >= 0.05
    assert 1 == value(metrics, "notices_total", what="handler-too-slow")


async def test_an_answer_that_the_handler_gave_too_late_is_not_counted(domain: MakeDomain, url: str) -> None:
    north = domain(handling=0.05)
    vtn, ven = VirtualTopNode(north, url), VirtualEndNode(north, url, "ven-1")
    metrics, ended = watched(ven), asyncio.Event()

    @ven.on_request("create", "EndDeviceControls")
    async def slow(request: Message) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            ended.set()

    async with vtn, ven:
        with pytest.raises(RequestFailed):
            await vtn.request("create", "EndDeviceControls", CONTROL, to="ven-1")
        await ended.wait()

    assert (0, 1) == (
        messages(metrics, "out", "reply", "reply", "OK"),
        messages(metrics, "out", "reply", "reply", "FAILED"),
    )


async def test_an_answer_may_be_under_way_for_longer_than_a_handler(
    domain: MakeDomain, script: Any, soon: Soon
) -> None:
    by, room, sent = script(), asyncio.Event(), list[object]()
    ven = VirtualEndNode(domain(handling=0.05), "scripted://x", "ven-1", transport=by)
    metrics = watched(ven)
    ven.on_request("create", "EndDeviceControls")(lambda request: None)

    async def send(to: object, message: object) -> None:
        if isinstance(to, ReplyTo):
            await room.wait()
        sent.append(to)

    message = Message(kind=Kind.REQUEST, verb="create", noun="EndDeviceControls", source="operator", message_id="1")
    request = Delivery(
        body=encode(message),
        address=Inbox("ven-1"),
        sender="operator",
        proof=Proof.CLAIMED,
        reply_to=ReplyTo("operator"),
        correlation_id="1",
    )
    async with ven:
        by.sessions[0].send = send
        await by.sessions[0].delivers[Inbox("ven-1")](request)
        await soon(lambda: value(metrics, "handler_seconds_count", pattern="request") == 1)
        room.set()
        await soon(lambda: ReplyTo("operator") in sent)

    assert 0 == value(metrics, "notices_total", what="handler-too-slow")
    assert 1 == messages(metrics, "out", "reply", "reply", "OK")


# ---------------------------------------------------------------- gauges


async def test_pending_and_handlers_are_what_is_under_way(domain: MakeDomain, url: str, soon: Soon) -> None:
    north = domain(handlers=1)
    vtn, ven = VirtualTopNode(north, url), VirtualEndNode(north, url, "ven-1")
    release = asyncio.Event()
    metrics = watched(vtn, ven)

    @ven.on_request("create", "EndDeviceControls")
    async def slow(request: Message) -> None:
        await release.wait()

    async with vtn, ven, asyncio.TaskGroup() as group:
        for _ in range(3):
            group.create_task(vtn.request("create", "EndDeviceControls", CONTROL, to="ven-1"))
        await soon(lambda: value(metrics, "handlers_waiting") == 2)

        assert (3, 1) == (value(metrics, "pending"), value(metrics, "handlers_running"))
        release.set()

    assert (0, 0, 0) == tuple(value(metrics, name) for name in ("pending", "handlers_running", "handlers_waiting"))


async def test_presence_counts_parties_by_state(domain: MakeDomain, url: str, soon: Soon) -> None:
    north = domain()
    vtn = VirtualTopNode(north, url)
    vens = [VirtualEndNode(north, url, name) for name in ("ven-1", "ven-2")]
    metrics = watched(vtn)

    async with vtn:
        async with vens[0], vens[1]:
            await soon(lambda: value(metrics, "parties", state="online") == 2)
            await vens[0].announce(State.AWAY)
            await soon(lambda: value(metrics, "parties", state="away") == 1)
            assert 1 == value(metrics, "parties", state="online")
        await soon(lambda: value(metrics, "parties", state="offline") == 2)

    assert [0, 0, 0] == [value(metrics, "parties", state=state) for state in ("online", "away", "gone")]
    assert messages(metrics, "in", "presence", "changed", "taken") >= 5
    assert messages(metrics, "out", "presence", "changed", "sent") >= 2


async def test_connected_lost_again_and_blocked(
    domain: MakeDomain, script: Any, soon: Soon, short_pauses: None
) -> None:
    plan = script(["first", "second"])
    ven = VirtualEndNode(domain(), "scripted://x", "ven-1", transport=plan)
    metrics = watched(ven)
    assert (1, 0) == (value(metrics, "participants"), value(metrics, "connected"))

    async with ven:
        assert (1, 0) == (value(metrics, "connected"), value(metrics, "reconnects_total"))
        plan.sessions[0].observer.blocked(True)
        assert 1 == value(metrics, "blocked")
        plan.sessions[0].observer.lost(SessionLost("cut"))
        await soon(lambda: value(metrics, "reconnects_total") == 1)
        assert (1, 0) == (value(metrics, "connected"), value(metrics, "blocked"))

    assert 0 == value(metrics, "connected")
    assert 1 == value(metrics, "lost_total", cause="SessionLost")


async def test_a_participant_that_is_dropped_is_counted_no_more(domain: MakeDomain, url: str) -> None:
    metrics = watched(VirtualTopNode(domain(), url))
    gc.collect()

    assert 0 == value(metrics, "participants")


# ---------------------------------------------------------------- what was dropped, refused or mended


async def delivered(session: Any, body: bytes, sender: str = "operator", times: int = 1) -> None:
    address = Inbox("ven-1")
    delivery = Delivery(
        body=body, address=address, sender=sender, proof=Proof.CLAIMED, reply_to=ReplyTo("x"), correlation_id="c"
    )
    for _ in range(times):
        await session.delivers[address](delivery)


async def test_notices_findings_and_unreadable_documents_are_counted_by_kind_and_rule(
    domain: MakeDomain, script: Any, soon: Soon
) -> None:
    plan = script()
    ven = VirtualEndNode(domain(), "scripted://x", "ven-1", transport=plan)
    ven.on_request("create", "EndDeviceControls")(lambda request: None)
    metrics = watched(ven)
    request = Message(kind=Kind.REQUEST, verb="create", noun="EndDeviceControls", source="operator", message_id="1")

    async with ven:
        session = plan.sessions[0]
        await delivered(session, b"garbage")
        await delivered(session, encode(request), times=2)
        await delivered(session, encode(Reply().to_message("X")))
        await delivered(session, encode(request), sender="mallory")
        await soon(lambda: messages(metrics, "out", "reply", "reply", "OK") == 1)

    assert 1 == value(metrics, "unreadable_total", rule="not-xml")
    assert 1 == value(metrics, "notices_total", what="unreadable")
    assert 1 == value(metrics, "notices_total", what="duplicate")
    assert 1 == value(metrics, "notices_total", what="late-reply")
    assert 1 == value(metrics, "notices_total", what="stranger")


async def test_findings_are_counted_by_the_rule_that_the_document_breaks(domain: MakeDomain, script: Any) -> None:
    tolerant = Domain.parse(
        '[domain]\nname = "north"\nvtn = "operator"\nreading = "tolerant"\n[roles.r]\nserve.create = ["N"]\n'
        '[parties.ven-1]\nroles = ["r"]\n'
    )
    plan = script()
    ven = VirtualEndNode(tolerant, "scripted://x", "ven-1", transport=plan)
    metrics = watched(ven)
    body = encode(Message(kind=Kind.REQUEST, verb="create", noun="N", source="operator", message_id="1"))

    async with ven:
        await delivered(plan.sessions[0], body.replace(b"<Verb>create", b"<Verb>Create"))

    assert 1 == value(metrics, "findings_total", rule="verb-case")


async def test_two_live_sessions_of_a_party_are_a_conflict(domain: MakeDomain, script: Any) -> None:
    plan = script()
    vtn = VirtualTopNode(domain(), "scripted://x", transport=plan)
    metrics = watched(vtn)

    async with vtn:
        for session, epoch in (("older", 1), ("newer", 2)):
            item = (
                f'<Presence xmlns="urn:iec62746:presence:1"><state>online</state><session>{session}</session>'
                f"<epoch>{epoch}</epoch><interval>30</interval></Presence>"
            )
            event = Message(kind=Kind.EVENT, verb="changed", noun="Presence", source="ven-1", payload=payload(item))
            address = Presence()
            await plan.sessions[0].delivers[address](
                Delivery(body=encode(event), address=address, sender="ven-1", proof=Proof.CLAIMED)
            )

    assert 1 == value(metrics, "conflicts_total")
    assert 2 == messages(metrics, "in", "presence", "changed", "taken")


# ---------------------------------------------------------------- bounds


async def test_a_thousand_odd_verbs_nouns_and_parties_add_no_series(domain: MakeDomain, script: Any) -> None:
    plan = script()
    ven = VirtualEndNode(domain(), "scripted://x", "ven-1", transport=plan)
    metrics = watched(ven)

    async def bother(number: int) -> None:
        with pytest.raises(Iec62746Error):
            await ven.request(f"odd-{number}", f"Noun{number}")
        with pytest.raises(Iec62746Error):
            await ven.publish(f"Noun{number}", CONTROL, verb=f"odd-{number}")
        request = Message(kind=Kind.REQUEST, verb="create", noun=f"Noun{number}", message_id=f"id-{number}")
        await delivered(plan.sessions[0], encode(request))
        await delivered(plan.sessions[0], encode(request), sender=f"party-{number}")
        await delivered(plan.sessions[0], f"<a{number}>".encode())

    async with ven:
        await bother(0)
        before = series(metrics)
        for number in range(1, 1000):
            await bother(number)

        assert before == series(metrics)
    assert 1000 == messages(metrics, "out", "request", "other", "InvalidMessage")
    assert 1000 == value(metrics, "notices_total", what="stranger")


async def test_every_label_has_a_value_of_the_table(domain: MakeDomain, url: str) -> None:
    north = domain()
    vtn, ven = VirtualTopNode(north, url), VirtualEndNode(north, url, "ven-1")
    metrics = watched(vtn, ven)
    ven.on_event(node="price.north")(lambda event: None)

    async with vtn, ven:
        await vtn.publish("MarketPrices", CONTROL, node="price.north")
        await ven.request("get", "Nodes")

    samples = [sample for family in metrics.registry.collect() for sample in family.samples]
    pairs = {pair for sample in samples for pair in sample.labels.items() if pair[0] != "le"}
    assert {("direction", "in"), ("what", "answered")} <= pairs
    assert not {(label, text) for label, text in pairs if text not in VALUES[label]}


def test_an_error_of_a_third_party_has_the_name_of_its_class_in_our_tree() -> None:
    class Odd(SessionLost):
        pass

    assert ("SessionLost", "other") == (name_of(Odd("x")), name_of(ValueError("x")))


def test_every_kind_of_notice_is_there_from_the_start() -> None:
    metrics = Metrics()

    families = [family for family in metrics.registry.collect() if family.name == "iec62746_notices"]
    samples = {sample.labels["what"] for family in families for sample in family.samples}
    assert set(What) == samples


def test_the_table_is_what_is_registered() -> None:
    registered = {family.name: (family.type, family.documentation) for family in Metrics().registry.collect()}

    assert {one.name.removesuffix("_total"): (one.type, one.help) for one in MEASURES} == registered
    assert all(one.name.endswith("_total") for one in COUNTERS)
    assert set(Rule) < set(VALUES["rule"])


# ---------------------------------------------------------------- who may watch, and see


async def test_it_is_watched_once_and_before_it_is_opened(domain: MakeDomain, url: str) -> None:
    vtn = VirtualTopNode(domain(), url)
    Metrics().watch(vtn)

    with pytest.raises(LocalError, match="watched already"):
        Metrics().watch(vtn)
    other = VirtualEndNode(domain(), url, "ven-1")
    async with other:
        with pytest.raises(LocalError, match="before it is opened"):
            Metrics().watch(other)


def test_one_registry_has_the_metrics_once() -> None:
    registry = CollectorRegistry()
    Metrics(registry)

    with pytest.raises(ValueError, match="iec62746_"):
        Metrics(registry)


async def test_they_are_had_over_http_while_it_works_and_not_afterwards(domain: MakeDomain, url: str) -> None:
    vtn = VirtualTopNode(domain(), url)
    metrics = watched(vtn)

    async with vtn:
        with metrics.serve(0) as port:
            text = await asyncio.to_thread(_scraped, port)

    assert "iec62746_connected 1.0\n" in text
    assert 'iec62746_notices_total{what="duplicate"} 0.0\n' in text
    with pytest.raises(OSError, match="refused"):
        await asyncio.to_thread(_scraped, port)
    assert not [one for one in threading.enumerate() if "serve_forever" in one.name]


def test_a_port_that_is_taken_is_said_so() -> None:
    with (
        Metrics().serve(0) as port,
        pytest.raises(LocalError, match=f"127.0.0.1 port {port}.*another"),
        Metrics().serve(port),
    ):
        pass


def _scraped(port: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
        return str(answer.read(), "utf-8")
