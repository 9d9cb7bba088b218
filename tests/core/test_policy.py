import gc
import json
import tomllib
from importlib import resources
from itertools import product
from pathlib import Path
from typing import Any
from weakref import ref

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iec62746.address import matches
from iec62746.domain import VERBS, Domain
from iec62746.policy import Action, Decision, Policy

NORTH = """\
[domain]
name = "north"
vtn = "grid-operator"
[nodes."price.north"]
nouns = ["MarketPrices"]
current = true
[nodes."price.north.forecast"]
nouns = ["MarketPrices"]
[nodes."dispatch.north"]
nouns = ["EndDeviceControls"]
[roles.household]
subscribe = ["price.north"]
publish = ["MeterReadings"]
request.get = ["EndDeviceControls"]
request.create = ["DERGroups"]
serve.create = ["EndDeviceControls"]
[roles.flexible]
subscribe = ["price.#"]
serve.cancel = ["EndDeviceControls"]
[roles.trader]
request.get = ["MarketPrices"]
[parties.ven-1]
roles = ["household"]
[parties.ven-2]
roles = ["household", "flexible"]
[parties.ven-3]
roles = []
[parties.ven-4]
roles = ["trader"]
"""
VTN = "grid-operator"
EXAMPLES = Path(str(resources.files("iec62746.demo")))


@pytest.fixture
def policy() -> Policy:
    return Policy(Domain.parse(NORTH, "north.toml"))


def line_of(text: str) -> int:
    return NORTH[: NORTH.index(text)].count("\n") + 1


def test_a_decision_is_true_where_allowed() -> None:
    allowed = Decision(is_allowed=True, rule="4.4", reason="")
    refused = Decision(is_allowed=False, rule="4.4", reason="")

    assert allowed
    assert not refused


def test_the_actions_have_their_names_as_values() -> None:
    assert [*Action] == ["subscribe", "publish", "request"]


# ---------------------------------------------------------------- subscribe


@pytest.mark.requirement("R-6d")
def test_a_role_says_which_nodes_a_party_may_subscribe_to(policy: Policy) -> None:
    decision = policy.may_subscribe("ven-1", "price.north")

    assert decision == Decision(
        is_allowed=True,
        rule="roles.household.subscribe",
        line=line_of('subscribe = ["price.north"]'),
        reason="role household may subscribe to price.north",
    )


@pytest.mark.requirement("R-6d")
def test_a_node_that_no_role_lists_is_refused(policy: Policy) -> None:
    decision = policy.may_subscribe("ven-1", "dispatch.north")

    assert decision == Decision(
        is_allowed=False,
        rule="roles.household.subscribe",
        line=line_of('subscribe = ["price.north"]'),
        reason="ven-1 has role household, whose subscribe does not list dispatch.north",
    )


@pytest.mark.requirement("R-5.6b")
def test_a_pattern_allows_the_node_and_all_below(policy: Policy) -> None:
    by_pattern = policy.may_subscribe("ven-2", "price.north.forecast")
    by_name = policy.may_subscribe("ven-1", "price.north.forecast")

    assert (by_pattern.is_allowed, by_pattern.rule) == (True, "roles.flexible.subscribe")
    assert not by_name


@pytest.mark.requirement("R-5.6a")
def test_a_node_that_is_not_defined_is_refused_even_where_a_pattern_would_fit(policy: Policy) -> None:
    decision = policy.may_subscribe("ven-2", "price.east")

    assert (decision.is_allowed, decision.rule) == (False, 'nodes."price.east"')
    assert decision.reason == "the node price.east is not defined"


def test_the_vtn_subscribes_to_no_node(policy: Policy) -> None:
    decision = policy.may_subscribe(VTN, "price.north")

    assert (decision.is_allowed, decision.rule, decision.line) == (False, "domain.vtn", 3)


# ---------------------------------------------------------------- publish


