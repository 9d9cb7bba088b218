"""What an `amqp://` or `amqps://` URL says, and who logs in by which password."""

import os
import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl, unquote, urlsplit

from iec62746 import AuthenticationFailed, Config, InvalidAddress
from iec62746_rabbitmq import _passwords
from iec62746_rabbitmq._links import Target

LANE: Final = "fast"
"""How messages travel unless `?lane=` says otherwise."""
PORTS: Final = {"amqp": 5672, "amqps": 5671}
PASSWORD_FILE: Final = "IEC62746_PASSWORD_FILE"
"""The environment variable that names a file of lines like `ven-1 = "password"` (TOML, mode 0600)."""

_CHOICES: Final = {"declare": ("false", "true"), "lane": ("plain", "fast"), "inbox": ("classic", "quorum")}
_HOW: Final = (
    "write amqp://HOST/VHOST or amqps://ACCOUNT:PASSWORD@HOST:PORT/VHOST; quote / as %2F, [ and ] as %5B and %5D"
)
_KNOWN: Final = "?declare=true, ?lane=plain|fast, ?inbox=quorum, ?events=URL"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """One URL, read; what it does not say is None."""

    scheme: str
    host: str
    port: int
    user: str | None
    password: str | None = field(repr=False)
    vhost: str | None
    is_open: bool = False
    """True if one login is for all, and exchanges are declared on connecting."""
    lane: str = LANE
    inbox: str = "classic"
    events: "Place | None" = None
    """Where the vhost is that has `amq.rabbitmq.event`."""

    @property
    def is_encrypted(self) -> bool:
        """True if it is TLS."""
        return self.scheme == "amqps"


def read(url: str) -> Place:
    """Return what `url` says; raises `InvalidAddress`, in which no password is shown."""
    try:
        parts = urlsplit(url)
        port, host = parts.port, parts.hostname
    except ValueError:
        raise InvalidAddress(_HOW) from None
    if parts.scheme not in PORTS or not host or parts.fragment or "/" in parts.path[1:]:
        raise InvalidAddress(_HOW)
    query = _query(parts.query)
    return Place(
        scheme=parts.scheme,
        host=host,
        port=port or PORTS[parts.scheme],
        user=_unquoted(parts.username),
        password=_unquoted(parts.password),
        vhost=_unquoted(parts.path[1:]),
        is_open=query.get("declare") == "true",
        lane=query.get("lane", LANE),
        inbox=query.get("inbox", "classic"),
        events=_events(query.get("events")),
    )


def _unquoted(text: str | None) -> str | None:
    return unquote(text) if text else None


def _query(text: str) -> dict[str, str]:
    try:
        pairs = parse_qsl(text, keep_blank_values=True, strict_parsing=bool(text))
    except ValueError:
        raise InvalidAddress(f"write queries like {_KNOWN}") from None
    query = dict(pairs)
    if unknown := sorted(set(query) - {*_CHOICES, "events"}):
        raise InvalidAddress(f"RabbitMQ knows {_KNOWN}, not {', '.join(unknown)}")
    for name, choices in _CHOICES.items():
        if query.get(name, choices[0]) not in choices:
            raise InvalidAddress(f"{name} is {query[name]!r}: write {' or '.join(choices)}")
    return query


def _events(url: str | None) -> Place | None:
    if url is None:
        return None
    try:
        place = read(url)
    except InvalidAddress as exc:
        raise InvalidAddress(f"events is no URL of RabbitMQ, quoted as in a query: {exc}") from None
    if urlsplit(url).query:
        raise InvalidAddress("the URL of events has no query of its own")
    return place


# ---------------------------------------------------------------- who logs in


def target(place: Place, config: Config, what: str) -> Target:
    """Return how `config`'s party connects to `place`; raises `AuthenticationFailed` where nothing says the password.

    User: the URL's, else the party's account. Password: the URL's, else the one given, else the file's, else the
    certificate's (EXTERNAL, with amqps only). Open, and without a user: guest.
    """
    if config.tls is not None and not place.is_encrypted:
        raise InvalidAddress(f"certificates are given, but {place.host} is amqp://, in the clear: write amqps://")
    is_guest = place.is_open and place.user is None
    user = "guest" if is_guest else place.user or config.account
    password = place.password or config.password or _from_file(user) or ("guest" if is_guest else None)
    if password is None and not place.is_encrypted:
        raise AuthenticationFailed(
            f"there is no password for {user}: give one, or {PASSWORD_FILE}, or amqps:// and a certificate"
        )
    return Target(
        host=place.host,
        port=place.port,
        vhost=place.vhost or ("/" if place.is_open else config.domain),
        user=user,
        password=password,
        tls=(config.tls or ssl.create_default_context()) if place.is_encrypted else None,
        name=f"{config.domain}/{config.party} {what}",
    )


def events_target(place: Place, config: Config) -> Target:
    """Return how to connect to the vhost that has the broker's events."""
    if place.user is None or place.password is None:
        raise AuthenticationFailed("the URL of events needs a user and a password: it is an account of its own")
    return Target(
        host=place.host,
        port=place.port,
        vhost=place.vhost or "/",
        user=place.user,
        password=place.password,
        tls=(config.tls or ssl.create_default_context()) if place.is_encrypted else None,
        name=f"{config.domain}/{config.party} events",
    )


def _from_file(user: str) -> str | None:
    """Return the password of `user` in the file of passwords, if there is one."""
    name = os.environ.get(PASSWORD_FILE)
    if not name:
        return None
    return _passwords.read(Path(name)).get(user) or None  # "" stands for a certificate
