"""What differs between the definitions that a domain needs and those that a broker has."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from iec62746 import Domain
from iec62746_rabbitmq._definitions import Definitions, Entry
from iec62746_rabbitmq._passwords import fits

Sign = Literal["+", "~", "!", "-"]


@dataclass(frozen=True, slots=True)
class _Kind:
    """How things of one kind are named, and what of them is compared."""

    name: tuple[str, ...]
    compared: tuple[str, ...] = ()
    is_fixed: bool = False
    """True if a broker does not change it once it is there, though it says that it did."""


KINDS: Final[Mapping[str, _Kind]] = {
    "vhosts": _Kind(("name",)),
    "users": _Kind(("name",), ("tags", "hashing_algorithm")),
    "exchanges": _Kind(("name",), ("type", "durable", "auto_delete", "internal", "arguments"), is_fixed=True),
    "queues": _Kind(("name",), ("durable", "auto_delete", "arguments"), is_fixed=True),
    "bindings": _Kind(("source", "destination_type", "destination", "routing_key", "arguments")),
    "policies": _Kind(("name",), ("pattern", "apply-to", "priority", "definition")),
    "permissions": _Kind(("user",), ("configure", "write", "read")),
    "topic_permissions": _Kind(("user", "exchange"), ("write", "read")),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One thing that differs: `+` is missing, `~` has to change, `!` has to be made anew, `-` is not in the file."""

    sign: Sign
    kind: str
    name: str
    detail: str = ""
    entry: Entry
    """The definition that is needed; of `-`, the one that is there."""

    def __str__(self) -> str:
        """Return it as one line; it never holds a password or its hash."""
        return f"{self.sign} {self.kind} {self.name}" + (f": {self.detail}" if self.detail else "")


def compare(
    domain: Domain, wanted: Definitions, found: Definitions, passwords: Mapping[str, str] | None = None
) -> list[Difference]:
    """Return what differs in the domain's vhost and in its accounts; without `passwords`, those are left alone."""
    return [
        difference
        for kind in KINDS
        for difference in _compared(kind, wanted[kind], _of_domain(domain, kind, wanted, found), passwords)
    ]


def _compared(
    kind: str, wanted: Sequence[Entry], found: Sequence[Entry], passwords: Mapping[str, str] | None
) -> Iterator[Difference]:
    there = {name_of(kind, entry): entry for entry in found}
    for entry in wanted:
        name = name_of(kind, entry)
        old = there.pop(name, None)
        if old is None:
            yield Difference(sign="+", kind=kind, name=name, entry=entry)
        elif detail := "; ".join(_changes(kind, entry, old, passwords)):
            kept = entry if passwords is not None or kind != "users" else entry | _password_of(old)
            yield Difference(sign="!" if KINDS[kind].is_fixed else "~", kind=kind, name=name, detail=detail, entry=kept)
    for name, entry in there.items():
        yield Difference(sign="-", kind=kind, name=name, entry=entry)


def _changes(kind: str, entry: Entry, old: Entry, passwords: Mapping[str, str] | None) -> Iterator[str]:
    for field in KINDS[kind].compared:
        if field == "hashing_algorithm" and passwords is None:
            continue
        before, after = _plain(old.get(field)), _plain(entry[field])
        if before != after:
            yield f"{field} is {json.dumps(before)}, not {json.dumps(after)}"
    if kind == "users" and passwords is not None:
        password, there = passwords.get(entry["name"]), old.get("password_hash", "")
        if not (there == "" if password == "" else password is not None and fits(password, there)):
            yield "the password differs"


def _plain(value: Any) -> Any:
    """Return tags as a list: older brokers write them with commas."""
    return value.split(",") if isinstance(value, str) and "," in value else value


def _password_of(old: Entry) -> Entry:
    # An import without these would take the password away.
    return {key: old[key] for key in ("password_hash", "hashing_algorithm") if key in old}


def name_of(kind: str, entry: Entry) -> str:
    """Return what `entry` is called among its kind."""
    values = [entry[field] for field in KINDS[kind].name]
    return " ".join(value if isinstance(value, str) else json.dumps(value) for value in values if value not in ("", {}))


# ---------------------------------------------------------------- what of a broker is this domain's


def _of_domain(domain: Domain, kind: str, wanted: Definitions, found: Definitions) -> list[Entry]:
    entries = found.get(kind, [])
    if kind == "vhosts":
        return [entry for entry in entries if entry["name"] in {one["name"] for one in wanted["vhosts"]}]
    if kind == "users":
        ours = {entry["name"] for entry in wanted["users"]} | set(_left(domain, wanted, found))
        return [entry for entry in entries if entry["name"] in ours]
    # The account of the broker's events has its rights in another vhost.
    elsewhere = {(one["vhost"], one["user"]) for one in wanted["permissions"]}
    return [
        entry
        for entry in entries
        if (entry["vhost"] == domain.name or (entry["vhost"], entry.get("user")) in elsewhere)
        and not _is_declared(domain, kind, entry)
    ]


def _left(domain: Domain, wanted: Definitions, found: Definitions) -> Iterator[str]:
    """Yield the accounts that were for this domain only: without a tag, and without a right anywhere else."""
    here = {one["user"] for one in found.get("permissions", []) if one["vhost"] == domain.name}
    elsewhere = {one["user"] for one in found.get("permissions", []) if one["vhost"] != domain.name}
    plain = {one["name"] for one in found.get("users", []) if not one.get("tags")}
    yield from (here & plain) - elsewhere - {one["name"] for one in wanted["users"]}


def _is_declared(domain: Domain, kind: str, entry: Entry) -> bool:
    """Return whether the VTN declares it: its inbox, which outlives it for some seconds."""
    inbox = f"{domain.name}.vtn.in"
    if kind == "queues":
        return bool(entry["name"] == inbox)
    place = (entry.get("source"), entry.get("destination"), entry.get("routing_key"))
    return kind == "bindings" and place == (f"{domain.name}.to.vtn", inbox, "*.in")
