"""What each account may publish and subscribe to, for the configuration of nats-server."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from iec62746 import Domain, Inbox, Node, Presence

from iec62746_nats.subjects import Subjects


def authorization(domains: Iterable[Domain], passwords: Mapping[str, str]) -> dict[str, Any]:
    """Return the block `authorization` by which the server proves who sent what, and keeps everybody to the domains.

    What is not listed is denied. An account of several domains may do in each what its party there may.
    """
    publish: dict[str, list[str]] = defaultdict(list)
    subscribe: dict[str, list[str]] = defaultdict(list)
    for domain in domains:
        for party in domain.parties.values():
            if party.account in passwords:
                publish[party.account] += _publish(domain, party.name)
                subscribe[party.account] += _subscribe(domain, party.name)
    rights = {name: {"publish": publish[name], "subscribe": subscribe[name]} for name in publish}
    return {"users": [{"user": name, "password": passwords[name], "permissions": rights[name]} for name in rights]}


def _publish(domain: Domain, party: str) -> list[str]:
    mine = Subjects(domain.name, domain.vtn, party)
    if party == domain.vtn:
        return [f"{domain.name}.{party}.>"]
    return [
        mine.to(Inbox(domain.vtn)),
        mine.answer(domain.vtn, "*"),
        mine.to(Presence()),
        mine.ack("*", "*"),
    ]


def _subscribe(domain: Domain, party: str) -> list[str]:
    mine = Subjects(domain.name, domain.vtn, party)
    everybody = [None] if party == domain.vtn else [domain.vtn, party]
    return [
        mine.of(Inbox(party)),
        mine.answers("*"),
        mine.ack("*", "*"),
        *(mine.of(Presence(one)) for one in everybody),
        *(mine.of(Node(node)) for node in domain.nodes_for(party)),
    ]
