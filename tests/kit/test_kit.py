"""The kit: what it asks, what it grants, and what it says."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from iec62746 import AccessControl, Capabilities, Domain, MissingCapability, Proof, ReceiptLevel, Unroutable
from iec62746.testing.harness import Access, BareHarness, Harness, redirected, through
from iec62746.testing.kit import Kit, conform
from iec62746.testing.proxy import Link
from iec62746.testing.report import Report, Status, Verdict, line, summary
from iec62746.testing.rule import Rule, rule
from iec62746.testing.rules import ALL
from iec62746.testing.stage import Stage
from iec62746_memory import MemoryTransport
from iec62746_memory.harness import MemoryHarness

MEMORY = MemoryTransport().capabilities("memory://kit")
BEST = Capabilities(
    receipt=ReceiptLevel.PEER,
    unroutable=Unroutable.DESTINATION,
    proof=Proof.END_TO_END,
    access_control=AccessControl.NODE,
    keeps_order=True,
    drops_expired=True,
    tells_blocked=True,
    tells_gone_within=1.0,
    stores_for_vtn=0.0,
    stores_for_vens=0.0,
    max_message=1_000_000,
    is_encrypted=True,
)


def report(*, is_bare: bool = False, failed: str = "", skipped: str = "") -> Report:
    """Return a report in which every rule passed but one."""
    statuses = {failed: Status.FAILED, skipped: Status.SKIPPED}
    verdicts = [Verdict(rule=one, status=statuses.get(one.id, Status.PASSED)) for one in ALL]
    return Report(
        transport="best://here",
        versions={"best": "1"},
        reach=BEST.reach,
        is_bare=is_bare,
        capabilities=BEST,
        verdicts=tuple(verdicts),
    )


def test_there_are_fifty_rules_at_least_each_with_a_number_and_a_sentence() -> None:
    numbers = [int(found[1]) for one in ALL if (found := re.search(r"_(\d\d)_", one.id))]

    assert len(ALL) >= 50
    assert numbers == list(range(1, len(ALL) + 1))
    assert all(re.match(r"(required|optional|stochastic)_", one.id) for one in ALL)
    assert all(re.fullmatch(r"[A-Z].*\.", one.statement, re.DOTALL) for one in ALL)


def test_the_memory_transport_passes_every_rule_that_applies(true_report: Report) -> None:
    assert not true_report.of(Status.FAILED)
    assert true_report.profiles == ("core", "realtime")


def test_rules_are_skipped_for_what_is_not_declared_or_what_cannot_be_done_to_it(true_report: Report) -> None:
    harness = MemoryHarness("memory://kit")
    skipped = {one.rule.id: one.reason for one in true_report.of(Status.SKIPPED)}

    expected = {one.id: one.lacks(MEMORY) or one.misses(harness) for one in ALL}
    assert skipped == {name: reason for name, reason in expected.items() if reason}
    assert {name for name, reason in skipped.items() if "hook" in reason} == {
        "optional_restart_62_the_server_restarts",
        "optional_revoked_77_a_right_is_taken_away",
    }


def test_the_json_is_as_it_was_promised(true_report: Report) -> None:
    written = json.loads(true_report.to_json())

    assert set(written) == {"transport", "versions", "rules", "profiles"}
    assert len(written["rules"]) == len(ALL)
    for one in written["rules"]:
        assert set(one) == {"id", "status", "reason", "seconds"}
        assert one["status"] in ("passed", "failed", "skipped")
        assert bool(one["reason"]) == (one["status"] != "passed")
    assert written["profiles"] == ["core", "realtime"]
    assert written["versions"]["iec62746"]


def test_the_report_for_people_says_that_all_ran_in_one_process(true_report: Report) -> None:
    text = "\n".join(summary(true_report))

    assert "in one process" in text
    assert "profile realtime  granted" in text
    assert "profile secure    not granted: proof is claimed" in text


def test_all_profiles_are_granted_where_everything_passed() -> None:
    assert report().profiles == ("core", "realtime", "secure")


def test_a_failure_costs_every_profile() -> None:
    made = report(failed="required_14_bodies_are_octets")

    assert made.profiles == ()


@pytest.mark.parametrize(
    ("skipped", "profiles"),
    [
        ("required_53_a_cut_is_told_once", ()),
        ("optional_unroutable_44_outcomes_are_not_mixed_up", ("core", "secure")),
        ("optional_access_control_75_nodes_are_granted", ("core", "realtime")),
        ("optional_keeps_order_20_in_the_order_sent", ("core", "realtime", "secure")),
        ("optional_restart_62_the_server_restarts", ("core", "realtime", "secure")),
    ],
)
def test_a_skip_costs_the_profiles_that_demand_the_rule(skipped: str, profiles: tuple[str, ...]) -> None:
    assert report(skipped=skipped).profiles == profiles


def test_without_a_harness_it_is_core_at_most() -> None:
    made = report(is_bare=True)

    assert made.profiles == ("core",)
    assert "no harness" in made.denied("realtime")


def test_a_profile_needs_all_rules_to_be_tried() -> None:
    assert replace(report(), is_whole=False).profiles == ()


class Poor(MemoryHarness):
    """The memory harness without a way to make it fail."""

    def has(self, hook: str) -> bool:
        return False


@pytest.mark.parametrize(
    ("name", "status"),
    [
        # tells_blocked is declared, and nobody can prove it; being full is no capability.
        ("optional_tells_blocked_65_pressure_is_told", Status.FAILED),
        ("optional_full_63_a_full_inbox_refuses", Status.SKIPPED),
        ("required_53_a_cut_is_told_once", Status.SKIPPED),
    ],
)
async def test_a_missing_hook_fails_what_is_declared_and_skips_the_rest(name: str, status: Status) -> None:
    made = await conform("memory://poor", harness=Poor("memory://poor"), rules=[of(name)])

    assert made.verdicts[0].status is status
    assert "the harness has no" in made.verdicts[0].reason


def of(name: str) -> Rule:
    """Return the rule of that id."""
    return next(one for one in ALL if one.id == name)


async def test_the_order_is_another_for_each_seed_and_the_same_for_one() -> None:
    orders = []
    for seed in (1, 1, 2):
        made = await conform("memory://seeds", rules=[one for one in ALL if "reply" in one.id], seed=seed)
        orders.append([one.rule.id for one in made.verdicts])

    assert orders[0] == orders[1] != orders[2]


async def test_a_rule_that_hangs_fails_at_its_limit() -> None:
    @rule(seconds=0.2)
    async def required_99_hangs(stage: Stage) -> None:
        """It hangs."""
        await asyncio.Event().wait()

    made = await conform("memory://hangs", rules=[required_99_hangs])

    assert made.verdicts[0].status is Status.FAILED
    assert made.verdicts[0].reason == "it did not end within 0.2 s"
    assert "failed" in line(made.verdicts[0])


async def test_what_a_harness_raises_fails_the_rule_and_not_the_run() -> None:
    class Clumsy(MemoryHarness):
        async def cut(self, domain: Domain, party: str) -> None:
            raise OSError("no scissors")

    names = ("required_53_a_cut_is_told_once", "required_06_closing_is_idempotent")
    made = await conform("memory://clumsy", harness=Clumsy("memory://clumsy"), rules=map(of, names))

    assert [one.status for one in made.verdicts] == [Status.FAILED, Status.PASSED]
    assert "OSError: no scissors" in made.verdicts[0].reason


async def test_what_a_rule_left_open_is_closed_before_the_next() -> None:
    @rule()
    async def required_98_leaves(stage: Stage) -> None:
        """It leaves sessions open."""
        await stage.pair()

    harness = MemoryHarness("memory://leaves")
    async with Kit("memory://leaves", harness=harness) as kit:
        verdict = await kit.verdict(required_98_leaves)
        left = [session for one in kit.domains for session in await harness.leftovers(one)]

    assert verdict.status is Status.PASSED
    assert not left


class Broken(BareHarness):
    """Fails half-way."""

    reach = "process"
    torn_down = 0

    async def set_up(self, domain: Domain) -> None:
        raise MissingCapability("nothing is here")

    async def tear_down(self) -> None:
        self.torn_down += 1


async def test_a_harness_that_fails_half_way_is_torn_down() -> None:
    harness = Broken("memory://broken")

    with pytest.raises(MissingCapability):
        await conform("memory://broken", harness=harness)
    assert harness.torn_down == 1


def test_a_transport_object_is_not_given_to_other_processes() -> None:
    with pytest.raises(ValueError, match="install it"):
        Kit("memory://far", harness=Far("memory://far"), transport=MemoryTransport())


class Far(BareHarness):
    """Says that it reaches further than it does."""

    reach = "network"


async def test_parties_of_a_network_run_in_processes_of_their_own() -> None:
    """Memory reaches no further than a process: so there the parties cannot meet, and the kit says what is wrong."""
    url = "memory://far"
    made = await conform(url, harness=Far(url), rules=[of("required_02_an_open_session_is_ready")])

    assert made.verdicts[0].status is Status.FAILED
    assert "is not there" in made.verdicts[0].reason
    assert "Each party ran in a process of its own." in summary(made)


def test_secrets_are_not_shown() -> None:
    access = Access(urls=("amqp://me:secret@host",), password="secret", key_file="secret")

    assert "secret" not in repr(access)
    assert "secret" not in str(report().to_json())


def test_urls_lead_through_a_proxy_with_all_that_they_say() -> None:
    access = Access(urls=("amqp://me:pass@one:1/north?heartbeat=5", "amqp://me:pass@two:1/north?heartbeat=5"))

    assert redirected("amqps://host/%2F", ("127.0.0.1", 9)) == "amqps://127.0.0.1:9/%2F"
    assert through(access, ("::", 2)).urls == ("amqp://me:pass@[::]:2/north?heartbeat=5",)


@pytest.mark.parametrize("hook", ["cut", "restart", "pressure", "full", "revoked", "leftovers"])
def test_a_harness_has_the_hooks_that_it_overrides(hook: str) -> None:
    assert not BareHarness("memory://x").has(hook)
    assert MemoryHarness("memory://x").has(hook) == (hook not in ("restart", "revoked"))
    assert callable(getattr(Harness, hook))


# ---------------------------------------------------------------- the proxy


@pytest.fixture
async def echo() -> AsyncIterator[tuple[str, int]]:
    """Return where a server says what it is told."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(1000):
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        host, port = server.sockets[0].getsockname()[:2]
        yield host, port


async def test_a_link_carries_octets_and_is_cut_by_a_reset(echo: tuple[str, int]) -> None:
    async with asyncio.timeout(10), Link(echo) as link:
        reader, writer = await asyncio.open_connection(*link.endpoint)
        writer.write(b"hello")
        assert await reader.readexactly(5) == b"hello"
        link.cut()

        with pytest.raises(ConnectionResetError):
            await reader.readexactly(1)
        writer.close()


async def test_a_frozen_link_carries_nothing_and_when_thawed_what_was_held(echo: tuple[str, int]) -> None:
    async with asyncio.timeout(10), Link(echo) as link:
        reader, writer = await asyncio.open_connection(*link.endpoint)
        writer.write(b"one")
        await reader.readexactly(3)
        link.freeze()
        carried = link.octets
        writer.write(b"two")
        waiting = asyncio.ensure_future(reader.readexactly(3))
        await asyncio.wait([waiting], timeout=0.1)
        assert not waiting.done()
        assert link.octets == carried
        link.thaw()

        assert await waiting == b"two"
        writer.close()
