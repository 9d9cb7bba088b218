"""A RabbitMQ of one's own for tests and demos: `PrivateBroker` runs a node on free ports of loopback.

It shares nothing with the machine's RabbitMQ: neither ports, folder, cookie, nor epmd, which it does without.
"""

import os
import random
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, Self
from urllib.parse import quote

from iec62746 import LocalError

SET_UP: Final = 60.0
"""Seconds in which a node has to be ready."""
SHUT_DOWN: Final = 20.0
"""Seconds in which a node has to stop before it is killed."""
MEMORY: Final = "1GB"
"""What a node takes before it blocks publishers; `config` may say otherwise."""

_BIN: Final = Path("/usr/lib/rabbitmq/bin")
_NODE: Final = "private@localhost"
_COLOUR: Final = re.compile(r"\x1b\[[0-9;]*m")
_READY: Final = b"Server startup complete"
# Below Linux's ephemeral ports: there a client that dials a closed port of loopback can end up with itself.
_PORTS: Final = range(20_000, 32_000)
# The files of another Debian take the place of /usr, for this one process: its paths stay as they are outside.
_IN_ROOT: Final = 'mount --bind "$0/usr" /usr && exec "$@"'


class NoBroker(LocalError):
    """No RabbitMQ could be started here; the message says what to install, or what the node said."""


def rabbitmq4() -> Path:
    """Return the folder with RabbitMQ 4 that `scripts/rabbitmq4` made, or raise `NoBroker`.

    `IEC62746_RABBITMQ4` says where it is; without that, /var/tmp/iec62746-rabbitmq4.
    """
    root = Path(os.environ.get("IEC62746_RABBITMQ4") or "/var/tmp/iec62746-rabbitmq4")
    if not (root / _BIN.relative_to("/") / "rabbitmq-server").exists():
        raise NoBroker(f"no RabbitMQ 4 in {root}: scripts/rabbitmq4 of the repository unpacks it there")
    return root


