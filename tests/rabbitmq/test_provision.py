"""`iec62746 domain provision` on real brokers: loads, compares, changes nothing twice, deletes only when told."""

import asyncio
import json
from pathlib import Path
from typing import Any

import aio_pika
import aiormq
import pytest
from typer.testing import CliRunner, Result

from iec62746 import AuthenticationFailed, Domain, Unreachable
from iec62746.cli import app
from iec62746_rabbitmq._management import Management
from iec62746_rabbitmq.provision import RabbitProvisioner

TOML = """\
[domain]
name = "{name}"
vtn = "{name}-vtn"
[nodes."price.north"]
nouns = ["MarketPrices"]
[roles.household]
subscribe = ["price.#"]
[parties.{name}-1]
roles = ["household"]
[parties.{name}-2]
roles = ["household"]
"""


class Town:
    """A domain file, its passwords, and the command line."""

    def __init__(self, name: str, admin: str, folder: Path) -> None:
        self.name, self.admin, self.api = name, admin, Management(admin)
        self.file, self.passwords = folder / "town.toml", folder / "town.passwords"
        self.file.write_text(TOML.format(name=name), "utf-8")

    def run(self, *arguments: object) -> Result:
        words = ["domain", "provision", self.file, "--rabbitmq", "--passwords", self.passwords, *arguments]
        return CliRunner().invoke(app, [str(word) for word in words], env={"COLUMNS": "200", "TERM": "dumb"})

    def secrets(self) -> list[str]:
        return [line.split('"')[1] for line in self.passwords.read_text().splitlines() if "=" in line]

    def load(self, **definitions: list[dict[str, Any]]) -> None:
        """Change the broker behind the file's back."""
        self.api.post(definitions, "definitions")

    def destroy(self, kind: str, name: str) -> None:
        """Delete behind the file's back; for that an administrator needs rights, for an import it does not."""
        self.load(permissions=[{"user": "guest", "vhost": self.name, "configure": ".*", "write": "", "read": ""}])
        self.api.delete(kind, self.name, name)
        self.api.delete("permissions", self.name, "guest")


