"""What URLs of RabbitMQ mean, what they promise, and that no password is shown."""

from pathlib import Path

import pytest
from aiormq.exceptions import ChannelPreconditionFailed

from iec62746 import (
    AccessControl,
    AuthenticationFailed,
    Config,
    Inbox,
    InvalidAddress,
    LocalError,
    PermissionDenied,
    Presence,
    Proof,
    TooLarge,
)
from iec62746.transport import lacks
from iec62746_rabbitmq import RabbitTransport
from iec62746_rabbitmq._errors import unsettled
from iec62746_rabbitmq._management import Management
from iec62746_rabbitmq._topology import Route, Topology
from iec62746_rabbitmq._url import PASSWORD_FILE, read, target

FORMS = [
    ("amqp://host", ("host", 5672, None, None, None)),
    ("amqp://host/", ("host", 5672, None, None, None)),
    ("amqps://host", ("host", 5671, None, None, None)),
    ("amqp://host:1234/north", ("host", 1234, None, None, "north")),
    ("amqp://host/%2F", ("host", 5672, None, None, "/")),
    ("amqp://host/a%2Fb", ("host", 5672, None, None, "a/b")),
    ("amqp://u%40x:p%2F%3A%40@host/v", ("host", 5672, "u@x", "p/:@", "v")),
    ("amqp://[::1]:5/v", ("::1", 5, None, None, "v")),
]


def config(url: str, password: str | None = None, account: str = "ven-1") -> Config:
    return Config(
        urls=(url,), domain="north", party="ven-1", vtn="vtn", session="s", account=account, password=password
    )


@pytest.mark.parametrize(("url", "parts"), FORMS)
def test_a_url_is_read(url: str, parts: tuple[object, ...]) -> None:
    place = read(url)

    assert parts == (place.host, place.port, place.user, place.password, place.vhost)


@pytest.mark.parametrize(
    ("url", "match"),
    [
        ("amqp://host?heartbeat=1", "knows .*declare=true.*lane.*inbox=quorum.*events=URL, not heartbeat"),
        ("amqp://host?declare=yes", "declare is 'yes': write false or true"),
        ("amqp://host?lane=slow", "lane is 'slow'"),
        ("amqp://host?inbox=stream", "inbox is 'stream'"),
        ("amqp://host?declare", "write queries like"),
        ("amqp://", "write amqp://HOST"),
        ("amqp://host/a/b", "quote / as %2F"),
        ("amqp://host:port/", "write amqp://HOST"),
        ("amqp://u:p[secret]x@host/v", "write amqp://HOST"),
        ("amqp://host?events=http://x", "events is no URL of RabbitMQ"),
        ("amqp://host?events=amqp%3A%2F%2Fx%3Fdeclare%3Dtrue", "no query of its own"),
    ],
)
def test_a_wrong_url_says_what_is_right(url: str, match: str) -> None:
    with pytest.raises(InvalidAddress, match=match):
        RabbitTransport().capabilities(url)


def test_no_password_is_shown() -> None:
    url = "amqp://ven-1:secret@host/v?events=amqp%3A%2F%2Fwatch%3Asecret%40host"
    place = read(url)

    shown = [repr(place), repr(target(place, config(url), "x"))]
    for wrong in (f"{url}&x=1", url.replace("/v", "/v/v"), url.replace("host/", "host:y/")):
        with pytest.raises(InvalidAddress) as caught:
            read(wrong)
        shown.append(str(caught.value))

    assert not [one for one in shown if "secret" in one]


@pytest.mark.parametrize(
    ("url", "password", "expected"),
    [
        ("amqp://u:p@host", "given", ("u", "p", "north")),
        ("amqp://u@host", "given", ("u", "given", "north")),
        ("amqp://host/v", "given", ("account-1", "given", "v")),
        ("amqp://host?declare=true", None, ("guest", "guest", "/")),
        ("amqp://u:p@host/v?declare=true", None, ("u", "p", "v")),
        ("amqps://host", None, ("account-1", None, "north")),
    ],
)
def test_who_logs_in_where(url: str, password: str | None, expected: tuple[str | None, ...]) -> None:
    at = target(read(url), config(url, password, "account-1"), "x")

    assert expected == (at.user, at.password, at.vhost)


@pytest.mark.parametrize("vhost", ["/", "north", "a/b", "a b", "100%", "ä", "?x#y"])
def test_a_vhost_of_any_name_arrives_as_it_is(vhost: str) -> None:
    from urllib.parse import quote

    import aiormq

    url = f"amqp://u:p@host/{quote(vhost, safe='')}"
    made = target(read(url), config(url), "x").url()

    async def seen() -> str:
        return aiormq.Connection(made).vhost

    import asyncio

    assert vhost == asyncio.run(seen())


def test_a_password_comes_from_the_file_that_the_environment_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "passwords"
    path.write_text('ven-1 = "of the file"\nven-2 = ""\n')
    path.chmod(0o600)
    monkeypatch.setenv(PASSWORD_FILE, str(path))

    assert "of the file" == target(read("amqp://host"), config("amqp://host"), "x").password
    with pytest.raises(AuthenticationFailed, match="no password for ven-2"):
        target(read("amqp://ven-2@host"), config("amqp://ven-2@host"), "x")


