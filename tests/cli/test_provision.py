"""`iec62746 domain provision` where no broker is needed: definitions, passwords, and what is refused."""

import json
import re
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from iec62746.cli import app
from iec62746.domain import Domain
from iec62746.errors import UnknownTransport
from iec62746.provisioning import provisioner

pytest.importorskip("aiormq", reason="needs the extra rabbitmq")
NORTH = Path(str(resources.files("iec62746.demo") / "north.toml"))


def run(*arguments: object) -> Result:
    words = [str(argument) for argument in ("domain", "provision", *arguments)]
    return CliRunner().invoke(app, words, env={"COLUMNS": "200", "TERM": "dumb"})


@pytest.fixture
def passwords(tmp_path: Path) -> Path:
    return tmp_path / "passwords.toml"


def definitions(*arguments: object, file: Path = NORTH) -> dict[str, Any]:
    result = run(file, "--rabbitmq", *arguments)
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def named(entries: list[dict[str, Any]], field: str = "name") -> dict[str, dict[str, Any]]:
    return {entry[field]: entry for entry in entries}


# ---------------------------------------------------------------- what is printed


def test_definitions_hold_the_exchanges_of_the_wire_and_the_dead() -> None:
    found = definitions()

    assert {name: one["type"] for name, one in named(found["exchanges"]).items()} == {
        "north.to.vtn": "topic",
        "north.to.ven": "topic",
        "north.event": "topic",
        "north.presence": "topic",
        "north.dead": "fanout",
    }
    assert [one["name"] for one in found["vhosts"]] == ["north"]
    assert [one["name"] for one in found["queues"]] == ["north.dead"]


@pytest.mark.requirement("R-6b")
def test_each_party_has_an_account_and_without_passwords_none_can_log_in_by_one() -> None:
    users = definitions()["users"]

    assert set(named(users)) == set(Domain.load(NORTH).parties)
    assert {(one["password_hash"], tuple(one["tags"])) for one in users} == {("", ())}


def test_a_ven_may_declare_the_queues_of_its_sessions_and_nothing_else() -> None:
    right = named(definitions()["permissions"], "user")["battery"]

    assert right["configure"] == r"^north\.ven\.battery\.[A-Za-z0-9_-]{1,32}(\.ev)?$"
    for refused in ("north.ven.battery", "north.ven.battery.a.b", "northxven.battery.a", "north.ven.battery2.a"):
        assert not re.search(right["configure"], refused)


@pytest.mark.requirement("R-6d")
def test_every_account_has_a_record_for_every_topic_exchange() -> None:
    found = definitions()

    topics = {name for name, one in named(found["exchanges"]).items() if one["type"] == "topic"}
    for account in named(found["users"]):
        assert {one["exchange"] for one in found["topic_permissions"] if one["user"] == account} == topics


def without_groups(pattern: str) -> str:
    less = re.sub(r"\([^()]*\)", "", pattern)
    return less if less == pattern else without_groups(less)


def test_every_pattern_is_anchored() -> None:
    found = definitions()

    patterns = [
        entry[field]
        for kind in ("permissions", "topic_permissions", "policies")
        for entry in found[kind]
        for field in ("configure", "write", "read", "pattern")
        if field in entry
    ]
    assert len(patterns) > 50
    assert all(pattern.startswith("^") and pattern.endswith("$") for pattern in patterns)
    # A `|` outside of a group would take the anchors from what is on its other side.
    assert not [one for one in patterns if "|" in without_groups(one)]


@pytest.mark.requirement("R-5.6c")
def test_a_ven_reads_just_the_nodes_that_its_roles_subscribe_to() -> None:
    domain = Domain.load(NORTH)
    rights = {one["user"]: one for one in definitions()["topic_permissions"] if one["exchange"] == "north.event"}

    for party in domain.parties:
        if party != domain.vtn:
            readable = {node for node in domain.nodes if re.search(rights[party]["read"], node)}
            assert readable == set(domain.nodes_for(party))
            assert rights[party]["write"] == "^$"
    assert not re.search(rights["battery"]["read"], "priceXnorth")


@pytest.mark.requirement("R-5.1d")
def test_the_inbox_of_the_vtn_ends_10_s_after_the_vtn_and_the_dead_are_kept_apart(tmp_path: Path) -> None:
    file = tmp_path / "north.toml"
    file.write_text(NORTH.read_text("utf-8") + "\n[limits]\nreal_time = 7.5\nwaiting = 12\n", "utf-8")

    policies = named(definitions(file=file)["policies"])

    inbox = policies["north.inbox"]["definition"]
    assert (inbox["expires"], inbox["message-ttl"], inbox["max-length"]) == (10_000, 7_500, 12)
    assert (inbox["overflow"], inbox["dead-letter-exchange"]) == ("reject-publish", "north.dead")


@pytest.mark.parametrize(
    ("queue", "policy"),
    [
        ("north.vtn.in", "north.inbox"),
        ("north.vtn.re.s", "north.sessions"),
        ("north.ven.battery.s", "north.sessions"),
        ("north.vtn.pr.s", "north.events"),
        ("north.ven.battery.s.ev", "north.events"),
        ("north.dead", "north.dead"),
    ],
)
def test_just_one_policy_fits_each_queue(queue: str, policy: str) -> None:
    policies = definitions()["policies"]

    assert [one["name"] for one in policies if re.search(one["pattern"], queue)] == [policy]


def test_an_administrator_is_an_account_more_with_no_right_in_the_domain(passwords: Path) -> None:
    found = definitions("--administrator", "admin", "--passwords", passwords)

    assert named(found["users"])["admin"]["tags"] == ["administrator"]
    assert "admin" not in named(found["permissions"], "user")


