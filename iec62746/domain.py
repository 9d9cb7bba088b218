"""One communication domain: who, where and what is allowed, as data, from one TOML file (62746-3, 3.1.3, 4.4, 6)."""

import pathlib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from types import MappingProxyType
from typing import Any, Final, Literal, Self

from iec62746._toml import KeyPath, Table, line_at, meant, table_text
from iec62746.address import check_name, check_node, check_pattern, matches
from iec62746.errors import DomainError, InvalidAddress
from iec62746.limits import Limits

_TransportProfile = Literal["core", "realtime", "secure"]
_Reading = Literal["standard", "strict", "tolerant"]
_Payloads = Literal["valid", "known", "any"]

VERBS: Final = ("create", "change", "cancel", "delete", "close", "execute", "get")
"""The verbs of requests (IEC 61968-100; 62746-3, 5.5.2, 5.5.3)."""
OWN_NOUNS: Final = frozenset({"Presence", "Nodes"})
"""The nouns that the framework itself sends and answers: no domain can grant or refuse them."""

_TRANSPORTS: Final[tuple[_TransportProfile, ...]] = ("core", "realtime", "secure")
_READINGS: Final[tuple[_Reading, ...]] = ("standard", "strict", "tolerant")
_PAYLOADS: Final[tuple[_Payloads, ...]] = ("valid", "known", "any")
# A noun names an element of typed envelopes, so it is an XML name; ours are ASCII and without a prefix.
_NOUN: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,127}")
# AMQP's user-id, which says who the sender is, is a short string.
_LONGEST_ACCOUNT: Final = 255


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeDefinition:
    """A node, the nouns that the VTN publishes on it, and whether a late subscriber gets the last (62746-3, 5.6, 7)."""

    name: str
    nouns: tuple[str, ...]
    is_current: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Role:
    """What parties in this role may do; what it does not list is refused (62746-3, 6).

    `subscribe` holds patterns over nodes, `publish` the nouns of events to the VTN, `request` what it may ask of the
    VTN and `serve` what the VTN may ask of it, both as nouns by verb.
    """

    name: str
    subscribe: tuple[str, ...] = ()
    publish: tuple[str, ...] = ()
    request: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    serve: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Party:
    """A VEN or the VTN, its roles, and its account on the communication server (62746-3, 4.4, 6)."""

    name: str
    roles: tuple[str, ...] = ()
    account: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Domain:
    """A communication domain: one VTN, its VENs, their roles, and the nodes (62746-3, 3.1.3).

    `transport` is the least profile of the transport, `reading` how much of a peer's envelope is forgiven, `payloads`
    what is asked of payloads: that those of installed profiles are valid, that each is known to one too, or nothing.
    `lines` says on which line of `file` each key stands, for errors and decisions; neither counts when two domains are
    compared.
    """

    name: str
    vtn: str
    transport: _TransportProfile = "core"
    reading: _Reading = "standard"
    payloads: _Payloads = "valid"
    limits: Limits = field(default_factory=Limits)
    nodes: Mapping[str, NodeDefinition] = field(default_factory=dict)
    roles: Mapping[str, Role] = field(default_factory=dict)
    parties: Mapping[str, Party] = field(default_factory=dict)
    file: str = field(default="", compare=False)
    lines: Mapping[KeyPath, int] = field(default_factory=dict, compare=False, repr=False)
    nouns: frozenset[str] = field(init=False, compare=False, repr=False)
    """Every noun that a node or a role names, so not `OWN_NOUNS`."""
    _accounts: Mapping[str, str] = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        """Keep what is asked for each message."""
        object.__setattr__(self, "nouns", frozenset(_nouns_of(self.nodes.values(), self.roles.values())))
        object.__setattr__(self, "_accounts", {party.account: party.name for party in self.parties.values()})

    @classmethod
    def load(cls, path: str | pathlib.Path) -> Self:
        """Return the domain in the UTF-8 file at `path`, or raise `DomainError`."""
        return cls.parse(read_text(path), str(path))

    @classmethod
    def parse(cls, text: str, file: str = "<text>") -> Self:
        """Return the domain in the TOML `text`, or raise `DomainError`; `file` is for messages."""
        root = Table.parse(text, file)
        root.only("domain", "limits", "nodes", "roles", "parties")
        head = root.table("domain")
        head.only("name", "vtn", "transport", "reading", "payloads")
        name, vtn = _name(head, "name", "domain name"), _name(head, "vtn", "party name")
        nodes = {key: _node(key, table) for key, table in root.table("nodes").tables().items()}
        roles = {key: _role(key, table, nodes) for key, table in root.table("roles").tables().items()}
        return cls(
            name=name,
            vtn=vtn,
            transport=head.choice("transport", _TRANSPORTS),
            reading=head.choice("reading", _READINGS),
            payloads=head.choice("payloads", _PAYLOADS),
            limits=_limits(root.table("limits")),
            nodes=MappingProxyType(nodes),
            roles=MappingProxyType(roles),
            parties=MappingProxyType(_parties(root.table("parties"), vtn, roles)),
            file=file,
            lines=MappingProxyType(dict(root.lines)),
        )

    def expand(self, pattern: str) -> tuple[str, ...]:
        """Return the nodes that fit, in the file's order; raise `InvalidAddress` for what is no pattern."""
        check_pattern(pattern)
        return tuple(node for node in self.nodes if matches(pattern, node))

    def nodes_for(self, party: str) -> tuple[str, ...]:
        """Return the nodes `party` may subscribe to, in the file's order; raise `InvalidAddress` for a stranger."""
        patterns = [pattern for role in self.party(party).roles for pattern in self.roles[role].subscribe]
        return tuple(node for node in self.nodes if any(matches(pattern, node) for pattern in patterns))

    def party(self, name: str) -> Party:
        """Return the party of that name, or raise `InvalidAddress`."""
        try:
            return self.parties[name]
        except KeyError:
            known = f"{meant(name, self.parties)}its parties stand under [parties]"
            raise InvalidAddress(f"{name!r} is no party of the domain {self.name}; {known}") from None

    def party_of(self, account: str) -> str | None:
        """Return the party whose account on the communication server this is, or None (62746-3, 6)."""
        return self._accounts.get(account)

    def line_of(self, *path: str) -> int:
        """Return the line of the key at `path`, or of the table it would stand in; 0 where there is no file."""
        return line_at(path, self.lines) if self.lines else 0

    def extract(self, party: str) -> str:
        """Return the TOML text that the VEN `party` is given: what concerns it, and nothing of others.

        Patterns are narrowed to the nodes they stand for now. Raise `InvalidAddress` for the VTN, which has the whole
        file, and for a stranger.
        """
        if party == self.vtn:
            raise InvalidAddress(f"{party} is the VTN, which has the whole file: extract is for a VEN")
        return "\n\n".join(_extracts(self, self.party(party))) + "\n"