@pytest.mark.parametrize(("text", "mode"), [('ven-1 = "secret"', 0o644), ("ven-1 = secret", 0o600)])
def test_a_file_of_passwords_that_is_open_or_broken_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, mode: int
) -> None:
    path = tmp_path / "passwords"
    path.write_text(text)
    path.chmod(mode)
    monkeypatch.setenv(PASSWORD_FILE, str(path))

    with pytest.raises(LocalError) as caught:
        target(read("amqp://host"), config("amqp://host"), "x")
    assert "secret" not in str(caught.value)


def test_without_a_password_it_is_not_tried_in_the_clear(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(PASSWORD_FILE, raising=False)

    with pytest.raises(AuthenticationFailed, match=PASSWORD_FILE):
        target(read("amqp://host"), config("amqp://host"), "x")


def test_what_is_promised_depends_on_the_way() -> None:
    of = RabbitTransport().capabilities

    assert (Proof.BROKER, AccessControl.NODE) == (of("amqp://host").proof, of("amqp://host").access_control)
    assert (Proof.CLAIMED, AccessControl.NONE) == (
        of("amqp://host?declare=true").proof,
        of("amqp://host?declare=true").access_control,
    )
    assert () == lacks(of("amqp://host"), "realtime") == lacks(of("amqps://host"), "secure")
    assert lacks(of("amqps://host?declare=true"), "secure")
    assert lacks(of("amqp://host"), "secure")
    assert of("amqp://host").tells_gone_within is None
    assert of("amqp://host?events=amqp%3A%2F%2Fu%3Ap%40host").tells_gone_within == 15


# ---------------------------------------------------------------- names and keys


def test_names_and_keys_are_those_of_the_page() -> None:
    vtn, ven = Topology("north", "vtn", "vtn", "s1"), Topology("north", "ven-1", "vtn", "s2")

    assert Route("north.to.ven", "ven-1") == vtn.route(Inbox("ven-1"))
    assert Route("north.to.vtn", "ven-1.in") == ven.route(Inbox("vtn"))
    assert Route("north.presence", "ven-1") == ven.route(Presence("ven-1"))
    assert ("ven-1.re.s1", "ven-1") == (vtn.reply_key(Inbox("ven-1")), ven.reply_key(Inbox("vtn")))
    assert [("north.vtn.re.s1", "*.re.s1"), ("north.vtn.in", "*.in")] == [
        (one.queue.name, one.key) for one in vtn.bindings(Inbox("vtn"))
    ]
    assert ["north.ven.ven-1.s2"] == [one.queue.name for one in ven.bindings(Inbox("ven-1"))]
    assert ["north.ven.ven-1.s2.ev"] == [one.queue.name for one in ven.bindings(Presence("vtn"))]


@pytest.mark.parametrize(
    ("exchange", "key"),
    [
        ("north.to.vtn", "ven-1.re.other"),
        ("north.to.vtn", "ven-1.in"),
        ("north.to.ven", "ven-1"),
        ("north.event", "price.north"),
        ("north.presence", "ven-1"),
        ("south.to.vtn", "ven-1.re.s1"),
        ("", "north.vtn.re.s1"),
    ],
)
def test_a_delivery_out_of_its_lane_has_no_place(exchange: str, key: str) -> None:
    vtn = Topology("north", "vtn", "vtn", "s1")

    assert vtn.place(vtn.vtn_replies, exchange, key) is None
    assert vtn.place(vtn.vtn_replies, "north.to.vtn", "ven-1.re.s1") is not None


def test_the_inbox_of_a_session_tells_whose_it_is() -> None:
    names = Topology("north", "vtn", "vtn", "s1")

    assert ("ven-1", "s2") == names.session_of("north.ven.ven-1.s2")
    assert ("vtn", "s3") == names.session_of("north.vtn.re.s3")
    for other in ("north.ven.ven-1.s2.ev", "north.vtn.in", "south.ven.ven-1.s2", "north.vtn.pr.s1", "None"):
        assert names.session_of(other) is None


def test_it_is_encrypted_only_if_the_events_are() -> None:
    def is_encrypted(events: str) -> bool:
        return RabbitTransport().capabilities(f"amqps://host/v?events={events}%3A%2F%2Fu%3Ap%40host%2F").is_encrypted

    assert (False, True) == (is_encrypted("amqp"), is_encrypted("amqps"))


def test_a_wrong_url_shows_no_part_of_its_password() -> None:
    for wrong in (read, Management):
        with pytest.raises(InvalidAddress) as caught:
            wrong("https://u:p[secret]x@host")
        assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("is_alone", "text", "error"),
    [
        (True, "PRECONDITION_FAILED - message size 2000000 is larger than max size 1048576", TooLarge),
        (False, "PRECONDITION_FAILED - message size 2000000 is larger than max size 1048576", PermissionDenied),
        (True, "PRECONDITION_FAILED - user_id property set to 'x'", PermissionDenied),
    ],
)
def test_a_refusal_says_what_the_broker_said(is_alone: bool, text: str, error: type[Exception]) -> None:
    found = unsettled(ChannelPreconditionFailed(text), is_alone=is_alone)

    assert error is type(found)
    assert text in str(found)
