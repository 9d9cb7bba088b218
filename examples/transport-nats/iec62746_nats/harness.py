"""What the conformance kit needs: for nats://private a server of its own that it may hurt, else the URL as it is."""

import asyncio
import json
import secrets
import shutil
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from importlib import metadata
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import urlopen

from iec62746 import Domain, LocalError
from iec62746.testing.harness import Access, BareHarness, Endpoint, Harness, redirected

from iec62746_nats.accounts import authorization

_PATIENCE = 10.0


def harness(url: str) -> Harness:
    """Return the harness for `url`: of a private server where the host is `private`, else one that does nothing."""
    return NatsHarness(url) if urlsplit(url).hostname == "private" else BareHarness(url)


class NatsHarness(BareHarness):
    """A private communication server for the time of one run."""

    is_bare = False

    def __init__(self, url: str) -> None:
        """Keep the URL; nothing is started yet."""
        super().__init__(url)
        self._has_accounts = bool(urlsplit(url).query)
        self._domains: list[Domain] = []
        self._passwords: dict[str, str] = {}
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._server: subprocess.Popen[bytes] | None = None
        self._at: Endpoint = ("127.0.0.1", -1)
        self._monitoring = ""

    async def set_up(self, domain: Domain) -> None:
        """Make what the domain needs on the server: its accounts, with their rights; start it where it is our own."""
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="iec62746-nats-")
        self._domains.append(domain)
        accounts = (party.account for party in domain.parties.values())
        self._passwords |= {account: secrets.token_hex(16) for account in accounts if account not in self._passwords}
        await self.restart()

    async def tear_down(self) -> None:
        """Take it all away again, also after `set_up` failed half-way."""
        self._kill()
        if self._folder is not None:
            self._folder.cleanup()

    def access(self, domain: Domain, party: str, via: Endpoint | None = None) -> Access:
        """Return how the party connects: its URL and its password, or its certificate; `via` is the kit's proxy."""
        url = redirected(self.url, via or self._at)
        return Access(urls=(url,), password=self._passwords[domain.party(party).account])

    def endpoint(self) -> Endpoint | None:
        """Return where the server listens, so that the kit can cut and freeze the way there."""
        return self._at

    def versions(self) -> Mapping[str, str]:
        """Return what is tested, by name: the server and the client's library."""
        said = subprocess.run([_program(), "--version"], capture_output=True, text=True, check=True).stdout
        return {"nats-server": said.rpartition("v")[2].strip(), "nats-py": metadata.version("nats-py")}

    # ---------------------------------------------------------------- hooks

    def has(self, hook: str) -> bool:
        """Return whether the kit may use `hook`: without accounts there is nothing to revoke."""
        return super().has(hook) and (self._has_accounts or hook != "revoked")

    async def restart(self) -> None:
        """Kill the server, and start it again at the same port."""
        await asyncio.to_thread(self._start, self._passwords)

    @asynccontextmanager
    async def revoked(self, domain: Domain, party: str) -> AsyncIterator[None]:
        """Take the party's account away for a while."""
        gone = domain.party(party).account
        others = {account: one for account, one in self._passwords.items() if account != gone}
        await asyncio.to_thread(self._start, others)
        try:
            yield
        finally:
            await self.restart()

    async def leftovers(self, domain: Domain) -> list[str]:
        """Return what somebody in the domain still subscribes to: NATS has no other queues."""
        seen = await asyncio.to_thread(lambda: urlopen(f"{self._monitoring}/subsz?subs=1&limit=9999").read())
        subjects = [one["subject"] for one in json.loads(seen).get("subscriptions_list", ())]
        return [subject for subject in subjects if subject.startswith(f"{domain.name}.")]

    def _start(self, passwords: Mapping[str, str]) -> None:
        self._kill()
        assert self._folder is not None, "set up first"
        folder = Path(self._folder.name)
        host, port = self._at
        config: dict[str, Any] = {"listen": f"{host}:{port}", "http": f"{host}:-1", "ports_file_dir": str(folder)}
        if self._has_accounts:
            config["authorization"] = authorization(self._domains, passwords)
        (folder / "nats.conf").write_text(json.dumps(config))
        self._server = subprocess.Popen([_program(), "-c", str(folder / "nats.conf"), "-l", str(folder / "nats.log")])
        ports = self._ports(self._server, folder)
        self._at, self._monitoring = (host, urlsplit(ports["nats"][0]).port or 0), ports["monitoring"][0]

    def _ports(self, server: subprocess.Popen[bytes], folder: Path) -> dict[str, list[str]]:
        """Return the URLs at which the server says that it listens, once it does."""
        file, until = folder / f"nats-server_{server.pid}.ports", time.monotonic() + _PATIENCE
        while not (file.exists() and (said := file.read_text())):
            if server.poll() is not None or time.monotonic() > until:
                raise LocalError(f"nats-server does not start: {(folder / 'nats.log').read_text()}")
            time.sleep(0.01)
        ports: dict[str, list[str]] = json.loads(said)
        return ports

    def _kill(self) -> None:
        if self._server is not None:
            self._server.kill()
            self._server.wait()


def _program() -> str:
    found = shutil.which("nats-server")
    if found is None:
        raise LocalError("there is no nats-server on the PATH: apt install nats-server, or see https://nats.io")
    return found