def read_text(path: str | pathlib.Path) -> str:
    """Return the text of the UTF-8 file at `path`, or raise `DomainError`."""
    try:
        data = pathlib.Path(path).read_bytes()
    except OSError as exc:
        raise DomainError(f"cannot be read: {exc.strerror}", file=str(path)) from exc
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        line = data.count(b"\n", 0, exc.start) + 1
        raise DomainError("this is not UTF-8: save it as UTF-8", file=str(path), line=line) from exc


def _nouns_of(nodes: Iterable[NodeDefinition], roles: Iterable[Role]) -> Iterator[str]:
    """Yield every noun that a node or a role names."""
    for node in nodes:
        yield from node.nouns
    for role in roles:
        yield from role.publish
        for nouns in (*role.request.values(), *role.serve.values()):
            yield from nouns


def _name(head: Table, key: str, what: str) -> str:
    """Return the legal name at `key`, which must be there."""
    name = head.text(key)
    _refuse_illegal(head, name, what, key)
    return name


def _refuse_illegal(table: Table, name: str, what: str, *keys: str) -> None:
    """Raise `DomainError` at `keys` where `name` is not legal."""
    try:
        check_name(name, what)
    except InvalidAddress as exc:
        raise table.error(str(exc), *keys) from exc


def _limits(table: Table) -> Limits:
    """Return the bounds, with their defaults where the file says nothing."""
    defaults = asdict(Limits())
    table.only(*defaults)
    # Any: some are integers and some are not, each as its default is, and `number` saw to that.
    given: dict[str, Any] = {key: table.number(key, default) for key, default in defaults.items()}
    return Limits(**given)


def _node(name: str, table: Table) -> NodeDefinition:
    """Return the definition of the node `name` (62746-3, 5.6: it is defined before it is used)."""
    try:
        check_node(name)
    except InvalidAddress as exc:
        raise table.error(str(exc)) from exc
    for key, value in table.values.items():
        # The likeliest slip: TOML reads [nodes.price.north] as a table in a table.
        if isinstance(value, dict) and key not in ("nouns", "current"):
            raise table.error(f'is a table: write a name with dots in quotes, as in [nodes."{name}.{key}"]', key)
    table.only("nouns", "current")
    if "nouns" not in table.values:
        raise table.error('is missing: say what is published here, as in nouns = ["MarketPrices"]', "nouns")
    return NodeDefinition(name=name, nouns=_nouns(table, "nouns"), is_current=table.flag("current"))


def _nouns(table: Table, key: str) -> tuple[str, ...]:
    """Return the nouns at `key`; an array that is there names at least one."""
    nouns = _some(table, key, "noun")
    for noun in nouns:
        if noun in OWN_NOUNS:
            raise table.error(f"{noun} is the framework's own noun, open to every party: leave it out", key)
        if not _NOUN.fullmatch(noun):
            raise table.error(f"{noun!r} is no legal noun: a letter, then at most 127 of A-Z a-z 0-9 _ . -", key)
    return nouns