@pytest.mark.requirement("R-6d")
def test_the_vtn_publishes_on_a_node_what_the_node_lists(policy: Policy) -> None:
    decision = policy.may_publish(VTN, "MarketPrices", "price.north")

    assert (decision.is_allowed, decision.rule, decision.line) == (True, 'nodes."price.north".nouns', 5)


def test_the_vtn_publishes_nothing_else_there(policy: Policy) -> None:
    decision = policy.may_publish(VTN, "EndDeviceControls", "price.north")

    assert (decision.is_allowed, decision.rule, decision.line) == (False, 'nodes."price.north".nouns', 5)
    assert decision.reason == "the nouns of price.north do not list EndDeviceControls"


@pytest.mark.requirement("R-5.6a")
def test_the_vtn_publishes_on_no_node_that_is_not_defined(policy: Policy) -> None:
    decision = policy.may_publish(VTN, "MarketPrices", "price.east")

    assert (decision.is_allowed, decision.rule) == (False, 'nodes."price.east"')


def test_the_vtn_says_on_which_node_it_publishes(policy: Policy) -> None:
    decision = policy.may_publish(VTN, "MarketPrices")

    assert (decision.is_allowed, decision.rule, decision.line) == (False, "5.5.4", 0)


@pytest.mark.requirement("R-6d")
def test_a_role_says_which_events_a_ven_may_send(policy: Policy) -> None:
    decision = policy.may_publish("ven-1", "MeterReadings")

    assert (decision.is_allowed, decision.rule) == (True, "roles.household.publish")


@pytest.mark.requirement("R-6d")
def test_an_event_that_no_role_lists_is_refused(policy: Policy) -> None:
    decision = policy.may_publish("ven-1", "MarketPrices")

    assert (decision.is_allowed, decision.rule) == (False, "roles.household.publish")
    assert decision.reason == "ven-1 has role household, whose publish does not list MarketPrices"


@pytest.mark.requirement("R-4.4b")
def test_a_ven_publishes_on_no_node(policy: Policy) -> None:
    decision = policy.may_publish("ven-1", "MeterReadings", "price.north")

    assert (decision.is_allowed, decision.rule) == (False, "5.5.4")


# ---------------------------------------------------------------- request


@pytest.mark.requirement("R-6d")
def test_a_role_says_what_a_ven_may_ask_of_the_vtn(policy: Policy) -> None:
    decision = policy.may_request("ven-1", VTN, "create", "DERGroups")

    assert (decision.is_allowed, decision.rule) == (True, "roles.household.request.create")
    assert decision.line == line_of("request.create")


@pytest.mark.requirement("R-6d")
def test_a_role_says_what_the_vtn_may_ask_of_a_ven(policy: Policy) -> None:
    decision = policy.may_request(VTN, "ven-1", "create", "EndDeviceControls")

    assert (decision.is_allowed, decision.rule) == (True, "roles.household.serve.create")
    assert decision.line == line_of("serve.create")


@pytest.mark.parametrize(
    ("asker", "asked", "verb", "noun"),
    [
        ("ven-1", VTN, "create", "EndDeviceControls"),
        ("ven-1", VTN, "change", "DERGroups"),
        (VTN, "ven-1", "create", "DERGroups"),
        (VTN, "ven-1", "cancel", "EndDeviceControls"),
        (VTN, "ven-1", "get", "Nodes"),
        (VTN, "ven-1", "Create", "EndDeviceControls"),
    ],
)
@pytest.mark.requirement("R-6d")
def test_a_request_needs_the_right_in_its_direction_verb_and_noun(
    policy: Policy, asker: str, asked: str, verb: str, noun: str
) -> None:
    assert not policy.may_request(asker, asked, verb, noun)