class PrivateBroker:
    """A RabbitMQ node that belongs to this process; as a context manager it is gone, with its data, at the end.

    `root` is a folder with another Debian's /usr, such as `rabbitmq4()`; without it the machine's own RabbitMQ is run.
    `config` are lines of rabbitmq.conf, `definitions` a file that is imported at boot: then there is no user guest
    but for the file. `has_tls` adds a port for AMQPS, whose certificates `config` names. Every method blocks: call it
    by `asyncio.to_thread` where a loop must not wait.
    """

    def __init__(
        self,
        *,
        root: str | os.PathLike[str] | None = None,
        plugins: Sequence[str] = ("rabbitmq_management",),
        config: Sequence[str] = (),
        definitions: str | os.PathLike[str] | None = None,
        has_tls: bool = False,
    ) -> None:
        """Make the folder and choose the ports; `start` starts it. Raises `NoBroker` where there is none to start."""
        self._prefix = _prefix(root)
        self.folder = Path(tempfile.mkdtemp(prefix="iec62746-rabbitmq-"))
        self.port, self.tls_port, self._management, self._distribution = _free_ports(4)
        self._has_management = "rabbitmq_management" in plugins
        lines = [*self._listeners(has_tls), *_imported(definitions), *config]
        self._write(plugins, lines)
        self._nodes: list[subprocess.Popen[bytes]] = []
        self._has_run = False
        self._end = weakref.finalize(self, _end, self._nodes, self.folder)

    def __enter__(self) -> Self:
        """Start it."""
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Kill it, and delete its data."""
        self.close()

    # ---------------------------------------------------------------- where it is

    @property
    def management(self) -> str:
        """The URL of its management API, without credentials; needs the plugin rabbitmq_management."""
        if not self._has_management:
            raise NoBroker("this node has no management API: give it the plugin rabbitmq_management")
        return f"http://127.0.0.1:{self._management}"

    @property
    def pid(self) -> int:
        """The process that is the node."""
        return self._running().pid

    @property
    def log(self) -> str:
        """What the node has logged so far."""
        return self._log.read_text("utf-8", "replace") if self._log.exists() else ""

    def url(
        self, user: str = "guest", password: str | None = "guest", vhost: str = "/", query: str = "", tls: bool = False
    ) -> str:
        """Return an AMQP URL of this node; without `password` it holds the user only."""
        scheme, port = ("amqps", self.tls_port) if tls else ("amqp", self.port)
        secret = "" if password is None else f":{quote(password, safe='')}"
        tail = f"?{query}" if query else ""
        return f"{scheme}://{quote(user, safe='')}{secret}@127.0.0.1:{port}/{quote(vhost, safe='')}{tail}"

    # ---------------------------------------------------------------- its life

    def start(self) -> None:
        """Start the node, on its old data where there are some, and return when it serves; raises `NoBroker`."""
        try:
            self._start()
        except NoBroker:
            if not self._has_run:
                raise
            # Seen of RabbitMQ 4.0 after a kill, once in many: "Feature flags: error while running", and it ends.
            self._start()
        self._has_run = True

    def _start(self) -> None:
        self._log.unlink(missing_ok=True)
        with self._log.open("wb") as log:
            node = subprocess.Popen(
                [*self._prefix, str(_BIN / "rabbitmq-server"), "-noinput", *self._without_epmd(), "-sname", _NODE],
                env=self._environment(),
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._nodes[:] = [node]
        self._wait_until_ready(node)

    def stop(self) -> None:
        """Stop the node in good order, by its pid; its data stay."""
        node = self._running()
        node.send_signal(signal.SIGCONT)
        node.terminate()
        try:
            node.wait(SHUT_DOWN)
        except subprocess.TimeoutExpired:
            node.kill()
            node.wait()

    def kill(self) -> None:
        """Kill the node as a loss of power would; its data stay."""
        node = self._running()
        node.kill()
        node.wait()

    def restart(self) -> None:
        """Stop the node in good order and start it again, on the same ports and data."""
        self.stop()
        self.start()

    def freeze(self) -> None:
        """Stop the node's process in its tracks: its connections stay open, and nothing answers."""
        node = self._running()
        node.send_signal(signal.SIGSTOP)
        # The signal is on its way when it is sent: some threads go on for a moment.
        os.waitid(os.P_PID, node.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)

    def thaw(self) -> None:
        """Let a frozen node go on."""
        self._running().send_signal(signal.SIGCONT)

    def close(self) -> None:
        """Kill the node if it runs, and delete its folder; idempotent."""
        self._end()

    # ---------------------------------------------------------------- its administration

    def ctl(self, *arguments: str) -> str:
        """Return what `rabbitmqctl` prints for `arguments`; raises `NoBroker` with what it says where it fails."""
        return self._tool("rabbitmqctl", arguments)

    def diagnostics(self, *arguments: str) -> str:
        """Return what `rabbitmq-diagnostics` prints for `arguments`; raises `NoBroker` like `ctl`."""
        return self._tool("rabbitmq-diagnostics", arguments)

    def _tool(self, name: str, arguments: Sequence[str]) -> str:
        done = subprocess.run(
            [*self._prefix, str(_BIN / name), "-q", "-n", _NODE, *arguments],
            env=self._environment(),
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=SET_UP,
        )
        if done.returncode:
            raise NoBroker(f"{name} {' '.join(arguments)}: {done.stderr.strip() or done.stdout.strip()}")
        return done.stdout

    # ---------------------------------------------------------------- inside

    @property
    def _log(self) -> Path:
        return self.folder / "log"

    def _running(self) -> subprocess.Popen[bytes]:
        for node in self._nodes:
            if node.poll() is None:
                return node
        raise NoBroker("the node does not run: start it")

    def _listeners(self, has_tls: bool) -> list[str]:
        return [
            f"listeners.tcp.1 = 127.0.0.1:{self.port}",
            *([f"listeners.ssl.1 = 127.0.0.1:{self.tls_port}"] if has_tls else ["listeners.ssl = none"]),
            *(
                ["management.tcp.ip = 127.0.0.1", f"management.tcp.port = {self._management}"]
                if self._has_management
                else []
            ),
            f"vm_memory_high_watermark.absolute = {MEMORY}",
            "disk_free_limit.absolute = 50MB",
            "log.console = true",
            "log.file = false",
        ]

    def _write(self, plugins: Sequence[str], lines: Sequence[str]) -> None:
        (self.folder / "rabbitmq.conf").write_text("\n".join(lines) + "\n", "utf-8")
        (self.folder / "plugins").write_text(f"[{','.join(plugins)}].\n", "utf-8")
        cookie = self.folder / ".erlang.cookie"
        cookie.write_text(random.SystemRandom().randbytes(16).hex(), "ascii")
        cookie.chmod(0o400)

    def _without_epmd(self) -> list[str]:
        # With a fixed port nobody has to be asked for it, and the node's own start of epmd is left out.
        interface = ["-kernel", "inet_dist_use_interface", "{127,0,0,1}"]
        return ["-start_epmd", "false", "-erl_epmd_port", str(self._distribution), *interface]

    def _environment(self) -> Mapping[str, str]:
        folder = str(self.folder)
        return {
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
            "LANG": "C.UTF-8",
            "HOME": folder,
            "ERL_CRASH_DUMP_SECONDS": "0",
            # Then the scripts put the node in their own place, so that its pid is the one started here.
            "RABBITMQ_ALLOW_INPUT": "1",
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            "RABBITMQ_NODENAME": _NODE,
            "RABBITMQ_CONFIG_FILE": f"{folder}/rabbitmq",
            "RABBITMQ_ADVANCED_CONFIG_FILE": f"{folder}/advanced",
            "RABBITMQ_ENABLED_PLUGINS_FILE": f"{folder}/plugins",
            "RABBITMQ_MNESIA_BASE": f"{folder}/data",
            "RABBITMQ_LOG_BASE": f"{folder}/logs",
            "RABBITMQ_GENERATED_CONFIG_DIR": f"{folder}/generated",
            "RABBITMQ_FEATURE_FLAGS_FILE": f"{folder}/feature_flags",
            "RABBITMQ_CTL_ERL_ARGS": f"-start_epmd false -dist_listen false -erl_epmd_port {self._distribution}",
        }

    def _wait_until_ready(self, node: "subprocess.Popen[bytes]") -> None:
        until = time.monotonic() + SET_UP
        while _READY not in self._log.read_bytes():
            if node.poll() is not None:
                raise NoBroker(f"RabbitMQ did not start (exit status {node.returncode}): {_tail(self.log)}")
            if time.monotonic() > until:
                node.kill()
                node.wait()
                raise NoBroker(f"RabbitMQ was not ready within {SET_UP:.0f} s: {_tail(self.log)}")
            time.sleep(0.02)