@pytest.mark.parametrize("options", ["--administrator battery", "--events battery", "--events a --administrator a"])
def test_an_account_is_not_two_in_one(passwords: Path, options: str) -> None:
    result = run(NORTH, "--rabbitmq", "--passwords", passwords, *options.split())

    assert (result.exit_code, result.stdout) == (1, "")
    assert "is another one's: give it its own" in result.stderr


# ---------------------------------------------------------------- passwords


def secrets(passwords: Path) -> dict[str, str]:
    lines = [line.split(" = ") for line in passwords.read_text("utf-8").splitlines() if not line.startswith("#")]
    return {account.strip('"'): json.loads(password) for account, password in lines}


def test_passwords_are_made_at_random_for_nobody_else_to_read_and_never_printed(passwords: Path) -> None:
    result = run(NORTH, "--rabbitmq", "--passwords", passwords)

    made = secrets(passwords)
    assert passwords.stat().st_mode & 0o777 == 0o600
    assert set(made) == set(Domain.load(NORTH).parties)
    assert len(set(made.values())) == len(made)
    assert all(len(password) >= 32 and password not in result.output for password in made.values())
    assert "" not in {one["password_hash"] for one in json.loads(result.stdout)["users"]}


def test_passwords_that_are_there_stay_and_missing_ones_are_added(passwords: Path) -> None:
    passwords.write_text("# mine\nbattery = 'old one'", "utf-8")
    passwords.chmod(0o600)

    definitions("--passwords", passwords)
    once = passwords.read_text("utf-8")
    definitions("--passwords", passwords)

    assert once.startswith("# mine\nbattery = 'old one'\ngrid-operator = ")
    assert passwords.read_text("utf-8") == once
    assert passwords.stat().st_mode & 0o777 == 0o600


def test_an_empty_password_stands_for_a_certificate(passwords: Path) -> None:
    passwords.write_text('battery = ""\n', "utf-8")
    passwords.chmod(0o600)

    users = named(definitions("--passwords", passwords)["users"])

    assert users["battery"]["password_hash"] == ""
    assert users["pv-roof"]["password_hash"] != ""


def test_the_same_password_has_another_hash_each_time(passwords: Path) -> None:
    first, second = (named(definitions("--passwords", passwords)["users"]) for _ in range(2))

    assert first["battery"]["password_hash"] != second["battery"]["password_hash"]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o660])
def test_a_file_of_passwords_that_others_can_read_is_refused(passwords: Path, mode: int) -> None:
    passwords.write_text('battery = "hush"\n', "utf-8")
    passwords.chmod(mode)

    result = run(NORTH, "--rabbitmq", "--passwords", passwords)

    assert (result.exit_code, result.stdout) == (1, "")
    assert f"can be read by others: chmod 600 {passwords}" in result.stderr


@pytest.mark.parametrize("text", ["battery = hush hush", "battery = 5_417", '[battery]\npassword = "hush"'])
def test_a_file_that_is_none_of_passwords_is_refused_without_its_text(passwords: Path, text: str) -> None:
    passwords.write_text(text, "utf-8")
    passwords.chmod(0o600)

    result = run(NORTH, "--rabbitmq", "--passwords", passwords)

    assert (result.exit_code, result.stdout) == (1, "")
    assert str(passwords) in result.stderr
    assert "hush" not in result.stderr
    assert "5" not in result.stderr.replace(str(passwords), "")


# ---------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("arguments", "advice"),
    [
        ("", "--rabbitmq"),
        ("--rabbitmq --apply http://a@b --diff http://a@b", "either --apply or --diff"),
        ("--rabbitmq --prune", "goes with --apply"),
        ("--rabbitmq --recreate --diff http://a@b", "goes with --apply"),
        ("--rabbitmq --administrator admin", "goes with --passwords"),
        ("--rabbitmq --events watcher", "goes with --passwords"),
    ],
)
def test_options_that_do_not_go_together_are_refused(arguments: str, advice: str) -> None:
    result = run(NORTH, *arguments.split())

    assert result.exit_code == 2
    assert advice in result.stderr


@pytest.mark.parametrize(
    "url", ["amqp://admin@broker", "http://", "http://admin:hush@broker:port", "http://broker", "http://a@b?hush=1"]
)
def test_a_url_that_is_none_of_a_management_api_is_refused_without_its_password(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IEC62746_ADMIN_PASSWORD", "hush")

    result = run(NORTH, "--rabbitmq", "--diff", url)

    assert (result.exit_code, result.stdout) == (2, "")
    assert "hush" not in result.stderr
    assert result.stderr.count("\n") == 1


def test_what_nobody_provisions_is_said() -> None:
    with pytest.raises(UnknownTransport, match="no provisioner for carrier-pigeon: none is installed"):
        provisioner("carrier-pigeon")


def test_a_server_that_is_no_management_api_is_one_line_on_standard_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IEC62746_ADMIN_PASSWORD", "hush")
    with HTTPServer(("127.0.0.1", 0), Stranger) as server, ThreadPoolExecutor() as pool:
        served = pool.submit(server.handle_request)
        result = run(NORTH, "--rabbitmq", "--diff", f"http://a@127.0.0.1:{server.server_port}")
        served.result(10)

    assert (result.exit_code, result.stdout) == (2, "")
    assert "does not answer as a management API" in result.stderr
    assert result.stderr.count("\n") == 1


class Stranger(BaseHTTPRequestHandler):
    def do_GET(self) -> None:  # the standard library's name
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"<html>")

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


def test_a_wrong_domain_file_is_one_line_on_standard_error(tmp_path: Path) -> None:
    result = run(tmp_path / "none.toml", "--rabbitmq")

    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.count("\n") == 1