def _some(table: Table, key: str, what: str) -> tuple[str, ...]:
    """Return the strings at `key`; an array that is there and empty is a slip."""
    texts = table.texts(key)
    if key in table.values and not texts:
        raise table.error(f"lists nothing: name at least one {what}, or delete the line", key)
    return texts


def _role(name: str, table: Table, nodes: Mapping[str, NodeDefinition]) -> Role:
    """Return the role `name` (62746-3, 6)."""
    _refuse_illegal(table, name, "role name")
    table.only("subscribe", "publish", "request", "serve")
    return Role(
        name=name,
        subscribe=_patterns(table, nodes),
        publish=_nouns(table, "publish"),
        request=_by_verb(table.table("request")),
        serve=_by_verb(table.table("serve")),
    )


def _patterns(table: Table, nodes: Mapping[str, NodeDefinition]) -> tuple[str, ...]:
    """Return the patterns of a role, each of which fits a node: one that fits none is a slip."""
    patterns = _some(table, "subscribe", "node")
    for pattern in patterns:
        try:
            check_pattern(pattern)
        except InvalidAddress as exc:
            raise table.error(str(exc), "subscribe") from exc
        if not any(matches(pattern, node) for node in nodes):
            known = f"{meant(pattern, nodes)}define the node by a table under [nodes]"
            raise table.error(f"{pattern!r} matches no node; {known}", "subscribe")
    return patterns


def _by_verb(table: Table) -> Mapping[str, tuple[str, ...]]:
    """Return the nouns by verb of a role's requests."""
    table.only(*VERBS, what="request verb")
    return MappingProxyType({verb: _nouns(table, verb) for verb in table.values})


def _parties(table: Table, vtn: str, roles: Mapping[str, Role]) -> dict[str, Party]:
    """Return the parties, of which the VTN is one whether it has a table or not (62746-3, 3.1.17)."""
    parties = {name: _party(name, entry, vtn, roles) for name, entry in table.tables().items()}
    if vtn not in parties:
        parties = {vtn: Party(name=vtn, account=vtn)} | parties
    accounts: dict[str, str] = {}
    for party in parties.values():
        # 62746-3, 6: an account each; the communication server's word for the sender must mean one party.
        if party.account in accounts:
            other = accounts[party.account]
            reason = f"the account {party.account!r} is that of {other}: give each party its own"
            raise table.error(reason, party.name, "account")
        accounts[party.account] = party.name
    return parties


def _party(name: str, table: Table, vtn: str, roles: Mapping[str, Role]) -> Party:
    """Return the party `name`; one without roles is legal and has no right (62746-3, 4.4)."""
    _refuse_illegal(table, name, "party name")
    table.only("roles", "account")
    named = table.texts("roles")
    if name == vtn and named:
        raise table.error("the VTN has no role: a node's nouns and a role's serve say what it may send", "roles")
    for role in named:
        if role not in roles:
            known = f"{meant(role, roles)}define it by a table under [roles]"
            raise table.error(f"the role {role!r} is not defined; {known}", "roles")
    return Party(name=name, roles=named, account=_account(table, name))


def _account(table: Table, default: str) -> str:
    """Return the party's account on the communication server."""
    account = table.text("account", default)
    if not 0 < len(account.encode()) <= _LONGEST_ACCOUNT or not account.isprintable():
        raise table.error(f"is no account: write 1 to {_LONGEST_ACCOUNT} octets that can be printed", "account")
    return account


def _extracts(domain: Domain, ven: Party) -> Iterator[str]:
    """Yield the parts of what `ven` is given, each a table of TOML."""
    yield f'# The communication domain {domain.name}, as {ven.name} may see it: made by "iec62746 domain extract".'
    head = {name: getattr(domain, name) for name in ("name", "vtn", "transport", "reading", "payloads")}
    yield table_text(("domain",), head)
    standard = asdict(Limits())
    if changed := {key: value for key, value in asdict(domain.limits).items() if value != standard[key]}:
        yield table_text(("limits",), changed)
    for name in domain.nodes_for(ven.name):
        node = domain.nodes[name]
        yield table_text(("nodes", name), {"nouns": node.nouns} | ({"current": True} if node.is_current else {}))
    for name in ven.roles:
        yield table_text(("roles", name), _role_values(domain, domain.roles[name]))
    yield table_text(("parties", ven.name), {"roles": ven.roles, "account": ven.account})
    yield table_text(("parties", domain.vtn), {"account": domain.parties[domain.vtn].account})


def _role_values(domain: Domain, role: Role) -> dict[str, object]:
    """Return a role as TOML has it, with the nodes its patterns stand for now."""
    nodes = tuple(dict.fromkeys(node for pattern in role.subscribe for node in domain.expand(pattern)))
    values: dict[str, object] = {"subscribe": nodes, "publish": role.publish}
    values |= {f"request.{verb}": nouns for verb, nouns in role.request.items()}
    values |= {f"serve.{verb}": nouns for verb, nouns in role.serve.items()}
    return {key: value for key, value in values.items() if value}
