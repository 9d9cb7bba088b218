"""Who may do what: default deny, each decision with the rule that made it (62746-3, 4.4, 6)."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final
from weakref import WeakValueDictionary

from iec62746._toml import dotted
from iec62746.domain import Domain, NodeDefinition


class Action(StrEnum):
    """What a party may be allowed to do."""

    SUBSCRIBE = "subscribe"
    PUBLISH = "publish"
    REQUEST = "request"


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """Allowed or refused, and why; true where allowed.

    `rule` is the dotted key of the domain file that decided, on `line`, or, with line 0, a clause of 62746-3. Of a
    refusal it is the key that forbids, or that would have to allow it; where that key is missing, `line` is that of the
    table it belongs in.
    """

    is_allowed: bool
    rule: str
    line: int = 0
    reason: str

    def __bool__(self) -> bool:
        """Return whether it is allowed."""
        return self.is_allowed


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rights:
    """What parties of the same roles may do: the decision that allows it, by what it is about."""

    subscribe: dict[str, Decision] = field(default_factory=dict)
    publish: dict[str, Decision] = field(default_factory=dict)
    request: dict[tuple[str, str], Decision] = field(default_factory=dict)
    serve: dict[tuple[str, str], Decision] = field(default_factory=dict)


_LONGEST_TEXT: Final = 500
_NONE: Final = _Rights()
_OPEN: Final = Decision(is_allowed=True, rule="7", reason="every party may ask the VTN which nodes it may subscribe to")


# By the domain's id, which no other has while its policy, which holds it, lives.
_MADE: "WeakValueDictionary[int, Policy]" = WeakValueDictionary()


class Policy:
    """What each party of one domain may do, looked up in tables that are made once.

    A right is found by one or two look-ups; a refusal is explained when it happens, and nothing is kept of it.
    """

    __slots__ = ("__weakref__", "_current", "_domain", "_published", "_rights")

    @classmethod
    def of(cls, domain: Domain) -> "Policy":
        """Return the one of `domain`, which all its parties in this process share."""
        found = _MADE.get(id(domain))
        if found is None:
            found = _MADE[id(domain)] = cls(domain)
        return found

    def __init__(self, domain: Domain) -> None:
        """Make the tables of `domain`; parties of the same roles share theirs."""
        parties, nodes = domain.parties.values(), domain.nodes.values()
        by_roles = {roles: _rights(domain, roles) for roles in {party.roles for party in parties}}
        self._domain = domain
        self._rights = {party.name: by_roles[party.roles] for party in parties}
        self._published = {(node.name, noun): _published(domain, node, noun) for node in nodes for noun in node.nouns}
        self._current = frozenset((node.name, noun) for node in nodes if node.is_current for noun in node.nouns)

    def may_subscribe(self, party: str, node: str) -> Decision:
        """Decide whether `party` may get what the VTN publishes on `node` (62746-3, 5.6, 6)."""
        allowed = self._rights.get(party, _NONE).subscribe.get(node)
        return allowed if allowed is not None else next(self._no_subscription(party, node))

    def may_publish(self, party: str, noun: str, node: str | None = None) -> Decision:
        """Decide whether `party` may send an event of `noun`: the VTN on `node`, a VEN to the VTN (62746-3, 5.5.4)."""
        if party == self._domain.vtn:
            allowed = self._published.get((node or "", noun))
            return allowed if allowed is not None else next(self._no_publication(noun, node))
        allowed = self._rights.get(party, _NONE).publish.get(noun) if node is None else None
        return allowed if allowed is not None else next(self._no_event(party, noun, node))

    def may_request(self, asker: str, asked: str, verb: str, noun: str, node: str | None = None) -> Decision:
        """Decide whether `asker` may send `asked` that request (62746-3, 5.5.2, 5.5.3).

        `node` is the Option `Node` of a `get` to the VTN: only who may subscribe to it may ask, and the subscription
        itself allows to get the current value. Elsewhere it does not count.
        """
        if asked == self._domain.vtn:
            allowed = self._asked_of_vtn(asker, verb, noun, node)
        elif asker == self._domain.vtn:
            allowed = self._rights.get(asked, _NONE).serve.get((verb, noun))
        else:
            allowed = None
        return allowed if allowed is not None else next(self._no_request(asker, asked, verb, noun, node))

    def _asked_of_vtn(self, asker: str, verb: str, noun: str, node: str | None) -> Decision | None:
        """Return the decision that allows a VEN's request, if there is one."""
        rights = self._rights.get(asker)
        if rights is None or asker == self._domain.vtn:
            return None
        if verb == "get" and noun == "Nodes":
            return _OPEN
        if verb == "get" and node is not None:
            subscribed = rights.subscribe.get(node)
            # Without the subscription, the right to get the noun elsewhere must not give away what the node says.
            if subscribed is None or (node, noun) in self._current:
                return subscribed
        return rights.request.get((verb, noun))

    # Each of these yields the refusals that apply, the plainest first. Only the first is asked for: what comes after it
    # may rely on it not being so, as that the party is known.

    def _no_subscription(self, party: str, node: str) -> Iterator[Decision]:
        """Explain why `party` may not subscribe to `node`."""
        yield from self._stranger(party)
        if party == self._domain.vtn:
            reason = f"{party} is the VTN, which publishes on nodes and subscribes to none"
            yield self._refusal(("domain", "vtn"), reason)
        yield from self._undefined(node)
        yield self._unlisted(party, ("subscribe",), node)

    def _no_publication(self, noun: str, node: str | None) -> Iterator[Decision]:
        """Explain why the VTN may not publish `noun` on `node`."""
        if node is None:
            yield _refused_by("5.5.4", f"{self._domain.vtn} is the VTN, whose events go to a node: say to which")
            return
        yield from self._undefined(node)
        yield self._refusal(("nodes", node, "nouns"), f"the nouns of {node} do not list {noun}")

    def _no_event(self, party: str, noun: str, node: str | None) -> Iterator[Decision]:
        """Explain why the VEN `party` may not send the VTN an event of `noun`."""
        yield from self._stranger(party)
        if node is not None:
            yield _refused_by("5.5.4", f"{party} is a VEN, whose events go to the VTN and to no node such as {node}")
        yield self._unlisted(party, ("publish",), noun)

    def _no_request(self, asker: str, asked: str, verb: str, noun: str, node: str | None) -> Iterator[Decision]:
        """Explain why `asker` may not send `asked` that request."""
        yield from self._stranger(asker)
        yield from self._stranger(asked)
        if asker == asked:
            yield _refused_by("4.4", f"{asker} would ask itself")
        if asker == self._domain.vtn:
            yield self._unlisted(asked, ("serve", verb), noun)
        if asked != self._domain.vtn:
            yield _refused_by("4.4", f"{asker} and {asked} are VENs, which do not exchange messages with one another")
        if verb == "get" and node is not None and not self.may_subscribe(asker, node):
            yield from self._no_subscription(asker, node)
        yield self._unlisted(asker, ("request", verb), noun)

    def _stranger(self, party: str) -> Iterator[Decision]:
        """Refuse who is no party of the domain."""
        if party not in self._domain.parties:
            yield self._refusal(("parties", party), f"{party} is no party of the domain {self._domain.name}")

    def _undefined(self, node: str) -> Iterator[Decision]:
        """Refuse a node that is not defined (62746-3, 5.6)."""
        if node not in self._domain.nodes:
            yield self._refusal(("nodes", node), f"the node {node} is not defined")

    def _unlisted(self, ven: str, keys: tuple[str, ...], what: str) -> Decision:
        """Return the refusal of what no role of `ven` lists at `keys`."""
        roles = self._domain.parties[ven].roles
        if not roles:
            return self._refusal(("parties", ven, "roles"), f"{ven} has no role, and no role gives no right")
        if len(roles) == 1:
            reason = f"{ven} has role {roles[0]}, whose {dotted(keys)} does not list {what}"
        else:
            reason = f"{ven} has roles {_and(roles)}, of which no {dotted(keys)} lists {what}"
        # The role that speaks of it at all is the likeliest to be meant.
        role = next((role for role in roles if ("roles", role, *keys) in self._domain.lines), roles[0])
        return self._refusal(("roles", role, *keys), reason)

    def _refusal(self, path: tuple[str, ...], reason: str) -> Decision:
        """Return the refusal by the key at `path`."""
        # What a stranger sent may be long; what it says of it need not be.
        rule = _cut(dotted(path))
        return Decision(is_allowed=False, rule=rule, line=self._domain.line_of(*path), reason=_cut(reason))