@pytest.fixture
def town(broker: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("IEC62746_ADMIN_PASSWORD", "guest")
    town = Town(f"t{tmp_path.name[-12:].replace('_', '')}", broker.management.replace("//", "//guest@"), tmp_path)
    applied = town.run("--apply", town.admin)
    assert applied.exit_code == 0, applied.output
    yield town
    town.api.delete("vhosts", town.name)
    for user in town.api.get("users"):
        if user["name"].startswith(town.name):
            town.api.delete("users", user["name"])


def test_what_was_applied_does_not_differ_and_twice_changes_nothing(town: Town) -> None:
    before = town.api.get("definitions")

    again = town.run("--apply", town.admin)

    assert (again.exit_code, again.output) == (0, "nothing to change\n")
    assert town.api.get("definitions")["users"] == before["users"]
    assert town.run("--diff", town.admin).exit_code == 0


def test_who_makes_the_vhost_has_no_right_in_it(town: Town) -> None:
    users = {one["user"] for one in town.api.get("permissions") if one["vhost"] == town.name}

    assert users == {f"{town.name}-vtn", f"{town.name}-1", f"{town.name}-2"}


async def test_the_passwords_of_the_file_log_in_and_others_do_not(town: Town, broker: Any) -> None:
    account = f"{town.name}-1"
    password = dict(line.split(" = ") for line in town.passwords.read_text().splitlines() if "=" in line)[account]

    async with await aio_pika.connect(broker.url(account, json.loads(password), town.name)):
        pass
    with pytest.raises(aio_pika.exceptions.AMQPError):
        await aio_pika.connect(broker.url(account, "", town.name))


def test_a_changed_right_is_shown_and_mended(town: Town) -> None:
    account = f"{town.name}-1"
    town.load(permissions=[{"user": account, "vhost": town.name, "configure": ".*", "write": ".*", "read": ".*"}])

    differs, mended = town.run("--diff", town.admin), town.run("--apply", town.admin)

    assert differs.exit_code == 1
    assert f"~ permissions {account}: configure is" in differs.output
    assert mended.exit_code == 0
    assert town.run("--diff", town.admin).exit_code == 0


def test_a_right_on_keys_that_was_taken_away_is_given_back(town: Town) -> None:
    town.api.delete("topic-permissions", town.name, f"{town.name}-1")

    differs, mended = town.run("--diff", town.admin), town.run("--apply", town.admin)

    assert differs.output.count("+ topic_permissions") == 4
    assert (mended.exit_code, town.run("--diff", town.admin).exit_code) == (0, 0)


def test_another_password_is_a_difference_but_not_shown(town: Town) -> None:
    text = town.passwords.read_text()
    town.passwords.write_text(text.replace(f"{town.name}-1 = ", f'{town.name}-1 = "not secret enough" # '))

    differs, mended = town.run("--diff", town.admin), town.run("--apply", town.admin)

    assert differs.output == f"~ users {town.name}-1: the password differs\n"
    assert mended.output == differs.output
    assert not any(secret in differs.output + mended.output for secret in town.secrets())


def test_without_passwords_those_on_the_broker_stay(town: Town) -> None:
    domain, before = Domain.load(town.file), {one["name"]: one["password_hash"] for one in town.api.get("users")}
    town.load(
        users=[
            {
                "name": f"{town.name}-1",
                "password_hash": before[f"{town.name}-1"],
                "hashing_algorithm": "rabbit_password_hashing_sha256",
                "tags": ["monitoring"],
            }
        ]
    )

    done, _ = RabbitProvisioner().apply(domain, town.admin)

    assert [str(one) for one in done] == [f'~ users {town.name}-1: tags is ["monitoring"], not []']
    assert {one["name"]: one["password_hash"] for one in town.api.get("users")} == before


def test_who_left_the_file_leaves_the_broker_only_with_prune(town: Town) -> None:
    town.file.write_text(town.file.read_text().partition(f"[parties.{town.name}-2]")[0])
    gone = f"{town.name}-2"

    kept = town.run("--apply", town.admin)
    assert gone in {one["name"] for one in town.api.get("users")}
    pruned = town.run("--apply", town.admin, "--prune")

    assert kept.exit_code == 0
    assert f"left as it is, --prune deletes it: - users {gone}" in kept.output
    assert f"- users {gone}" in pruned.output
    assert gone not in {one["name"] for one in town.api.get("users")}
    assert town.run("--diff", town.admin).exit_code == 0


def test_prune_keeps_an_account_that_is_used_elsewhere_or_administers(town: Town) -> None:
    everything = {"configure": ".*", "write": ".*", "read": ".*"}
    town.load(
        users=[{"name": f"{town.name}-x", "password_hash": "", "tags": []}],
        permissions=[
            {"user": "guest", "vhost": town.name, **everything},
            {"user": f"{town.name}-x", "vhost": town.name, **everything},
            {"user": f"{town.name}-x", "vhost": "/", **everything},
        ],
    )

    assert town.run("--diff", town.admin).exit_code == 1
    assert town.run("--apply", town.admin, "--prune").exit_code == 0

    assert {"guest", f"{town.name}-x"} <= {one["name"] for one in town.api.get("users")}
    assert town.run("--diff", town.admin).exit_code == 0


def test_strange_exchanges_queues_bindings_and_policies_are_pruned(town: Town) -> None:
    def of(**more: Any) -> dict[str, Any]:
        return {"vhost": town.name, **more}

    place = {"durable": True, "auto_delete": False, "arguments": {}}
    town.load(
        exchanges=[of(name="strange", type="fanout", internal=False, **place)],
        queues=[of(name=f"{town.name}.ven.x.y", **place)],
        bindings=[
            of(source="strange", destination=f"{town.name}.ven.x.y", destination_type="queue", routing_key=key)
            | {"arguments": {}}
            for key in ("", "a/b~c")
        ],
        policies=[of(name="strange", pattern=".*", priority=99, definition={"max-length": 1}) | {"apply-to": "queues"}],
    )

    differs, pruned = town.run("--diff", town.admin), town.run("--apply", town.admin, "--prune")

    assert [line[:3] for line in differs.output.splitlines()] == ["- e", "- q", "- b", "- b", "- p"]
    assert (pruned.exit_code, town.run("--diff", town.admin).output) == (0, "")


def test_the_inbox_that_a_vtn_declares_is_not_strange(town: Town) -> None:
    town.load(
        queues=[{"name": f"{town.name}.vtn.in", "vhost": town.name, "durable": True, "auto_delete": False}],
        bindings=[
            {
                "source": f"{town.name}.to.vtn",
                "vhost": town.name,
                "destination": f"{town.name}.vtn.in",
                "destination_type": "queue",
                "routing_key": "*.in",
                "arguments": {},
            }
        ],
    )

    assert {one["name"] for one in town.api.get("definitions")["queues"] if one["vhost"] == town.name} == {
        f"{town.name}.dead",
        f"{town.name}.vtn.in",
    }
    assert town.run("--diff", town.admin).output == ""


def test_what_cannot_be_changed_is_made_anew_only_when_told(town: Town) -> None:
    town.destroy("exchanges", f"{town.name}.event")
    shape = {"vhost": town.name, "durable": True, "auto_delete": False, "internal": False, "arguments": {}}
    town.load(exchanges=[{"name": f"{town.name}.event", "type": "fanout", **shape}])

    told, made = town.run("--apply", town.admin), town.run("--apply", town.admin, "--recreate")

    assert told.exit_code == 1
    assert f'--recreate makes it anew: ! exchanges {town.name}.event: type is "fanout", not "topic"' in told.output
    assert (made.exit_code, town.run("--diff", town.admin).exit_code) == (0, 0)


def test_a_dead_letter_queue_that_is_made_anew_gets_its_binding_back(town: Town) -> None:
    dead = f"{town.name}.dead"
    town.destroy("queues", dead)
    queue = {"name": dead, "vhost": town.name, "durable": True, "auto_delete": False}
    town.load(queues=[queue | {"arguments": {"x-queue-type": "quorum"}}])

    made = town.run("--apply", town.admin, "--recreate")

    assert made.exit_code == 0
    assert town.run("--diff", town.admin).exit_code == 0


def test_a_wrong_administrator_is_refused_without_a_password_shown(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IEC62746_ADMIN_PASSWORD", "not-it")

    refused = town.run("--diff", town.admin)

    assert refused.exit_code == 2
    assert "refuses guest" in refused.output
    assert "not-it" not in refused.output


def test_the_password_of_the_administrator_comes_from_a_file(
    town: Town, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("IEC62746_ADMIN_PASSWORD")
    with pytest.raises(AuthenticationFailed, match="IEC62746_ADMIN_PASSWORD_FILE"):
        Management(town.admin)
    (tmp_path / "secret").write_text("guest\n")
    monkeypatch.setenv("IEC62746_ADMIN_PASSWORD_FILE", str(tmp_path / "secret"))

    assert town.run("--diff", town.admin).exit_code == 0


async def test_the_account_of_events_hears_who_goes_and_nothing_else(town: Town, broker: Any) -> None:
    watcher = f"{town.name}-watcher"
    applied = town.run("--apply", town.admin, "--events", watcher)
    assert applied.exit_code == 0, applied.output
    assert town.run("--diff", town.admin, "--events", watcher).output == ""
    password = town.secrets()[-1]

    async with await aio_pika.connect(broker.url(watcher, password, "/")) as connection:
        channel = await (await connection.channel()).get_underlay_channel()
        queue = (await channel.queue_declare(exclusive=True)).queue or ""
        await channel.queue_bind(queue, "amq.rabbitmq.event", routing_key="queue.deleted")
        heard: asyncio.Queue[object] = asyncio.Queue()

        async def hear(message: aiormq.abc.DeliveredMessage) -> None:
            heard.put_nowait((message.header.properties.headers or {})["name"])

        await channel.basic_consume(queue, hear, no_ack=True)
        account = f"{town.name}-1"
        secret = next(
            line.split('"')[1] for line in town.passwords.read_text().splitlines() if line.startswith(account)
        )
        async with await aio_pika.connect(broker.url(account, secret, town.name)) as ven:
            await (await ven.channel()).declare_queue(f"{town.name}.ven.{account}.s", exclusive=True)
        async with asyncio.timeout(20):
            while await heard.get() != f"{town.name}.ven.{account}.s":
                pass

        for key in ("#", "user.#", "connection.created"):
            other = await (await connection.channel()).get_underlay_channel()
            with pytest.raises(aiormq.exceptions.ChannelAccessRefused):
                await other.queue_bind(queue, "amq.rabbitmq.event", routing_key=key)


def test_definitions_are_imported_at_boot_with_an_administrator(
    new_broker: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, passwords, definitions = tmp_path / "boot.toml", tmp_path / "passwords", tmp_path / "definitions.json"
    file.write_text(TOML.format(name="boot"), "utf-8")
    domain, by = Domain.load(file), RabbitProvisioner()
    definitions.write_text(
        by.definitions(domain, passwords=passwords, administrator="boot-admin", events="boot-events")
    )
    secret = next(line.split('"')[1] for line in passwords.read_text().splitlines() if line.startswith("boot-admin"))
    monkeypatch.setenv("IEC62746_ADMIN_PASSWORD", secret)

    broker = new_broker("4", definitions=definitions)

    admin = broker.management.replace("//", "//boot-admin@")
    assert by.compare(domain, admin, passwords=passwords, administrator="boot-admin", events="boot-events") == []
    assert "guest" not in broker.ctl("list_users")


def test_nobody_at_the_url_is_unreachable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IEC62746_ADMIN_PASSWORD", "guest")

    with pytest.raises(Unreachable, match="does not answer"):
        Management("http://guest@127.0.0.1:1").get("definitions")