def test_a_refused_request_names_the_role_and_the_key_that_does_not_list_it(policy: Policy) -> None:
    decision = policy.may_request(VTN, "ven-1", "create", "MarketPrices")

    assert decision == Decision(
        is_allowed=False,
        rule="roles.household.serve.create",
        line=line_of("serve.create"),
        reason="ven-1 has role household, whose serve.create does not list MarketPrices",
    )


def test_a_missing_key_stands_where_its_table_does(policy: Policy) -> None:
    decision = policy.may_request(VTN, "ven-1", "delete", "EndDeviceControls")

    assert (decision.rule, decision.line) == ("roles.household.serve.delete", line_of("serve.create"))


@pytest.mark.requirement("R-4.4d")
def test_the_rights_of_several_roles_add_up(policy: Policy) -> None:
    first = policy.may_request(VTN, "ven-2", "create", "EndDeviceControls")
    second = policy.may_request(VTN, "ven-2", "cancel", "EndDeviceControls")

    assert (first.rule, second.rule) == ("roles.household.serve.create", "roles.flexible.serve.cancel")
    assert first.is_allowed
    assert second.is_allowed


def test_a_refusal_of_several_roles_names_the_one_that_speaks_of_it(policy: Policy) -> None:
    decision = policy.may_request(VTN, "ven-2", "cancel", "DERGroups")

    assert (decision.rule, decision.line) == ("roles.flexible.serve.cancel", line_of("serve.cancel"))
    assert decision.reason == "ven-2 has roles household and flexible, of which no serve.cancel lists DERGroups"


@pytest.mark.requirement("R-4.4b")
def test_vens_do_not_ask_one_another(policy: Policy) -> None:
    decision = policy.may_request("ven-1", "ven-2", "create", "EndDeviceControls")

    assert (decision.is_allowed, decision.rule, decision.line) == (False, "4.4", 0)
    assert "VENs, which do not exchange messages with one another" in decision.reason


@pytest.mark.parametrize("party", [VTN, "ven-1"])
def test_nobody_asks_itself(policy: Policy, party: str) -> None:
    decision = policy.may_request(party, party, "get", "Nodes")

    assert (decision.is_allowed, decision.rule) == (False, "4.4")


# ---------------------------------------------------------------- published data and metadata


@pytest.mark.parametrize("ven", ["ven-1", "ven-2", "ven-3", "ven-4"])
def test_every_ven_may_ask_which_nodes_there_are_for_it(policy: Policy, ven: str) -> None:
    decision = policy.may_request(ven, VTN, "get", "Nodes")

    assert (decision.is_allowed, decision.rule) == (True, "7")


def test_only_get_is_open(policy: Policy) -> None:
    assert not policy.may_request("ven-1", VTN, "delete", "Nodes")


def test_who_may_subscribe_may_get_the_current_value(policy: Policy) -> None:
    with_node = policy.may_request("ven-1", VTN, "get", "MarketPrices", "price.north")
    without = policy.may_request("ven-1", VTN, "get", "MarketPrices")

    assert (with_node.is_allowed, with_node.rule) == (True, "roles.household.subscribe")
    assert not without


def test_the_subscription_allows_no_other_noun(policy: Policy) -> None:
    decision = policy.may_request("ven-1", VTN, "get", "MeterReadings", "price.north")

    assert (decision.is_allowed, decision.rule) == (False, "roles.household.request.get")


def test_a_node_without_current_value_gives_none(policy: Policy) -> None:
    decision = policy.may_request("ven-2", VTN, "get", "MarketPrices", "price.north.forecast")

    assert not decision


def test_the_subscription_allows_no_other_verb(policy: Policy) -> None:
    assert not policy.may_request("ven-1", VTN, "delete", "MarketPrices", "price.north")


@pytest.mark.requirement("R-6d")
def test_the_right_to_get_a_noun_gives_nothing_of_a_node_one_may_not_subscribe_to(policy: Policy) -> None:
    without = policy.may_request("ven-4", VTN, "get", "MarketPrices")
    with_node = policy.may_request("ven-4", VTN, "get", "MarketPrices", "price.north")

    assert without
    assert (with_node.is_allowed, with_node.rule) == (False, "roles.trader.subscribe")


