"""What the conformance kit needs to test kombu's transports: communication servers of its own, which it may hurt.

    iec62746 transport conform kombu+redis://private             # a redis-server
    iec62746 transport conform kombu+pyamqp://private            # a RabbitMQ
    iec62746 transport conform kombu+pyamqp://private4           # RabbitMQ 4, where scripts/rabbitmq4 put it
    iec62746 transport conform kombu+filesystem://private        # a folder

Any other host, and any other transport of kombu's, is used as it is.
"""

import asyncio
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from iec62746 import Domain, LocalError
from iec62746.testing.harness import Access, BareHarness, Endpoint, Harness, redirected
from iec62746_kombu._topology import EXCHANGES
from iec62746_kombu._url import Kind, read

if TYPE_CHECKING:
    from iec62746_rabbitmq.private import PrivateBroker

SET_UP: Final = 10.0
"""Seconds in which a redis-server has to be ready."""
SEPARATOR: Final = "\x06\x16"
"""What kombu puts between key, pattern and queue in a table of bindings."""
SHORT: Final = "lease=6"
"""What the parties use unless the URL says otherwise: the kit waits 5 s for a loss."""


def harness(url: str) -> Harness:
    """Return the harness for `url`."""
    parts = urlsplit(url)
    name = parts.scheme.partition("+")[2]
    if parts.netloc == "private" or (name, parts.netloc) == ("pyamqp", "private4"):
        made = {"redis": RedisHarness, "pyamqp": AmqpHarness, "filesystem": FolderHarness}.get(name)
        if made is None:
            raise LocalError(f"there is no private {name}: redis, pyamqp and filesystem can be private")
        return made(url)
    return BareHarness(url) if read(url).kind is not Kind.POINT_TO_POINT else PointHarness(url)


class PointHarness(BareHarness):
    """A transport that is point to point: what is skipped for that is not granted."""

    is_bare = False


class PrivateRedis:
    """A redis-server that belongs to this process; as a context manager it is gone at the end. Its methods block."""

    def __init__(self, config: Mapping[str, object] = MappingProxyType({})) -> None:
        """Choose a port; `config` are more settings of redis-server. Raises `LocalError` where there is none."""
        if shutil.which("redis-server") is None:
            raise LocalError("no redis-server: apt install redis-server")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self._config = config
        self._folder = tempfile.TemporaryDirectory(prefix="iec62746-redis-")
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The URL of the adapter."""
        return f"kombu+redis://127.0.0.1:{self.port}/0"

    @property
    def pid(self) -> int:
        """The process that is the server."""
        assert self._process is not None, "start it first"
        return self._process.pid

    def start(self) -> None:
        """Start it, empty, and return when it answers."""
        options = {
            "port": str(self.port),
            "bind": "127.0.0.1",
            "save": "",
            "appendonly": "no",
            "dir": self._folder.name,
            **self._config,
        }
        arguments = [str(word) for key, value in options.items() for word in (f"--{key}", value)]
        self._process = subprocess.Popen(["redis-server", *arguments], stdout=subprocess.DEVNULL)
        until = time.monotonic() + SET_UP
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > until:
                raise LocalError(f"redis-server on port {self.port} did not start")
            time.sleep(0.02)

    def _answers(self) -> bool:
        try:
            return self.command("PING").startswith("+PONG")
        except OSError:
            return False

    def command(self, text: str) -> str:
        """Return the first line of the answer to a command in one line."""
        with socket.create_connection(("127.0.0.1", self.port), SET_UP) as link:
            link.sendall(f"{text}\r\n".encode())
            return link.recv(4096).decode().partition("\r\n")[0]

    def kill(self) -> None:
        """Kill it as a loss of power would; it keeps nothing."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def close(self) -> None:
        """Kill it, and delete its folder."""
        self.kill()
        self._folder.cleanup()

    def __enter__(self) -> "PrivateRedis":
        """Start it."""
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()


