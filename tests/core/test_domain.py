import tomllib
from importlib import resources
from pathlib import Path

import pytest

from iec62746.domain import Domain, NodeDefinition, Party, Role
from iec62746.errors import DomainError, InvalidAddress
from iec62746.limits import Limits

NORTH = """\
[domain]
name = "north"
vtn = "grid-operator"

[limits]
real_time = 20

[nodes."price.north"]
nouns = ["MarketPrices"]
current = true

[nodes."dispatch.north"]
nouns = ["EndDeviceControls"]

[nodes."price.south"]
nouns = ["MarketPrices"]

[roles.household]
subscribe = ["price.north", "dispatch.#"]
publish = ["MeterReadings"]
request.get = ["MarketPrices"]
serve.create = ["EndDeviceControls"]

[roles.observer]
subscribe = ["price.#"]

[parties.ven-1]
roles = ["household"]
account = "CN=ven-1"

[parties.ven-2]
roles = ["observer"]

[parties.ven-3]
roles = []
"""
EXAMPLES = Path(str(resources.files("iec62746.demo")))


def test_a_domain_is_read_as_values() -> None:
    domain = Domain.parse(NORTH)

    assert (domain.name, domain.vtn, domain.transport, domain.reading) == ("north", "grid-operator", "core", "standard")
    assert domain.nodes["price.north"] == NodeDefinition(name="price.north", nouns=("MarketPrices",), is_current=True)
    assert domain.roles["household"] == Role(
        name="household",
        subscribe=("price.north", "dispatch.#"),
        publish=("MeterReadings",),
        request={"get": ("MarketPrices",)},
        serve={"create": ("EndDeviceControls",)},
    )
    assert domain.parties["ven-1"] == Party(name="ven-1", roles=("household",), account="CN=ven-1")


def test_limits_that_are_not_given_have_their_defaults() -> None:
    domain = Domain.parse(NORTH)

    assert domain.limits == Limits(real_time=20.0)


def test_a_whole_number_of_seconds_is_a_float() -> None:
    real_time = Domain.parse(NORTH).limits.real_time

    assert type(real_time) is float


def test_transport_and_reading_can_be_chosen() -> None:
    text = NORTH.replace('vtn = "grid', 'transport = "secure"\nreading = "strict"\nvtn = "grid')

    domain = Domain.parse(text)

    assert (domain.transport, domain.reading) == ("secure", "strict")


@pytest.mark.requirement("R-3.1.17")
def test_the_vtn_is_a_party_even_where_it_has_no_table() -> None:
    domain = Domain.parse(NORTH)

    assert domain.parties["grid-operator"] == Party(name="grid-operator", account="grid-operator")


@pytest.mark.requirement("R-3.1.17")
def test_the_vtn_can_have_a_table_for_its_account() -> None:
    domain = Domain.parse(NORTH + '[parties.grid-operator]\naccount = "operator"\n')

    assert domain.party_of("operator") == "grid-operator"


@pytest.mark.requirement("R-4.4d")
def test_a_party_may_have_no_role_or_several() -> None:
    domain = Domain.parse(NORTH + '[parties.ven-4]\nroles = ["household", "observer"]\n[parties.ven-5]\n')

    assert [len(domain.parties[f"ven-{number}"].roles) for number in (3, 1, 4, 5)] == [0, 1, 2, 0]


@pytest.mark.requirement("R-6b")
def test_an_account_is_that_of_one_party() -> None:
    domain = Domain.parse(NORTH)

    assert [domain.party_of(each) for each in ("CN=ven-1", "ven-2", "ven-1")] == ["ven-1", "ven-2", None]


@pytest.mark.requirement("R-4.4c", "R-6b")
def test_a_party_of_two_domains_has_an_account_in_each() -> None:
    north = Domain.parse(NORTH)
    south = Domain.parse(NORTH.replace('"north"', '"south"').replace("CN=ven-1", "CN=ven-1-south"))

    assert (north.parties["ven-1"].account, south.parties["ven-1"].account) == ("CN=ven-1", "CN=ven-1-south")
    assert south.party_of("CN=ven-1") is None


