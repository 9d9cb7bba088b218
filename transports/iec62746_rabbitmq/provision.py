"""Provisioning: prints what a domain needs of RabbitMQ, compares a broker with it, and brings the broker to it.

Found by the entry point `rabbitmq` of the group `iec62746.provisioners`.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from iec62746 import Domain
from iec62746_rabbitmq import _passwords
from iec62746_rabbitmq._comparison import Difference, compare
from iec62746_rabbitmq._definitions import Definitions, Entry, definitions
from iec62746_rabbitmq._management import Management, RefusedByBroker

# What is bound goes before what it is bound to.
_TOPOLOGY: Final = ("policies", "bindings", "queues", "exchanges")
_RIGHTS: Final = ("topic_permissions", "permissions", "users")


class RabbitProvisioner:
    """Provisions RabbitMQ 3.10 and 4.x through definitions and the management API.

    The vhost of the domain's name is the domain's own: whatever else is in it is told as not being in the file.
    `passwords` names a file of passwords by account: `definitions` and `apply` make it and add to it, `compare` reads
    it. Without it new accounts get no password, and those that are there keep theirs. `administrator` is one more
    account, for the management API, and `events` one that may read who comes and goes, for `?events=URL`.
    Methods block; they raise `LocalError`, `Unreachable`, `AuthenticationFailed`.
    """

    def definitions(
        self,
        domain: Domain,
        *,
        passwords: Path | None = None,
        administrator: str | None = None,
        events: str | None = None,
    ) -> str:
        """Return the definitions as JSON, to be imported; passwords are salted hashes."""
        known = _complete(domain, passwords, administrator, events)
        return json.dumps(definitions(domain, known, administrator, events), indent=1) + "\n"

    def compare(
        self,
        domain: Domain,
        url: str,
        *,
        passwords: Path | None = None,
        administrator: str | None = None,
        events: str | None = None,
    ) -> list[Difference]:
        """Return what differs on the broker whose management API is at `url`."""
        known = None if passwords is None else _passwords.read(passwords)
        wanted = definitions(domain, known, administrator, events)
        return compare(domain, wanted, Management(url).get("definitions"), known)

    def apply(
        self,
        domain: Domain,
        url: str,
        *,
        passwords: Path | None = None,
        administrator: str | None = None,
        events: str | None = None,
        prune: bool = False,
        recreate: bool = False,
    ) -> tuple[list[Difference], list[Difference]]:
        """Bring the broker at `url` to what the domain needs; return what was done, and what still differs.

        Only with `prune` is deleted what is not in the file, and only with `recreate` is an exchange or a queue made
        anew that cannot be changed: what was bound to it then is no more.
        """
        known = _complete(domain, passwords, administrator, events)
        return _Work(domain, Management(url), definitions(domain, known, administrator, events), known).apply(
            prune, recreate
        )


def _complete(domain: Domain, passwords: Path | None, *more: str | None) -> dict[str, str] | None:
    if passwords is None:
        return None
    accounts = [party.account for party in domain.parties.values()]
    return _passwords.complete(passwords, accounts + [account for account in more if account is not None])


class _Work:
    """One run of `apply`."""

    def __init__(
        self, domain: Domain, api: Management, wanted: Definitions, passwords: Mapping[str, str] | None
    ) -> None:
        self._domain, self._api, self._wanted, self._passwords = domain, api, wanted, passwords

    def apply(self, prune: bool, recreate: bool) -> tuple[list[Difference], list[Difference]]:
        before = self._differences()
        if recreate:
            self._delete(one for one in before if one.sign == "!")
        self._import(self._differences() if recreate else before)
        if any(one.kind == "vhosts" for one in before):
            # Who makes a vhost is given every right in it; an administrator needs none.
            self._api.delete("permissions", self._domain.name, self._api.user)
        if prune:
            self._delete(one for one in before if one.sign == "-")
        left = self._differences()
        still = {(one.kind, one.name) for one in left}
        # An import answers that all is well even where it changed nothing.
        if refused := [one for one in left if one.sign in "+~"]:
            raise RefusedByBroker(f"{self._api.where} did not take: {'; '.join(map(str, refused))}")
        return [one for one in before if (one.kind, one.name) not in still], left

    def _differences(self) -> list[Difference]:
        return compare(self._domain, self._wanted, self._api.get("definitions"), self._passwords)

    def _import(self, differences: Iterable[Difference]) -> None:
        some: Definitions = {}
        for one in differences:
            if one.sign in "+~":
                some.setdefault(one.kind, []).append(one.entry)
        if some:
            self._api.post(some, "definitions")

    def _delete(self, differences: Iterable[Difference]) -> None:
        some = list(differences)
        if any(one.kind in _TOPOLOGY for one in some):
            with self._right_to_delete():
                self._delete_each(some, _TOPOLOGY)
        self._delete_each(some, _RIGHTS)

    def _delete_each(self, differences: Iterable[Difference], kinds: Sequence[str]) -> None:
        some = [one for one in differences if one.kind in kinds]
        for one in sorted(some, key=lambda one: kinds.index(one.kind)):
            for path in self._paths(one.kind, one.entry):
                self._api.delete(*path)

    @contextmanager
    def _right_to_delete(self) -> Iterator[None]:
        """Give the administrator every right in the vhost, meanwhile: who may import may not therefore delete."""
        mine = {"user": self._api.user, "vhost": self._domain.name}
        old = [one for one in self._api.get("permissions") if mine.items() <= one.items()]
        self._api.post({"permissions": [mine | {"configure": ".*", "write": ".*", "read": ".*"}]}, "definitions")
        try:
            yield
        finally:
            if old:
                self._api.post({"permissions": old}, "definitions")
            else:
                self._api.delete("permissions", self._domain.name, self._api.user)

    def _paths(self, kind: str, entry: Entry) -> list[tuple[str, ...]]:
        """Return where `entry` is deleted."""
        vhost = self._domain.name
        if kind == "topic_permissions":
            return [("topic-permissions", entry["vhost"], entry["user"], entry["exchange"])]
        if kind == "permissions":
            return [(kind, entry["vhost"], entry["user"])]
        if kind == "users":
            return [(kind, entry["name"])]
        if kind != "bindings":
            return [(kind, vhost, entry["name"])]
        place = (kind, vhost, "e", entry["source"], entry["destination_type"][0], entry["destination"])
        return [
            (*place, one["properties_key"])
            for one in self._api.get(*place)
            if (one["routing_key"], one["arguments"]) == (entry["routing_key"], entry["arguments"])
        ]
