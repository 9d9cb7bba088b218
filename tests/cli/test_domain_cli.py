import json
from importlib import resources
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from iec62746.cli.domain import app
from iec62746.domain import Domain

NORTH = Path(str(resources.files("iec62746.demo") / "north.toml"))
SLOPPY = """\
[domain]
name = "north"
vtn = "grid-operator"
[nodes."price.north"]
nouns = ["MarketPrices"]
[roles.household]
subscribe = ["price.#"]
[parties.ven-1]
"""


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments], env={"COLUMNS": "200", "TERM": "dumb"})


@pytest.fixture
def sloppy(tmp_path: Path) -> Path:
    path = tmp_path / "sloppy.toml"
    path.write_text(SLOPPY, "utf-8")
    return path


# ---------------------------------------------------------------- check


def test_check_shows_parties_with_roles_and_nodes() -> None:
    result = run("check", NORTH)

    lines = [line.split() for line in result.stdout.splitlines()]
    assert result.exit_code == 0
    assert ["grid-operator", "the", "VTN", "0"] in lines
    assert ["building", "member,", "load,", "storage", "3"] in lines
    assert ["price.north", "MarketPrices", "yes", "5"] in lines


def test_check_has_no_warning_where_nothing_looks_like_a_slip() -> None:
    assert "warnings" not in run("check", NORTH).stdout


def test_check_warns_of_roles_nodes_and_parties_that_nothing_refers_to(sloppy: Path) -> None:
    result = run("check", sloppy)

    assert result.exit_code == 0
    assert result.stdout.splitlines()[-4:] == [
        "warnings:",
        f"  {sloppy}:4: nobody may subscribe to the node price.north",
        f"  {sloppy}:6: nobody has the role household",
        f"  {sloppy}:8: ven-1 has no role, so no right",
    ]


def test_check_warns_of_a_domain_without_vens(tmp_path: Path) -> None:
    path = tmp_path / "empty.toml"
    path.write_text('[domain]\nname = "north"\nvtn = "grid-operator"\n', "utf-8")

    assert f"{path}:1: there is no VEN" in run("check", path).stdout


def test_check_can_be_read_by_programs(sloppy: Path) -> None:
    result = run("check", sloppy, "--json")

    said = json.loads(result.stdout)
    assert (said["domain"], said["vtn"], said["file"]) == ("north", "grid-operator", str(sloppy))
    assert said["parties"][1] == {"name": "ven-1", "roles": [], "account": "ven-1", "nodes": []}
    assert said["nodes"] == [{"name": "price.north", "nouns": ["MarketPrices"], "is_current": False}]
    assert [warning["line"] for warning in said["warnings"]] == [4, 6, 8]


def test_check_of_a_wrong_file_is_one_line_on_standard_error(sloppy: Path) -> None:
    sloppy.write_text(SLOPPY.replace("subscribe", "subscribes"), "utf-8")

    result = run("check", sloppy)

    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith(f"{sloppy}:7: roles.household.subscribes: unknown key; did you mean 'subscribe'?")
    assert result.stderr.count("\n") == 1


def test_check_of_no_file_is_one_line_on_standard_error(tmp_path: Path) -> None:
    result = run("check", tmp_path / "none.toml")

    assert result.exit_code == 1
    assert result.stderr == f"{tmp_path / 'none.toml'}: cannot be read: No such file or directory\n"


# ---------------------------------------------------------------- explain


@pytest.mark.parametrize(
    "question",
    [
        "battery subscribe price.north",
        "battery publish MeterReadings",
        "battery request get MarketPrices",
        "battery request get Nodes",
        "battery request get MarketPrices --node price.north",
        "battery request create Resources --to grid-operator",
        "grid-operator publish MarketPrices --node price.north",
        "grid-operator request create EndDeviceControls --to battery",
    ],
)
def test_explain_exits_0_where_it_is_allowed(question: str) -> None:
    result = run("explain", NORTH, *question.split())

    assert (result.exit_code, result.stdout.split()[0]) == (0, "allowed:")


@pytest.mark.parametrize(
    "question",
    [
        "battery subscribe price.south",
        "battery publish MarketPrices",
        "battery publish MeterReadings --node price.north",
        "battery request create EndDeviceControls",
        "battery request create EndDeviceControls --to building",
        "stranger request get Nodes",
        "grid-operator subscribe price.north",
        "grid-operator publish Resources --node price.north",
        "grid-operator request get Resources --to pv-roof",
    ],
)
def test_explain_exits_1_where_it_is_refused(question: str) -> None:
    result = run("explain", NORTH, *question.split())

    assert (result.exit_code, result.stdout.split()[0]) == (1, "refused:")