def test_every_noun_of_nodes_and_roles_is_known() -> None:
    domain = Domain.parse(NORTH)

    assert domain.nouns == {"MarketPrices", "EndDeviceControls", "MeterReadings"}


@pytest.mark.requirement("R-5.6b")
def test_a_pattern_stands_for_nodes_in_the_order_of_the_file() -> None:
    domain = Domain.parse(NORTH)

    assert domain.expand("#") == ("price.north", "dispatch.north", "price.south")
    assert domain.expand("price.*") == ("price.north", "price.south")
    assert domain.expand("grid.#") == ()


def test_what_is_no_pattern_is_not_expanded() -> None:
    with pytest.raises(InvalidAddress, match="no legal pattern"):
        Domain.parse(NORTH).expand("#.north")


@pytest.mark.requirement("R-6d")
def test_a_party_may_see_the_nodes_of_its_roles() -> None:
    domain = Domain.parse(NORTH + '[parties.ven-4]\nroles = ["observer", "household"]\n')

    assert domain.nodes_for("ven-1") == ("price.north", "dispatch.north")
    assert domain.nodes_for("ven-3") == ()
    assert domain.nodes_for("ven-4") == ("price.north", "dispatch.north", "price.south")


def test_a_stranger_has_no_nodes_and_the_message_says_who_may_be_meant() -> None:
    with pytest.raises(InvalidAddress, match=r"'ven1' is no party of the domain north; did you mean 'ven-[123]'\?"):
        Domain.parse(NORTH).nodes_for("ven1")


def test_two_domains_are_equal_wherever_they_were_read() -> None:
    one, other = Domain.parse(NORTH, "one.toml"), Domain.parse("\n" + NORTH, "other.toml")

    assert one == other
    assert one.line_of("domain") != other.line_of("domain")


def test_a_domain_that_was_made_without_a_file_has_no_lines() -> None:
    domain = Domain(name="north", vtn="grid-operator")

    assert domain.line_of("domain", "vtn") == 0


# ---------------------------------------------------------------- errors