class RedisHarness(Harness):
    """A private redis-server."""

    def __init__(self, url: str) -> None:
        """Prepare; the server starts with the first `set_up`."""
        super().__init__(url)
        self._query = urlsplit(url).query or SHORT
        self._server: PrivateRedis | None = None

    @property
    def server(self) -> PrivateRedis:
        """The server."""
        assert self._server is not None, "set up first"
        return self._server

    async def set_up(self, domain: Domain) -> None:
        """Start the server if it does not run."""
        if self._server is None:
            self._server = PrivateRedis()
            await asyncio.to_thread(self._server.start)

    async def tear_down(self) -> None:
        """Kill the server."""
        if self._server is not None:
            await asyncio.to_thread(self._server.close)

    def access(self, domain: Domain, party: str, via: Endpoint | None = None) -> Access:
        """Return the URL of the server."""
        url = f"{self.server.url}?{self._query}"
        return Access(urls=(url if via is None else redirected(url, via),))

    def endpoint(self) -> Endpoint:
        """Return where the server listens."""
        return "127.0.0.1", self.server.port

    def versions(self) -> Mapping[str, str]:
        """Return the versions of Redis and of the libraries."""
        said = subprocess.run(["redis-server", "--version"], capture_output=True, text=True, check=True).stdout
        words = dict(word.split("=", 1) for word in said.split() if "=" in word)
        return {"redis": words["v"], **_libraries("kombu", "redis")}

    async def leftovers(self, domain: Domain) -> list[str]:
        """Return the queues that are bound, and the lists."""
        return await asyncio.to_thread(self._leftovers, domain)

    def _leftovers(self, domain: Domain) -> list[str]:
        # The other two need no redis-py.
        import redis

        client: Any = redis.Redis(port=self.server.port, decode_responses=True)
        with client:
            tables = [f"_kombu.binding.{domain.name}.{name}" for name in EXCHANGES]
            bound = {member.split(SEPARATOR)[-1] for table in tables for member in client.smembers(table)}
            return sorted(bound | {key for key in client.keys(f"{domain.name}.v*") if client.type(key) == "list"})

    async def restart(self) -> None:
        """Kill the server and start it again."""
        await asyncio.to_thread(self.server.kill)
        await asyncio.to_thread(self.server.start)


class AmqpHarness(Harness):
    """A private RabbitMQ."""

    def __init__(self, url: str) -> None:
        """Prepare; the node starts with the first `set_up`."""
        super().__init__(url)
        self._is_4 = urlsplit(url).hostname == "private4"
        self._broker: PrivateBroker | None = None

    async def set_up(self, domain: Domain) -> None:
        """Start the node if it does not run."""
        if self._broker is None:
            # Of the distribution's other transport, and for tests only: nobody else needs its client library.
            from iec62746_rabbitmq.harness import REFUSALS
            from iec62746_rabbitmq.private import PrivateBroker, rabbitmq4

            root, config = (rabbitmq4(), REFUSALS) if self._is_4 else (None, ())
            self._broker = PrivateBroker(root=root, plugins=(), config=config)
            await asyncio.to_thread(self._broker.start)

    async def tear_down(self) -> None:
        """Kill the node."""
        if self._broker is not None:
            await asyncio.to_thread(self._broker.close)

    @property
    def _node(self) -> "PrivateBroker":
        assert self._broker is not None, "set up first"
        return self._broker

    def access(self, domain: Domain, party: str, via: Endpoint | None = None) -> Access:
        """Return the URL of the node."""
        url = f"kombu+pyamqp://guest:guest@127.0.0.1:{self._node.port}/"
        return Access(urls=(url if via is None else redirected(url, via),))

    def endpoint(self) -> Endpoint:
        """Return where the node listens."""
        return "127.0.0.1", self._node.port

    def versions(self) -> Mapping[str, str]:
        """Return the versions of RabbitMQ and of the libraries."""
        return {"rabbitmq": self._node.ctl("version").strip(), **_libraries("kombu", "amqp")}

    async def restart(self) -> None:
        """Kill the node and start it again, on its data."""
        await asyncio.to_thread(self._node.kill)
        await asyncio.to_thread(self._node.start)

    async def leftovers(self, domain: Domain) -> list[str]:
        """Return the queues of the domain."""
        names = await asyncio.to_thread(self._node.ctl, "list_queues", "--no-table-headers", "name")
        return [name for name in names.split() if name.startswith(f"{domain.name}.")]


class FolderHarness(Harness):
    """A folder of its own; a link is cut by taking the party's session for dead, as the others do."""

    reach = "host"

    def __init__(self, url: str) -> None:
        """Make the folder."""
        super().__init__(url)
        self._query = urlsplit(url).query or SHORT
        self._folder = tempfile.TemporaryDirectory(prefix="iec62746-kombu-")

    async def set_up(self, domain: Domain) -> None:
        """Make nothing: sessions make what they need."""

    async def tear_down(self) -> None:
        """Delete the folder."""
        self._folder.cleanup()

    def access(self, domain: Domain, party: str, via: Endpoint | None = None) -> Access:
        """Return the URL of the folder."""
        return Access(urls=(f"kombu+filesystem://{self._folder.name}?{self._query}",))

    def versions(self) -> Mapping[str, str]:
        """Return the version of kombu."""
        return _libraries("kombu")

    async def cut(self, domain: Domain, party: str) -> None:
        """Remove the leases of the party's sessions."""
        mine = f"{domain.name}.{'vtn' if party == domain.vtn else f'ven.{party}'}.*.lease"
        await asyncio.to_thread(_unlink, Path(self._folder.name, "control"), mine)


def _unlink(folder: Path, pattern: str) -> None:
    for file in folder.glob(pattern):
        file.unlink()


def _libraries(*names: str) -> dict[str, str]:
    return {f"{name}-py" if name == "redis" else name: metadata.version(name) for name in names}