@pytest.mark.parametrize(
    ("question", "advice"),
    [
        ("battery subscribe", "Missing argument"),
        ("battery subscribe price.north dispatch.north", "write NODE here"),
        ("battery subscribe price.#", "price.# is a pattern: name one node"),
        ("battery subscribe price.north --node price.north", "subscribe takes no --node"),
        ("battery subscribe price.north --to battery", "subscribe takes no --to"),
        ("battery publish", "Missing argument"),
        ("battery publish A B", "write NOUN here"),
        ("battery publish A --to building", "publish takes no --to"),
        ("grid-operator publish MarketPrices", "say on which node"),
        ("battery request get", "write VERB NOUN here"),
        ("battery request fetch MarketPrices", "'fetch' is none of create, change"),
        ("grid-operator request get MeterReadings", "say which VEN is asked"),
        ("battery listen price.north", "'listen' is not one of"),
    ],
)
def test_explain_exits_2_where_the_question_is_wrong(question: str, advice: str) -> None:
    result = run("explain", NORTH, *question.split())

    assert result.exit_code == 2
    assert advice in result.stderr


@pytest.mark.parametrize("text", ["[domain", "[domain]"])
def test_explain_exits_2_where_the_file_is_wrong(sloppy: Path, text: str) -> None:
    sloppy.write_text(text, "utf-8")

    result = run("explain", sloppy, "ven-1", "subscribe", "price.north")

    assert result.exit_code == 2
    assert result.stderr.startswith(f"{sloppy}:1: ")


def test_explain_shows_the_rule_and_the_line_that_decided() -> None:
    line = Domain.load(NORTH).line_of("roles", "storage", "serve", "create")

    result = run("explain", NORTH, "grid-operator", "request", "create", "EndDeviceControls", "--to", "battery")

    assert result.stdout.splitlines() == [
        "allowed: role storage may serve create EndDeviceControls",
        "  rule: roles.storage.serve.create",
        f'  at {NORTH}:{line}: serve.create = ["EndDeviceControls"]',
    ]


def test_explain_shows_where_a_missing_rule_belongs() -> None:
    line = Domain.load(NORTH).line_of("roles", "member")

    result = run("explain", NORTH, "battery", "request", "execute", "Resources")

    assert "  rule: roles.member.request.execute" in result.stdout.splitlines()
    assert f"  near {NORTH}:{line + 3}: request.get" in result.stdout


def test_explain_shows_the_clause_where_no_file_can_allow_it() -> None:
    result = run("explain", NORTH, "battery", "request", "get", "MeterReadings", "--to", "building")

    assert result.stdout.splitlines()[1:] == ["  rule: IEC TS 62746-3, 4.4"]


def test_explain_can_be_read_by_programs() -> None:
    result = run("explain", NORTH, "battery", "publish", "MeterReadings", "--json")

    assert json.loads(result.stdout) == {
        "is_allowed": True,
        "rule": "roles.member.publish",
        "line": Domain.load(NORTH).line_of("roles", "member", "publish"),
        "reason": "role member may publish MeterReadings",
        "file": str(NORTH),
        "text": 'publish = ["MeterReadings", "EndDeviceEvents"]',
    }


# ---------------------------------------------------------------- extract


def test_extract_prints_what_the_ven_is_given() -> None:
    result = run("extract", NORTH, "--party", "battery")

    assert (result.exit_code, result.stdout) == (0, Domain.load(NORTH).extract("battery"))


def test_extract_writes_a_file_that_can_be_loaded(tmp_path: Path) -> None:
    path = tmp_path / "battery.toml"

    result = run("extract", NORTH, "--party", "battery", "--output", path)

    assert (result.exit_code, result.stdout) == (0, "")
    assert Domain.load(path).parties.keys() == {"battery", "grid-operator"}


def test_extract_never_overwrites_the_domain_file(sloppy: Path) -> None:
    result = run("extract", sloppy, "--party", "ven-1", "--output", sloppy)

    assert result.exit_code == 2
    assert sloppy.read_text("utf-8") == SLOPPY


@pytest.mark.parametrize("party", ["stranger", "grid-operator"])
def test_extract_for_who_is_no_ven_says_so(party: str) -> None:
    result = run("extract", NORTH, "--party", party)

    assert (result.exit_code, result.stdout) == (1, "")
    assert party in result.stderr


def test_extract_says_where_it_cannot_write(tmp_path: Path) -> None:
    result = run("extract", NORTH, "--party", "battery", "--output", tmp_path / "none" / "battery.toml")

    assert result.exit_code == 1
    assert "No such file or directory" in result.stderr


@pytest.mark.parametrize("command", ["check", "explain", "extract"])
def test_the_help_of_each_command_has_an_example(command: str) -> None:
    result = run(command, "--help")

    assert result.exit_code == 0
    assert f"iec62746 domain {command} north.toml" in result.stdout


def test_extract_does_not_write_into_a_folder(tmp_path: Path) -> None:
    result = run("extract", NORTH, "--party", "battery", "--output", tmp_path)

    assert result.exit_code == 2
    assert "is a folder: name a file" in result.stderr