def test_the_right_to_get_a_noun_holds_with_a_node_one_may_subscribe_to(policy: Policy) -> None:
    decision = policy.may_request("ven-1", VTN, "get", "EndDeviceControls", "price.north")

    assert (decision.is_allowed, decision.rule) == (True, "roles.household.request.get")


def test_a_node_that_is_not_defined_has_no_current_value(policy: Policy) -> None:
    decision = policy.may_request("ven-4", VTN, "get", "MarketPrices", "price.east")

    assert (decision.is_allowed, decision.rule) == (False, 'nodes."price.east"')


# ---------------------------------------------------------------- nobody


@pytest.mark.requirement("R-4.4d")
def test_a_party_without_a_role_has_no_right(policy: Policy) -> None:
    decisions = [
        policy.may_subscribe("ven-3", "price.north"),
        policy.may_publish("ven-3", "MeterReadings"),
        policy.may_request("ven-3", VTN, "create", "DERGroups"),
        policy.may_request(VTN, "ven-3", "create", "EndDeviceControls"),
    ]

    assert not any(decisions)
    assert {decision.rule for decision in decisions} == {"parties.ven-3.roles"}
    assert {decision.reason for decision in decisions} == {"ven-3 has no role, and no role gives no right"}


@pytest.mark.requirement("R-6b")
def test_who_is_no_party_has_no_right(policy: Policy) -> None:
    decisions = [
        policy.may_subscribe("ven-9", "price.north"),
        policy.may_publish("ven-9", "MeterReadings"),
        policy.may_publish("ven-9", "MarketPrices", "price.north"),
        policy.may_request("ven-9", VTN, "get", "Nodes"),
        policy.may_request("ven-9", "ven-9", "get", "Nodes"),
        policy.may_request(VTN, "ven-9", "create", "EndDeviceControls"),
        policy.may_request("ven-1", "ven-9", "create", "EndDeviceControls"),
    ]

    assert not any(decisions)
    assert {decision.rule for decision in decisions} == {"parties.ven-9"}
    assert {decision.reason for decision in decisions} == {"ven-9 is no party of the domain north"}


def test_what_a_peer_made_long_is_cut_in_the_refusal(policy: Policy) -> None:
    decision = policy.may_request("x" * 100_000, VTN, "get", "y" * 100_000)

    assert len(decision.rule) + len(decision.reason) < 1_100


# ---------------------------------------------------------------- any domain

Raw = dict[str, Any]
NOUNS = ("A", "B", "C")
VENS = ("ven-1", "ven-2", "ven-3")
NODES = ("p", "p.n", "p.n.x", "p.s", "q")
PATTERNS = ("#", "p", "p.#", "p.*", "*.n", "*", "q", "q.#")
SOME_NOUNS = st.lists(st.sampled_from(NOUNS), min_size=1, max_size=2, unique=True)
BY_VERB = st.dictionaries(st.sampled_from(VERBS[:2] + ("get",)), SOME_NOUNS, max_size=2)
QUESTIONS = list(product(VERBS[:2] + ("get", "reply"), (*NOUNS, "Nodes", "Presence"), (None, *NODES, "z")))


@st.composite
def raw_domains(draw: st.DrawFn) -> Raw:
    """Return what a domain file may say, as plain data."""
    names = draw(st.lists(st.sampled_from(NODES), min_size=1, unique=True))
    nodes = {name: {"nouns": draw(SOME_NOUNS), "current": draw(st.booleans())} for name in names}
    fitting = [pattern for pattern in PATTERNS if any(matches(pattern, name) for name in names)]
    roles = {name: draw(roles_of(fitting)) for name in draw(st.lists(st.sampled_from("rst"), unique=True))}
    held = st.lists(st.sampled_from(sorted(roles)), unique=True) if roles else st.just([])
    parties = {ven: {"roles": draw(held), "account": f"account of {ven}"} for ven in VENS}
    limits = draw(st.fixed_dictionaries({}, optional={"real_time": st.floats(1, 60), "pending": st.integers(1, 9)}))
    head = {"name": "north", "vtn": "vtn", "reading": draw(st.sampled_from(["standard", "strict"]))}
    return {"domain": head, "limits": limits, "nodes": nodes, "roles": roles, "parties": parties}


