"""What the conformance kit asks of whoever made a transport: how its parties get to a communication server.

    class MineHarness(Harness):                        # entry point of group iec62746.harnesses, by the URL's scheme
        async def set_up(self, domain): ...            # make what the domain needs: accounts, rights, queues
        async def tear_down(self): ...                 # take all of it away again
        def access(self, domain, party, via=None): ...  # how this party connects

That is enough. The hooks below let the kit do to the communication server what operators and failures do; a harness
overrides those that it can. Where a transport declares a capability that only a hook can prove, a harness without it
fails the rule; otherwise the rule is skipped, and the report says why.
"""

import ssl
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import quote, urlsplit, urlunsplit

from iec62746 import _tls
from iec62746.domain import Domain
from iec62746.errors import LocalError

Endpoint = tuple[str, int]
"""Host and port."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """How one party connects: URLs (which may hold a password), password, and files of certificates in PEM."""

    urls: tuple[str, ...] = field(repr=False)
    password: str | None = field(default=None, repr=False)
    ca_file: str = ""
    """Whom to trust; with it the parties use TLS (62746-3, 6)."""
    certificate_file: str = ""
    key_file: str = field(default="", repr=False)


class Harness:
    """One communication server, or a way to it, for the time of one run; made from the URL that is put to the test.

    The kit calls `set_up` before each domain that it uses (at most three, with the same parties and accounts, whose
    names nobody else has), asks `access` as often as it likes, and calls `tear_down` once. All in one event loop.
    """

    reach: str = "network"
    """`network`: each party runs in a process of its own; `process`: all of them run in this one."""
    is_bare: bool = False
    """True if nothing is known but a URL: then at most the profile core is granted."""

    def __init__(self, url: str) -> None:
        """Prepare for `url`; nothing is started yet."""
        self.url = url

    async def set_up(self, domain: Domain) -> None:
        """Make what `domain` needs on the communication server; starts that server where it is the harness's own."""
        raise NotImplementedError

    async def tear_down(self) -> None:
        """Take away what `set_up` made, also after it failed half-way."""
        raise NotImplementedError

    def access(self, domain: Domain, party: str, via: Endpoint | None = None) -> Access:
        """Return how `party` connects to `domain`; `via` stands for every `endpoint`, and leads there."""
        raise NotImplementedError

    def endpoint(self) -> Endpoint | None:
        """Return where the communication server listens, for the kit's TCP proxy; None if there is no such thing."""
        return None

    def versions(self) -> Mapping[str, str]:
        """Return what was tested, by name: communication server and client library. Called after `set_up`."""
        return {}

    def has(self, hook: str) -> bool:
        """Return whether this harness overrides `hook`."""
        return getattr(type(self), hook) is not getattr(Harness, hook)

    # ---------------------------------------------------------------- hooks

    async def cut(self, domain: Domain, party: str) -> None:
        """Break the party's sessions as a cut link would; only where there is no `endpoint` for the proxy."""
        raise NotImplementedError

    async def restart(self) -> None:
        """Kill the communication server and start it again; returns when it accepts connections."""
        raise NotImplementedError

    def pressure(self) -> AbstractAsyncContextManager[None]:
        """Inside, the communication server takes no more messages from anybody (RabbitMQ: a memory alarm).

        The kit holds the deliveries of all its parties meanwhile.
        """
        raise NotImplementedError

    def full(self, domain: Domain, party: str) -> AbstractAsyncContextManager[None]:
        """Inside, the inbox of `party` has no room; the kit holds its deliveries meanwhile."""
        raise NotImplementedError

    def revoked(self, domain: Domain, party: str) -> AbstractAsyncContextManager[None]:
        """Inside, the account of `party` may neither send nor subscribe to anything any more."""
        raise NotImplementedError

    async def leftovers(self, domain: Domain) -> list[str]:
        """Return the names of the queues that exist in `domain` now, of sessions and of parties."""
        raise NotImplementedError


class BareHarness(Harness):
    """Stands in where nobody wrote a harness: everybody uses the URL as it is, and nothing is made on the server."""

    is_bare = True

    async def set_up(self, domain: Domain) -> None:
        """Make nothing."""

    async def tear_down(self) -> None:
        """Take nothing away."""

    def access(self, domain: Domain, party: str, via: Endpoint | None = None) -> Access:
        """Return the URL, or one that leads through `via`."""
        return Access(urls=(self.url if via is None else redirected(self.url, via),))

    def endpoint(self) -> Endpoint | None:
        """Return host and port, if the URL names both."""
        parts = urlsplit(self.url)
        return (parts.hostname, parts.port) if parts.hostname and parts.port else None


class Certificates:
    """An authority of one's own and what it certifies, as files in PEM in `folder`; needs trustme.

    A certificate's common name is an account; it is for clients, and for servers at localhost and 127.0.0.1.
    """

    def __init__(self, folder: Path) -> None:
        """Make the authority; raises `LocalError` where trustme is missing."""
        try:
            import trustme
        except ModuleNotFoundError as exc:
            raise LocalError(f"certificates for tests need {exc.name!r}: pip install 'iec62746[testing]'") from exc
        self._folder, self._authority = folder, trustme.CA()
        self._files: dict[str, tuple[Path, Path]] = {}
        self.ca_file = folder / "ca.pem"
        self._authority.cert_pem.write_to_path(self.ca_file)

    def files(self, account: str) -> tuple[Path, Path]:
        """Return the files of the account's certificate and of its key; they are made once."""
        if account not in self._files:
            self._files[account] = self._issued(account)
        return self._files[account]

    def _issued(self, account: str) -> tuple[Path, Path]:
        name = quote(account, safe="")
        certificate, key = self._folder / f"{name}.cert.pem", self._folder / f"{name}.key.pem"
        # An empty list of names is illegal (RFC 5280, 4.2.1.6), so that clients have these too.
        made = self._authority.issue_cert("localhost", "127.0.0.1", common_name=account)
        made.cert_chain_pems[0].write_to_path(certificate)
        made.private_key_pem.write_to_path(key)
        return certificate, key

    def context(self, account: str | None = None) -> ssl.SSLContext:
        """Return what a client needs that trusts the authority, and is `account` if it is anybody."""
        return _tls.context(self.ca_file, *(self.files(account) if account is not None else ()))


def redirected(url: str, to: Endpoint) -> str:
    """Return `url` with the host and port of `to`; user, path and query stay."""
    parts = urlsplit(url)
    user, at, _ = parts.netloc.rpartition("@")
    host = f"[{to[0]}]" if ":" in to[0] else to[0]
    return urlunsplit(parts._replace(netloc=f"{user}{at}{host}:{to[1]}"))


def through(access: Access, to: Endpoint) -> Access:
    """Return `access` with every URL leading to `to`."""
    return replace(access, urls=tuple(dict.fromkeys(redirected(url, to) for url in access.urls)))