SLIPS = [
    # what stands in NORTH, what stands there instead, dotted key, line, what the message says
    ('vtn = "grid-operator"', "", "domain.vtn", 1, 'is missing: add vtn = "…"'),
    ('name = "north"', "", "domain.name", 1, 'is missing: add name = "…"'),
    ('name = "north"', 'name = "nör"', "domain.name", 2, "'nör' is no legal domain name: 'ö' is not allowed"),
    (
        'name = "north"',
        'name = "north"\nvtm = "x"',
        "domain.vtm",
        3,
        "unknown key; did you mean 'vtn'? known here: name",
    ),
    ('name = "north"', "name = 7", "domain.name", 2, "must be a string, not an integer"),
    ('name = "north"', "name = 1979-05-27", "domain.name", 2, "must be a string, not a date or time"),
    ('vtn = "grid-operator"', 'vtn = "x y"', "domain.vtn", 3, "'x y' is no legal party name: ' ' is not allowed"),
    (
        "[limits]",
        'reading = "tolerent"\n[limits]',
        "domain.reading",
        5,
        "did you mean 'tolerant'? known here: standard,",
    ),
    ("[limits]", 'transport = "tcp"\n[limits]', "domain.transport", 5, "'tcp' is unknown; known here: core, realtime,"),
    ("[limits]", "[limit]", "limit", 5, "unknown key; did you mean 'limits'? known here: domain, limits, nodes,"),
    ("real_time = 20", "realtime = 20", "limits.realtime", 6, "did you mean 'real_time'?"),
    ("real_time = 20", "real_time = 0", "limits.real_time", 6, "must be more than 0 and at most"),
    ("real_time = 20", "real_time = -1.5", "limits.real_time", 6, "must be more than 0 and at most"),
    ("real_time = 20", "real_time = nan", "limits.real_time", 6, "must be more than 0 and at most"),
    ("real_time = 20", "real_time = inf", "limits.real_time", 6, "must be more than 0 and at most"),
    ("real_time = 20", f"real_time = 0x{'f' * 9_000}", "limits.real_time", 6, "must be more than 0 and at most"),
    ("real_time = 20", 'real_time = "20"', "limits.real_time", 6, "must be a number, not a string"),
    ("real_time = 20", "pending = 20.0", "limits.pending", 6, "must be an integer, not a float"),
    ("real_time = 20", "pending = true", "limits.pending", 6, "must be an integer, not a boolean"),
    ("[limits]\nreal_time = 20", "[[limits]]", "limits", 5, "must be a table, not an array"),
    ('"price.north"]', '"price north"]', 'nodes."price north"', 8, "is no legal node name: ' ' is not allowed"),
    (
        '"price.north"]',
        "price.north]",
        "nodes.price.north",
        8,
        'write a name with dots in quotes, as in [nodes."price.north"]',
    ),
    ('"price.north"]\nnouns', '"price.north"]\nnoun', 'nodes."price.north".noun', 9, "did you mean 'nouns'?"),
    ('nouns = ["EndDeviceControls"]', "", 'nodes."dispatch.north".nouns', 12, "is missing: say what is published here"),
    (
        'nouns = ["EndDeviceControls"]',
        "nouns = []",
        'nodes."dispatch.north".nouns',
        13,
        "name at least one noun, or delete",
    ),
    ('nouns = ["EndDeviceControls"]', "nouns = [1]", 'nodes."dispatch.north".nouns', 13, "and holds an integer"),
    (
        'nouns = ["EndDeviceControls"]',
        'nouns = "A"',
        'nodes."dispatch.north".nouns',
        13,
        "must be an array of strings, such",
    ),
    (
        'nouns = ["EndDeviceControls"]',
        "nouns = {}",
        'nodes."dispatch.north".nouns',
        13,
        "must be an array of strings, such",
    ),
    ('nouns = ["EndDeviceControls"]', 'nouns = [""]', 'nodes."dispatch.north".nouns', 13, "'' is no legal noun"),
    ('nouns = ["EndDeviceControls"]', 'nouns = ["a b"]', 'nodes."dispatch.north".nouns', 13, "'a b' is no legal noun"),
    (
        'nouns = ["EndDeviceControls"]',
        'nouns = ["Presence"]',
        'nodes."dispatch.north".nouns',
        13,
        "the framework's own",
    ),
    ("current = true", "current = 1", 'nodes."price.north".current', 10, "must be true or false, not an integer"),
    ("[roles.household]", '[roles."house hold"]', 'roles."house hold"', 18, "is no legal role name"),
    ("publish =", "publishes =", "roles.household.publishes", 20, "did you mean 'publish'?"),
    (
        'publish = ["MeterReadings"]',
        "publish = []",
        "roles.household.publish",
        20,
        "name at least one noun, or delete the line",
    ),
    (
        'request.get = ["Mar',
        'request.get = ["Nodes", "Mar',
        "roles.household.request.get",
        21,
        "Nodes is the framework's own",
    ),
    (
        "request.get",
        "request.reply",
        "roles.household.request.reply",
        21,
        "unknown request verb; known here: create, change,",
    ),
    (
        "serve.create",
        "serve.created",
        "roles.household.serve.created",
        22,
        "did you mean 'create'? known here: create, change,",
    ),
    ('serve.create = ["E', 'serve = ["E', "roles.household.serve", 22, "must be a table, not an array"),
    ("serve.create = [", "serve = {create = 1} #", "roles.household.serve.create", 22, "must be an array of strings"),
    (
        'subscribe = ["price.#"]',
        "subscribe = []",
        "roles.observer.subscribe",
        25,
        "name at least one node, or delete the line",
    ),
    ('subscribe = ["price.#"]', 'subscribe = ["#.x"]', "roles.observer.subscribe", 25, "'#' is not its last word"),
    ("[parties.ven-1]", '[parties."ven 1"]', 'parties."ven 1"', 27, "'ven 1' is no legal party name"),
    (
        'roles = ["observer"]',
        'roles = ["observers"]',
        "parties.ven-2.roles",
        32,
        "did you mean 'observer'? define it by a table",
    ),
    ('roles = ["observer"]', "role = []", "parties.ven-2.role", 32, "did you mean 'roles'?"),
    ('account = "CN=ven-1"', 'account = ""', "parties.ven-1.account", 29, "write 1 to 255 octets"),
    ('account = "CN=ven-1"', 'account = "a\\nb"', "parties.ven-1.account", 29, "that can be printed"),
    ('account = "CN=ven-1"', f'account = "{"é" * 128}"', "parties.ven-1.account", 29, "write 1 to 255 octets"),
    (
        "[parties.ven-3]",
        "[parties]\nven-3 = 1\n[parties.ven-4]",
        "parties.ven-3",
        35,
        "must be a table, not an integer",
    ),
]