def _prefix(root: str | os.PathLike[str] | None) -> list[str]:
    """Return the command before RabbitMQ's own."""
    if root is None:
        if not (_BIN / "rabbitmq-server").exists():
            raise NoBroker(f"no RabbitMQ in {_BIN}: apt install rabbitmq-server")
        return []
    if not shutil.which("unshare"):
        raise NoBroker("unshare is missing: apt install util-linux")
    mapped = [] if os.geteuid() == 0 else ["--map-root-user"]
    return ["unshare", "--mount", *mapped, "sh", "-c", _IN_ROOT, str(Path(root).resolve())]


def _imported(definitions: str | os.PathLike[str] | None) -> list[str]:
    if definitions is None:
        return []
    path = Path(definitions).resolve()
    return ["definitions.import_backend = local_filesystem", f"definitions.local.path = {path}"]


def _free_ports(count: int) -> list[int]:
    """Return ports of loopback that nobody listens on."""
    found: list[int] = []
    for port in random.SystemRandom().sample(_PORTS, len(_PORTS)):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        found.append(port)
        if len(found) == count:
            return found
    raise NoBroker(f"no free port in {_PORTS.start}-{_PORTS.stop - 1}")


def _tail(log: str) -> str:
    """Return what is worth reading of a node's log: the first that is wrong, else the last."""
    lines = [line.split("> ", 1)[-1].strip() for line in _COLOUR.sub("", log).splitlines()]
    lines = [line for line in lines if line]
    wrong = [at for at, line in enumerate(lines) if "error" in line.lower()]
    return " / ".join(lines[wrong[0] :][:8] if wrong else lines[-5:])[:2_000] or "it said nothing"


def _end(nodes: "list[subprocess.Popen[bytes]]", folder: Path) -> None:
    for node in nodes:
        if node.poll() is None:
            node.kill()
            node.wait()
    shutil.rmtree(folder, ignore_errors=True)
