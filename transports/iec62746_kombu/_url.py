"""What a `kombu+NAME://` URL says, and what kombu's transport of that name can truly do."""

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final
from urllib.parse import parse_qsl, unquote, urlsplit, urlunsplit

from kombu.transport import TRANSPORT_ALIASES, get_transport_cls

from iec62746 import Capabilities, InvalidAddress, LocalError, Proof, ReceiptLevel, UnknownTransport, Unroutable

LEASE: Final = 40.0
"""Seconds after its last sign of life when a session's queues are removed by another's, unless `?lease=` says less."""
LEASES: Final = (3.0, LEASE)
MAX_MESSAGE: Final = 8_388_608
"""Octets of the largest message where kombu's transport is known to take as much."""


class Kind(Enum):
    """How kombu's transports differ: who keeps the bindings, and who notices that a session died."""

    AMQP = "a broker of AMQP 0-9-1 does both"
    LEASED = "bindings are kept for all, and sessions notice one another's death"
    POINT_TO_POINT = "a connection keeps its bindings to itself: only queues known by name can be written to"


_KINDS: Final = {
    "amqp": Kind.AMQP,
    "amqps": Kind.AMQP,
    "pyamqp": Kind.AMQP,
    "redis": Kind.LEASED,
    "rediss": Kind.LEASED,
    "filesystem": Kind.LEASED,
}
"""All others are point to point: what they share is theirs, and nobody has measured it."""
_ENCRYPTED: Final = frozenset({"amqps", "rediss"})
_TLS: Final = ("ssl_cert_reqs", "ssl_check_hostname", "ssl_ca_certs", "ssl_certfile", "ssl_keyfile")
"""What is said of TLS in the query of an encrypted transport."""
_ASKED: Final = {"required": ssl.CERT_REQUIRED, "none": ssl.CERT_NONE}
# kombu's own extras, where they are not called as the transport is.
_EXTRAS: Final = {"rediss": "redis", "sentinel": "redis", "sqla": "sqlalchemy", "kafka": "confluentkafka", "SQS": "sqs"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """One URL, read."""

    name: str
    kind: Kind
    url: str = field(repr=False)
    """What kombu is given; it may hold a password."""
    folder: str = ""
    """Of the filesystem: where everything is."""
    lease: float = LEASE
    tls: Mapping[str, Any] | None = None
    """What kombu is given besides, where that is encrypted."""
    is_encrypted: bool = False
    """True if it is, and the server has to show a certificate in its own name."""

    @property
    def is_redis(self) -> bool:
        """True if it is one Redis."""
        return self.name in ("redis", "rediss")

    @property
    def capabilities(self) -> Capabilities:
        """What this transport of kombu's can truly do; nothing is promised that was not tried."""
        if self.kind is Kind.POINT_TO_POINT:
            reach = "process" if self.name == "memory" else "network"
            return Capabilities(proof=Proof.CLAIMED, carries_nodes=False, reach=reach)
        return Capabilities(
            receipt=ReceiptLevel.BROKER,
            unroutable=Unroutable.DESTINATION if self.kind is Kind.AMQP else Unroutable.NOTHING,
            proof=Proof.CLAIMED,
            keeps_order=True,
            stores_for_vtn=0.0,
            stores_for_vens=0.0,
            max_message=MAX_MESSAGE,
            is_encrypted=self.is_encrypted,
            reach="host" if self.name == "filesystem" else "network",
        )


def read(url: str) -> Place:
    """Return what `url` says; raises `InvalidAddress`, and `UnknownTransport` with what to install."""
    scheme, _, rest = url.partition("://")
    name, _, behind = scheme.partition("+")[2].partition("+")
    if not name:
        raise InvalidAddress("write kombu+NAME://…, with a name of kombu's: kombu+redis://HOST/0, kombu+pyamqp://HOST")
    _check_installed(name)
    kind = _KINDS.get(name, Kind.POINT_TO_POINT)
    if kind is Kind.POINT_TO_POINT:
        return Place(name=name, kind=kind, url=f"{name}{'+' + behind if behind else ''}://{rest}")
    if behind:
        raise InvalidAddress(f"kombu+{name}://… has no {behind!r} behind its name")
    if name == "filesystem":
        return _filesystem(rest)
    return _network(name, kind, rest)


def _check_installed(name: str) -> None:
    if name not in TRANSPORT_ALIASES:
        known = ", ".join(sorted(TRANSPORT_ALIASES))
        raise UnknownTransport(f"kombu has no transport {name!r}: it has {known}")
    # kombu's own modules fail in their own ways where a library is missing: some when they are imported, by
    # ImportError or AttributeError, others when they are used.
    try:
        transport = get_transport_cls(name)
    except (ImportError, AttributeError) as exc:
        extra = _EXTRAS.get(name, name)
        raise UnknownTransport(
            f"kombu+{name}:// needs what kombu's extra {extra!r} brings ({exc}): pip install 'kombu[{extra}]'"
        ) from exc
    assert transport is not None, name


def _filesystem(rest: str) -> Place:
    parts = urlsplit(f"filesystem://{rest}")
    query = _query("filesystem", parts.query)
    # The kit asks what a private folder can do before there is one.
    if parts.netloc != "private" and (parts.netloc or len(parts.path) < 2):
        raise InvalidAddress("write kombu+filesystem:///FOLDER, with a folder that all parties share")
    return Place(
        name="filesystem",
        kind=Kind.LEASED,
        url="filesystem://",
        folder=unquote(parts.path),
        lease=_lease(query),
    )


def _network(name: str, kind: Kind, rest: str) -> Place:
    parts = urlsplit(f"{name}://{rest}")
    try:
        host, _ = parts.hostname, parts.port
    except ValueError:
        host = None
    if not host or parts.fragment:
        raise InvalidAddress(f"write kombu+{name}://USER:PASSWORD@HOST:PORT/…; quote / as %2F")
    query = _query(name, parts.query)
    tls, is_encrypted = _tls(name, query) if name in _ENCRYPTED else (None, False)
    return Place(
        name=name,
        kind=kind,
        url=urlunsplit(parts._replace(query="")),
        lease=_lease(query),
        tls=tls,
        is_encrypted=is_encrypted,
    )


def _tls(name: str, query: Mapping[str, str]) -> tuple[dict[str, Any], bool]:
    """Return what `name` is given, and whether its server has to show a certificate in its own name."""
    asked, checked = query.get("ssl_cert_reqs", "required"), query.get("ssl_check_hostname", "true")
    for key, value, known in (("ssl_cert_reqs", asked, _ASKED), ("ssl_check_hostname", checked, ("true", "false"))):
        if value not in known:
            raise InvalidAddress(f"{key} is {value!r}: write {' or '.join(known)}")
    files = {key: query[key] for key in _TLS[2:] if key in query}
    is_checked = checked == "true" and asked != "none"
    if name == "rediss":
        return {"ssl_cert_reqs": _ASKED[asked], "ssl_check_hostname": is_checked, **files}, is_checked
    # py-amqp has other names; it checks that of the server if it is given a place for it, which kombu fills.
    named: dict[str, Any] = {"server_hostname": None} if is_checked else {}
    renamed = {key.removeprefix("ssl_"): file for key, file in files.items()}
    return {"cert_reqs": _ASKED[asked], **named, **renamed}, is_checked


def _query(name: str, text: str) -> dict[str, str]:
    try:
        query = dict(parse_qsl(text, keep_blank_values=True, strict_parsing=bool(text)))
    except ValueError:
        raise InvalidAddress(f"kombu+{name}: write queries like ?lease=30") from None
    known = {"lease"} if _KINDS[name] is Kind.LEASED else set()
    known |= set(_TLS) if name in _ENCRYPTED else set()
    if unknown := sorted(set(query) - known):
        say = ", ".join(f"?{key}=…" for key in sorted(known)) or "no query"
        raise InvalidAddress(f"kombu+{name} knows {say}: not {unknown[0]}")
    return query


def _lease(query: dict[str, str]) -> float:
    text, (least, most) = query.get("lease", str(LEASE)), LEASES
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not least <= seconds <= most:
        raise InvalidAddress(f"lease is {text!r}: write seconds, {least:g} to {most:g}")
    return seconds


def check(place: Place, has_tls: bool) -> None:
    """Raise `LocalError` where no session can be opened: kombu takes no `SSLContext`, and folders have names."""
    if place.name == "filesystem" and not place.folder:
        raise InvalidAddress("kombu+filesystem://private is for the conformance kit: write kombu+filesystem:///FOLDER")
    if has_tls:
        raise LocalError(f"kombu+{place.name} takes certificates by its URL: ?ssl_ca_certs=FILE")