@pytest.mark.parametrize(("right", "wrong", "key", "line", "message"), SLIPS)
def test_a_slip_is_an_error_that_names_the_key_and_the_line_and_says_what_to_do(
    right: str, wrong: str, key: str, line: int, message: str
) -> None:
    with pytest.raises(DomainError) as caught:
        Domain.parse(NORTH.replace(right, wrong, 1), "north.toml")

    assert (caught.value.file, caught.value.key, caught.value.line) == ("north.toml", key, line)
    assert message in caught.value.reason


@pytest.mark.requirement("R-3.1.3")
def test_a_domain_names_its_one_vtn() -> None:
    with pytest.raises(DomainError, match=r'domain\.vtn: is missing: add vtn = "…"'):
        Domain.parse('[domain]\nname = "north"\n')


@pytest.mark.requirement("R-3.1.3")
def test_a_domain_has_no_two_vtns() -> None:
    with pytest.raises(DomainError, match=r"domain\.vtn: must be a string, not an array"):
        Domain.parse('[domain]\nname = "north"\nvtn = ["a", "b"]\n')


def test_a_text_without_a_domain_is_an_error_of_its_first_line() -> None:
    with pytest.raises(DomainError, match=r'^<text>:1: domain\.name: is missing: add name = "…"$'):
        Domain.parse("")


@pytest.mark.requirement("R-5.6a")
def test_a_role_cannot_subscribe_to_what_is_not_defined() -> None:
    text = NORTH.replace('"price.#"', '"prise.north"')

    with pytest.raises(DomainError) as caught:
        Domain.parse(text)

    assert (caught.value.key, caught.value.line) == ("roles.observer.subscribe", 25)
    assert "'prise.north' matches no node; did you mean 'price.north'? define the node" in caught.value.reason


@pytest.mark.requirement("R-6b")
@pytest.mark.parametrize(
    ("account", "other"), [("CN=ven-1", "ven-1"), ("grid-operator", "grid-operator"), ("ven-2", "ven-2")]
)
def test_no_two_parties_share_an_account(account: str, other: str) -> None:
    text = NORTH.replace("roles = []", f'roles = []\naccount = "{account}"')

    with pytest.raises(DomainError) as caught:
        Domain.parse(text)

    assert (caught.value.key, caught.value.line) == ("parties.ven-3.account", 36)
    assert f"the account '{account}' is that of {other}" in caught.value.reason


@pytest.mark.requirement("R-6b")
def test_the_account_by_default_is_not_anothers_either() -> None:
    text = NORTH.replace("CN=ven-1", "ven-2")

    with pytest.raises(DomainError, match=r"parties\.ven-2\.account: the account 'ven-2' is that of ven-1"):
        Domain.parse(text)


def test_the_vtn_has_no_role() -> None:
    text = NORTH + '[parties.grid-operator]\nroles = ["observer"]\n'

    with pytest.raises(DomainError, match=r"parties\.grid-operator\.roles: the VTN has no role"):
        Domain.parse(text)


