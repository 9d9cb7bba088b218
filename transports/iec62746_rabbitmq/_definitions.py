"""What a domain needs of RabbitMQ, as its management API writes it: exchanges, accounts, rights, policies (62746-3, 6).

A right is a regular expression that RabbitMQ does not anchor, and a topic exchange without a record for a user is open
to it: so each pattern here is anchored and literal but for the session, and each user has a record for each exchange.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from iec62746 import Domain, DomainError
from iec62746_rabbitmq._events import EXCHANGE
from iec62746_rabbitmq._passwords import hashed
from iec62746_rabbitmq._topology import EXCHANGES, EXPIRES, OPEN_OCTETS

DEAD: Final = "dead"
"""Where the broker puts what expired in the VTN's inbox: an exchange and a queue, with the domain's prefix."""
DEAD_KEPT: Final = 3_600_000
"""Milliseconds for which it stays there; the VTN counts it, nobody is given it."""
DEAD_LENGTH: Final = 10_000
"""Messages that stay there; the oldest go first."""
HASHING: Final = "rabbit_password_hashing_sha256"

EVENTS_VHOST: Final = "/"
"""Where RabbitMQ has its event exchange, unless `event_exchange.vhost` says otherwise."""

_EVENTS: Final = re.escape(EXCHANGE)
_GENERATED: Final = r"amq\.gen-[A-Za-z0-9_-]+"
_NOTHING: Final = "^$"
_PARTY: Final = "[A-Za-z0-9_-]{1,64}"
_SESSION: Final = "[A-Za-z0-9_-]{1,32}"

Entry = dict[str, Any]
Definitions = dict[str, list[Entry]]


def definitions(
    domain: Domain,
    passwords: Mapping[str, str] | None = None,
    administrator: str | None = None,
    events: str | None = None,
) -> Definitions:
    """Return the definitions of `domain`: those of its own vhost, and its accounts.

    An account without a password in `passwords` has none: it logs in by certificate. `events` is the account that reads
    the broker's own events, in the vhost `/`. Raises `DomainError` where one account is to be two.
    """
    vhost, secret = domain.name, passwords or {}
    _refuse_two_in_one(domain, administrator, events)
    users = [_user(party.account, secret) for party in domain.parties.values()]
    if events is not None:
        users.append(_user(events, secret))
    if administrator is not None:
        users.append(_user(administrator, secret, "administrator"))
    rights = [right for party in domain.parties for right in _rights(domain, party)]
    return {
        "vhosts": [{"name": name} for name in ([vhost, EVENTS_VHOST] if events is not None else [vhost])],
        "users": users,
        "exchanges": [_exchange(domain, name, "topic") for name in EXCHANGES] + [_exchange(domain, DEAD, "fanout")],
        "queues": [
            {
                "name": f"{domain.name}.{DEAD}",
                "vhost": vhost,
                "durable": True,
                "auto_delete": False,
                "arguments": {"x-queue-type": "classic"},
            }
        ],
        "bindings": [
            {
                "source": f"{domain.name}.{DEAD}",
                "vhost": vhost,
                "destination": f"{domain.name}.{DEAD}",
                "destination_type": "queue",
                "routing_key": "",
                "arguments": {},
            }
        ],
        "policies": list(_policies(domain)),
        "parameters": [],
        "permissions": [_permission(domain, party) for party in domain.parties] + _events_permission(events),
        "topic_permissions": rights + _events_right(events),
    }


def _refuse_two_in_one(domain: Domain, *more: str | None) -> None:
    given = [account for account in more if account is not None]
    for account in given:
        if given.count(account) > 1 or domain.party_of(account) is not None:
            raise DomainError(f"the account {account!r} is another one's: give it its own", file=domain.file)


def _user(account: str, passwords: Mapping[str, str], *tags: str) -> Entry:
    return {
        "name": account,
        "password_hash": hashed(passwords.get(account, "")),
        "hashing_algorithm": HASHING,
        "tags": list(tags),
        "limits": {},
    }


def _exchange(domain: Domain, name: str, kind: str) -> Entry:
    return {
        "name": f"{domain.name}.{name}",
        "vhost": domain.name,
        "type": kind,
        "durable": True,
        "auto_delete": False,
        "internal": False,
        "arguments": {},
    }


# ---------------------------------------------------------------- policies


def _policies(domain: Domain) -> Iterator[Entry]:
    """Yield how much may wait in which queue, and how long (62746-3, 5.1: no store and forward)."""
    bounds = {
        "message-ttl": round(domain.limits.real_time * 1_000),
        "max-length": domain.limits.waiting,
        "max-length-bytes": OPEN_OCTETS,
    }
    # Who sends to an inbox is told that it is full; but one slow VEN must not refuse what the others get.
    inbox, broadcast = bounds | {"overflow": "reject-publish"}, bounds | {"overflow": "drop-head"}
    gone = {"expires": EXPIRES, "dead-letter-exchange": f"{domain.name}.{DEAD}"}
    dead = {"message-ttl": DEAD_KEPT, "max-length": DEAD_LENGTH, "overflow": "drop-head"}
    yield _policy(domain, "inbox", r"vtn\.in", inbox | gone)
    yield _policy(domain, "sessions", rf"(vtn\.re\.{_SESSION}|ven\.{_PARTY}\.{_SESSION})", inbox)
    yield _policy(domain, "events", rf"(vtn\.pr\.{_SESSION}|ven\.{_PARTY}\.{_SESSION}\.ev)", broadcast)
    yield _policy(domain, DEAD, DEAD, dead)


def _policy(domain: Domain, name: str, pattern: str, definition: Mapping[str, object]) -> Entry:
    return {
        "vhost": domain.name,
        "name": f"{domain.name}.{name}",
        "pattern": _named(domain, pattern),
        "apply-to": "queues",
        "priority": 10,
        "definition": dict(definition),
    }


# ---------------------------------------------------------------- rights


def _permission(domain: Domain, party: str) -> Entry:
    """Return what `party` may declare, publish to and read from."""
    if party == domain.vtn:
        own = rf"vtn\.(in|(re|pr)\.{_SESSION})"
        write, read, configure = rf"({own}|to\.ven|event|presence)", rf"({own}|to\.vtn|presence|{DEAD})", own
    else:
        own = rf"ven\.{re.escape(party)}\.{_SESSION}(\.ev)?"
        write, read, configure = rf"({own}|to\.vtn|presence)", rf"({own}|to\.ven|event|presence)", own
    return {
        "user": domain.parties[party].account,
        "vhost": domain.name,
        "configure": _named(domain, configure),
        "write": _named(domain, write),
        "read": _named(domain, read),
    }


def _named(domain: Domain, pattern: str) -> str:
    return rf"^{re.escape(domain.name)}\.{pattern}$"


def _rights(domain: Domain, party: str) -> Iterator[Entry]:
    """Yield with which keys `party` may publish to each exchange, and by which it may bind to it."""
    keys = _vtn_keys(domain) if party == domain.vtn else _ven_keys(domain, party)
    for exchange, (write, read) in zip(EXCHANGES, keys, strict=True):
        yield {
            "user": domain.parties[party].account,
            "vhost": domain.name,
            "exchange": f"{domain.name}.{exchange}",
            "write": write,
            "read": read,
        }


def _vtn_keys(domain: Domain) -> tuple[tuple[str, str], ...]:
    """Return write and read for each of `EXCHANGES`; `*` is a literal there, the key of a binding."""
    return (
        (_NOTHING, rf"^\*\.(in|re\.{_SESSION})$"),
        (f"^{_PARTY}$", _NOTHING),
        (_any_of(domain.nodes), _NOTHING),
        (_any_of([domain.vtn]), rf"^(\*|{_PARTY})$"),
    )


def _ven_keys(domain: Domain, party: str) -> tuple[tuple[str, str], ...]:
    """Return write and read for each of `EXCHANGES`: the first word says who it is (62746-3, 5.4)."""
    me = re.escape(party)
    return (
        (rf"^{me}\.(in|re\.{_SESSION})$", _NOTHING),
        (_NOTHING, f"^{me}$"),
        (_NOTHING, _any_of(domain.nodes_for(party))),
        (f"^{me}$", _any_of([domain.vtn, party])),
    )


def _events_permission(account: str | None) -> list[Entry]:
    """Return what the account for the broker's events may do: declare a queue that the broker names, and read it."""
    if account is None:
        return []
    place = {"user": account, "vhost": EVENTS_VHOST}
    return [place | {"configure": f"^{_GENERATED}$", "write": f"^{_GENERATED}$", "read": f"^({_GENERATED}|{_EVENTS})$"}]


def _events_right(account: str | None) -> list[Entry]:
    if account is None:
        return []
    place = {"user": account, "vhost": EVENTS_VHOST, "exchange": EXCHANGE}
    return [place | {"write": _NOTHING, "read": r"^queue\.(created|deleted)$"}]


def _any_of(names: Iterable[str]) -> str:
    """Return the pattern of just these names; a wildcard would let through what RabbitMQ's own `#` then means."""
    escaped = [re.escape(name) for name in names]
    return f"^({'|'.join(escaped)})$" if escaped else _NOTHING