def _refused_by(clause: str, reason: str) -> Decision:
    """Return the refusal by a clause of 62746-3."""
    return Decision(is_allowed=False, rule=clause, reason=_cut(reason))


def _cut(text: str) -> str:
    """Return `text`, or its beginning where it is long."""
    return text if len(text) <= _LONGEST_TEXT else f"{text[:_LONGEST_TEXT]}…"


def _and(names: Iterable[str]) -> str:
    """Return the names as a sentence has them."""
    *others, last = names
    return f"{', '.join(others)} and {last}" if others else last


def _published(domain: Domain, node: NodeDefinition, noun: str) -> Decision:
    """Return the decision that lets the VTN publish `noun` on `node`."""
    return _grant(domain, ("nodes", node.name, "nouns"), f"the nouns of {node.name} list {noun}")


def _rights(domain: Domain, roles: Iterable[str]) -> _Rights:
    """Return what the roles together allow; of two that allow the same, the first is named."""
    rights = _Rights()
    for role in map(domain.roles.__getitem__, roles):
        path = ("roles", role.name)
        for pattern in role.subscribe:
            grant = _grant(domain, (*path, "subscribe"), f"role {role.name} may subscribe to {pattern}")
            for node in domain.expand(pattern):
                rights.subscribe.setdefault(node, grant)
        for noun in role.publish:
            grant = _grant(domain, (*path, "publish"), f"role {role.name} may publish {noun}")
            rights.publish.setdefault(noun, grant)
        for kind, table, nouns_by_verb in (
            ("request", rights.request, role.request),
            ("serve", rights.serve, role.serve),
        ):
            for verb, nouns in nouns_by_verb.items():
                for noun in nouns:
                    grant = _grant(domain, (*path, kind, verb), f"role {role.name} may {kind} {verb} {noun}")
                    table.setdefault((verb, noun), grant)
    return rights


def _grant(domain: Domain, path: tuple[str, ...], reason: str) -> Decision:
    """Return the decision that the key at `path` makes."""
    return Decision(is_allowed=True, rule=dotted(path), line=domain.line_of(*path), reason=reason)