# ---------------------------------------------------------------- files


def test_a_file_is_read_and_remembered(tmp_path: Path) -> None:
    path = tmp_path / "north.toml"
    path.write_text(NORTH, "utf-8")

    domain = Domain.load(path)

    assert domain.file == str(path)
    assert domain.line_of("parties", "ven-1", "account") == 29


def test_the_mark_that_windows_puts_before_utf_8_is_no_error(tmp_path: Path) -> None:
    path = tmp_path / "north.toml"
    path.write_text(NORTH, "utf-8-sig")

    assert Domain.load(str(path)).name == "north"


def test_a_file_that_is_not_there_is_an_error_of_the_domain(tmp_path: Path) -> None:
    with pytest.raises(DomainError) as caught:
        Domain.load(tmp_path / "south.toml")

    assert caught.value.file == str(tmp_path / "south.toml")
    assert caught.value.reason.startswith("cannot be read: No such file")


def test_a_file_that_is_not_utf_8_is_an_error_of_its_line(tmp_path: Path) -> None:
    path = tmp_path / "north.toml"
    path.write_bytes(b"[domain]\n# n\xf6rd\n")

    with pytest.raises(DomainError) as caught:
        Domain.load(path)

    assert (caught.value.file, caught.value.line) == (str(path), 2)
    assert "not UTF-8" in caught.value.reason


def test_a_file_that_is_not_toml_is_an_error_of_its_line(tmp_path: Path) -> None:
    path = tmp_path / "north.toml"
    path.write_text("[domain]\nname = north\n", "utf-8")

    with pytest.raises(DomainError) as caught:
        Domain.load(path)

    assert (caught.value.file, caught.value.line) == (str(path), 2)
    assert "not TOML" in caught.value.reason


# ---------------------------------------------------------------- extract


@pytest.mark.requirement("R-6d")
def test_what_a_ven_is_given_tells_it_nothing_of_others() -> None:
    text = Domain.parse(NORTH).extract("ven-1")

    assert tomllib.loads(text) == {
        "domain": {
            "name": "north",
            "vtn": "grid-operator",
            "transport": "core",
            "reading": "standard",
            "payloads": "valid",
        },
        "limits": {"real_time": 20.0},
        "nodes": {
            "price.north": {"nouns": ["MarketPrices"], "current": True},
            "dispatch.north": {"nouns": ["EndDeviceControls"]},
        },
        "roles": {
            "household": {
                "subscribe": ["price.north", "dispatch.north"],
                "publish": ["MeterReadings"],
                "request": {"get": ["MarketPrices"]},
                "serve": {"create": ["EndDeviceControls"]},
            }
        },
        "parties": {
            "ven-1": {"roles": ["household"], "account": "CN=ven-1"},
            "grid-operator": {"account": "grid-operator"},
        },
    }


def test_a_ven_without_roles_is_given_no_node() -> None:
    extract = Domain.parse(Domain.parse(NORTH).extract("ven-3"))

    assert (dict(extract.nodes), dict(extract.roles)) == ({}, {})


def test_limits_as_they_are_by_default_are_not_handed_on() -> None:
    text = Domain.parse(NORTH.replace("real_time = 20", "real_time = 30")).extract("ven-1")

    assert "limits" not in text


def test_the_vtn_needs_no_extract() -> None:
    with pytest.raises(InvalidAddress, match="the VTN, which has the whole file"):
        Domain.parse(NORTH).extract("grid-operator")


def test_a_stranger_gets_no_extract() -> None:
    with pytest.raises(InvalidAddress, match="no party of the domain north"):
        Domain.parse(NORTH).extract("stranger")


# ---------------------------------------------------------------- the demo's file


def test_the_example_can_be_used() -> None:
    domain = Domain.load(EXAMPLES / "north.toml")

    assert domain.vtn == "grid-operator"
    assert domain.parties.keys() == {"grid-operator", "heat-pump", "ev-depot", "battery", "pv-roof", "building"}