def roles_of(patterns: list[str]) -> st.SearchStrategy[Raw]:
    some_patterns = st.lists(st.sampled_from(patterns), min_size=1, max_size=2)
    said = {"subscribe": some_patterns, "publish": SOME_NOUNS, "request": BY_VERB, "serve": BY_VERB}
    return st.fixed_dictionaries({}, optional=said)


def as_toml(raw: Raw) -> str:
    return "\n".join(f"{key} = {inline(value)}" for key, value in raw.items())


def inline(value: object) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {inline(each)}" for key, each in value.items()) + "}"
    return json.dumps(value)


def is_listed(raw: Raw, party: str, key: str, noun: str, verb: str | None = None) -> bool:
    """Return whether a role of `party` lists `noun`, by a second and simpler reading of the file."""
    said = [raw["roles"][role].get(key, {}) for role in raw["parties"].get(party, {}).get("roles", [])]
    return any(noun in (each if verb is None else each.get(verb, []) if each else []) for each in said)


def is_seen(raw: Raw, party: str, node: str) -> bool:
    said = [raw["roles"][role].get("subscribe", []) for role in raw["parties"].get(party, {}).get("roles", [])]
    return node in raw["nodes"] and any(matches(pattern, node) for patterns in said for pattern in patterns)


def is_askable(raw: Raw, ven: str, verb: str, noun: str, node: str | None) -> bool:
    if verb == "get" and noun == "Nodes":
        return True
    if verb == "get" and node is not None:
        if not is_seen(raw, ven, node):
            return False
        if raw["nodes"][node]["current"] and noun in raw["nodes"][node]["nouns"]:
            return True
    return is_listed(raw, ven, "request", noun, verb)


@pytest.mark.requirement("R-6d", "R-4.4d")
@given(raw_domains())
def test_whatever_is_not_granted_in_the_file_is_refused_and_the_rest_is_allowed(raw: Raw) -> None:
    policy = Policy(Domain.parse(as_toml(raw)))

    for ven, name in product((*VENS, "stranger"), (*NODES, "z")):
        assert policy.may_subscribe(ven, name).is_allowed == is_seen(raw, ven, name)
    for ven, noun in product((*VENS, "stranger"), (*NOUNS, "Presence")):
        assert policy.may_publish(ven, noun).is_allowed == is_listed(raw, ven, "publish", noun)
        assert not policy.may_publish(ven, noun, "p")
    for name, noun in product((*NODES, "z"), (*NOUNS, "Presence")):
        assert policy.may_publish("vtn", noun, name).is_allowed == (noun in raw["nodes"].get(name, {}).get("nouns", []))
        assert not policy.may_publish("vtn", noun)
    for (verb, noun, node), ven in product(QUESTIONS, VENS):
        assert policy.may_request(ven, "vtn", verb, noun, node).is_allowed == is_askable(raw, ven, verb, noun, node)
        assert policy.may_request("vtn", ven, verb, noun, node).is_allowed == is_listed(raw, ven, "serve", noun, verb)
        assert not policy.may_request("stranger", "vtn", verb, noun, node)
        assert not policy.may_request("vtn", "stranger", verb, noun, node)


@pytest.mark.requirement("R-4.4b")
@given(raw_domains())
def test_no_file_lets_vens_exchange_messages_with_one_another(raw: Raw) -> None:
    policy = Policy(Domain.parse(as_toml(raw)))

    for asker, asked, (verb, noun, node) in product(VENS, VENS, QUESTIONS):
        assert not policy.may_request(asker, asked, verb, noun, node)


