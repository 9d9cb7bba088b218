import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iec62746.address import Inbox, Node, Presence, check_name, check_node, check_pattern, matches
from iec62746.errors import InvalidAddress

WORD = st.text("ab", min_size=1, max_size=2)
NODES = st.lists(WORD, min_size=1, max_size=5).map(".".join)
PATTERNS = st.builds(
    lambda words, end: ".".join([*words, *end]),
    st.lists(WORD | st.just("*"), min_size=1, max_size=4),
    st.sampled_from([[], ["#"]]),
) | st.just("#")


@pytest.mark.parametrize("name", ["a", "ven-1", "VEN_2", "-", "0" * 64])
def test_a_name_is_64_letters_digits_underscores_and_hyphens(name: str) -> None:
    assert Inbox(name).party == name


@pytest.mark.parametrize(
    ("name", "flaw"),
    [
        ("", "it is empty"),
        ("ven 1", "' ' is not allowed"),
        ("ven.1", "'.' is not allowed"),
        ("ven-1\n", r"'\n' is not allowed"),
        ("vén", "'é' is not allowed"),
        ("*", "'*' is not allowed"),
        ("x" * 65, "it has 65 characters"),
    ],
)
def test_an_illegal_name_is_refused_with_its_flaw_and_with_what_is_legal(name: str, flaw: str) -> None:
    with pytest.raises(InvalidAddress) as caught:
        Inbox(name)

    assert f"is no legal party name: {flaw}; legal is 1 to 64 of A-Z a-z 0-9 _ -" in str(caught.value)


def test_the_message_says_what_the_name_is_of() -> None:
    with pytest.raises(InvalidAddress, match="no legal domain name"):
        check_name("no rth", "domain name")


def test_a_very_long_name_is_cut_in_the_message() -> None:
    with pytest.raises(InvalidAddress) as caught:
        check_name("x" * 100_000)

    assert len(str(caught.value)) < 400


@pytest.mark.requirement("R-5.6b")
@pytest.mark.parametrize("name", ["price", "price.north", ".".join("x" * 16), ".".join(["x" * 49] * 4)])
def test_a_node_is_1_to_16_words_in_200_octets(name: str) -> None:
    assert Node(name).name == name


@pytest.mark.parametrize(
    ("name", "flaw"),
    [
        ("", "it is empty"),
        ("price.", "in the word '', it is empty"),
        ("price..north", "in the word '', it is empty"),
        ("price.#", "in the word '#', '#' is not allowed"),
        ("price.nörth", "in the word 'nörth', 'ö' is not allowed"),
        (".".join("x" * 17), "it has 17 words"),
        (".".join(["x" * 50] * 4), "it has 203 octets"),
    ],
)
def test_an_illegal_node_is_refused_with_its_flaw(name: str, flaw: str) -> None:
    with pytest.raises(InvalidAddress) as caught:
        Node(name)

    assert f"is no legal node name: {flaw}; legal is 1 to 16 words" in str(caught.value)


@pytest.mark.parametrize("pattern", ["#", "*", "price", "price.#", "*.north", "*.*.#", ".".join("x" * 15) + ".#"])
def test_a_pattern_has_a_star_for_any_word_and_a_hash_at_the_end(pattern: str) -> None:
    check_pattern(pattern)


@pytest.mark.parametrize(
    ("pattern", "flaw"),
    [
        ("", "it is empty"),
        ("price.#.north", "'#' is not its last word"),
        ("price.no*", "in the word 'no*', '*' is not allowed"),
        ("price.**", "in the word '**', '*' is not allowed"),
        (".".join("x" * 16) + ".#", "it has 17 words"),
        (".".join(["x" * 50] * 4), "it has 203 octets"),
    ],
)
def test_an_illegal_pattern_is_refused_with_its_flaw(pattern: str, flaw: str) -> None:
    with pytest.raises(InvalidAddress) as caught:
        check_pattern(pattern)

    assert f"is no legal pattern: {flaw}; legal is" in str(caught.value)


@given(st.text("a1_-.*# é\n", max_size=12))
def test_every_node_is_a_pattern_and_every_pattern_without_wildcards_is_a_node(name: str) -> None:
    is_node = is_legal_node(name)

    assert is_node == bool(re.fullmatch(r"[a1_-]+(\.[a1_-]+)*", name))
    assert is_node == (is_legal_pattern(name) and "*" not in name and "#" not in name)


def test_presence_of_everybody_has_no_party() -> None:
    assert Presence().party is None


def test_presence_of_an_illegal_party_is_refused() -> None:
    with pytest.raises(InvalidAddress):
        Presence("ven 1")


def test_addresses_are_equal_by_kind_and_name_so_they_can_be_keys() -> None:
    addresses = {Inbox("north"), Inbox("north"), Node("north"), Presence("north"), Presence()}

    assert len(addresses) == 4


@pytest.mark.requirement("R-5.6b")
@pytest.mark.parametrize("node", ["price", "price.north", "price.north.x"])
def test_a_last_hash_is_the_node_itself_and_all_below(node: str) -> None:
    assert matches("price.#", node)


@pytest.mark.parametrize("node", ["prices", "north.price", "dispatch.north"])
def test_a_last_hash_is_nothing_elsewhere(node: str) -> None:
    assert not matches("price.#", node)


@pytest.mark.parametrize(("node", "fits"), [("price.north", True), ("price", False), ("price.north.x", False)])
def test_a_star_is_exactly_one_word(node: str, fits: bool) -> None:
    assert matches("price.*", node) is fits


@given(PATTERNS, NODES)
def test_matches_agrees_with_a_regular_expression(pattern: str, node: str) -> None:
    expected = re.fullmatch(as_regular_expression(pattern), node)

    assert matches(pattern, node) == bool(expected)


@given(NODES)
def test_a_node_fits_its_own_name_and_the_hash_fits_all(node: str) -> None:
    assert matches(node, node)
    assert matches("#", node)


def as_regular_expression(pattern: str) -> str:
    below = r"(\.\w+)*"
    if pattern == "#":
        return r"\w+" + below
    exact = pattern.removesuffix(".#")
    return exact.replace(".", r"\.").replace("*", r"\w+") + (below if exact != pattern else "")


def is_legal_node(name: str) -> bool:
    try:
        check_node(name)
    except InvalidAddress:
        return False
    return True


def is_legal_pattern(pattern: str) -> bool:
    try:
        check_pattern(pattern)
    except InvalidAddress:
        return False
    return True