@given(raw_domains(), st.sampled_from(VENS))
def test_what_a_ven_is_given_decides_as_the_whole_file_does(raw: Raw, ven: str) -> None:
    whole = Domain.parse(as_toml(raw))
    extract = Domain.parse(whole.extract(ven))

    assert decisions(extract, ven) == decisions(whole, ven)
    assert (extract.limits, extract.reading, extract.transport) == (whole.limits, whole.reading, whole.transport)
    assert extract.nodes_for(ven) == whole.nodes_for(ven) == tuple(extract.nodes)
    assert [extract.party_of(party.account) for party in whole.parties.values() if party.name in (ven, "vtn")] == [
        party.name for party in whole.parties.values() if party.name in (ven, "vtn")
    ]


@given(raw_domains(), st.sampled_from(VENS))
def test_what_a_ven_is_given_names_no_other_ven_and_no_other_role(raw: Raw, ven: str) -> None:
    text = Domain.parse(as_toml(raw)).extract(ven)

    said = tomllib.loads(text)
    assert said["parties"].keys() == {ven, "vtn"}
    assert said.get("roles", {}).keys() == set(raw["parties"][ven]["roles"])
    assert not any(other in text for other in VENS if other != ven)


def decisions(domain: Domain, ven: str) -> list[str | None]:
    """Return the rule that allows each of what concerns `ven`, or None."""
    policy = Policy(domain)
    seen = domain.nodes_for(ven)
    made = [policy.may_subscribe(ven, node) for node in NODES]
    made += [policy.may_publish(ven, noun) for noun in NOUNS]
    made += [policy.may_publish("vtn", noun, node) for noun, node in product(NOUNS, seen)]
    made += [policy.may_request(ven, "vtn", *question) for question in QUESTIONS]
    made += [policy.may_request("vtn", ven, *question) for question in QUESTIONS]
    made += [policy.may_request(ven, other, "get", "A") for other in VENS]
    return [decision.rule if decision else None for decision in made]


# ---------------------------------------------------------------- the demo's file


@pytest.mark.parametrize("ven", ["heat-pump", "ev-depot", "battery", "pv-roof", "building"])
def test_the_example_lets_every_pattern_run_in_both_directions(ven: str) -> None:
    policy = Policy(Domain.load(EXAMPLES / "north.toml"))

    refused = [
        decision.reason
        for decision in (
            *(policy.may_request(VTN, ven, verb, "EndDeviceControls") for verb in VERBS[:4]),
            *(policy.may_request(ven, VTN, verb, "Resources") for verb in VERBS[:4]),
            policy.may_request(VTN, ven, "get", "MeterReadings"),
            policy.may_request(ven, VTN, "get", "MarketPrices"),
            policy.may_request(ven, VTN, "get", "MarketPrices", "price.north"),
            policy.may_publish(VTN, "MarketPrices", "price.north"),
            policy.may_publish(VTN, "EndDeviceControls", "dispatch.north"),
            policy.may_publish(VTN, "EndDeviceEvents", "grid.status"),
            *(policy.may_subscribe(ven, node) for node in ("price.north", "dispatch.north", "grid.status")),
            *(policy.may_publish(ven, noun) for noun in ("MeterReadings", "EndDeviceEvents")),
        )
        if not decision
    ]
    assert refused == []


def test_all_parties_of_a_domain_share_its_policy_and_nobody_keeps_it() -> None:
    domain = Domain.parse(NORTH, "north.toml")
    other = Domain.parse(NORTH, "north.toml")

    policy = Policy.of(domain)

    assert policy is Policy.of(domain)
    assert policy is not Policy.of(other)
    gone = ref(policy)
    del policy
    gc.collect()
    assert gone() is None
