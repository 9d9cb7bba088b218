"""Runs docker-compose.yml natively: its commands, environment, health checks and order, on a private RabbitMQ."""

import argparse
import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import yaml

from iec62746_rabbitmq.private import NoBroker, PrivateBroker, rabbitmq4

HERE = Path(__file__).resolve().parents[1]
PATIENCE = 60.0  # seconds for whatever is waited for, where the compose file says nothing
ANSWERED = "answered get MeterReadings: OK"


class Failed(Exception):
    """A service did not do what the compose file expects of it."""


class Place:
    """Where on this machine is what the compose file puts into containers."""

    def __init__(self, compose: dict[str, Any], folder: Path) -> None:
        self.compose, self.folder = compose, folder
        self.host: dict[str, str] = {}
        for volume in compose["volumes"]:
            (folder / volume).mkdir(mode=0o700)

    def mounts(self, service: dict[str, Any]) -> dict[str, str]:
        """Return by path in the container the path here."""
        pairs = (volume.split(":")[:2] for volume in service.get("volumes", []))
        return {
            target: str(HERE / source if source.startswith(".") else self.folder / source) for source, target in pairs
        }

    def here(self, service: dict[str, Any], text: str, port: int = 0) -> str:
        """Return `text` with paths, hosts and the port of the metrics as they are here."""
        for target, path in self.mounts(service).items():
            text = text.replace(target, path)
        for name, address in self.host.items():
            text = re.sub(rf"(?<=://){re.escape(name)}(?![\w.:-])", address, text)
        return text.replace("9464", str(port)) if port else text


class Program:
    """A service that is one of our programs."""

    def __init__(self, name: str, service: dict[str, Any], place: Place) -> None:
        self.name, self._service, self._place = name, service, place
        self._port = _free_port()
        self.said: list[str] = []

    def start(self) -> None:
        entry = self._service.get("entrypoint") or _entrypoint()
        words = self._here([*entry, *self._service["command"]])
        print(f"{self.name} $ {shlex.join(words)}", flush=True)
        self._process = subprocess.Popen(
            words,
            env=self._environment(),
            cwd=self._place.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _here(self, words: list[str]) -> list[str]:
        return [self._place.here(self._service, word, self._port) for word in words]

    def _environment(self) -> dict[str, str]:
        given = {key: self._place.here(self._service, value) for key, value in self._service["environment"].items()}
        # The image has our programs and its Python on the path, and nothing else of this environment.
        path = f"{Path(sys.executable).parent}:/usr/bin:/bin"
        return {"PATH": path, "HOME": str(self._place.folder), "LANG": "C.UTF-8"} | given

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.said.append(line)
            print(f"{self.name:>10} | {line}", end="", flush=True)

    def completed(self) -> None:
        if status := self._process.wait(PATIENCE):
            raise Failed(f"{self.name} ended with status {status}")
        self._reader.join()
        print(f"{self.name}: completed", flush=True)

    def is_healthy(self, test: list[str]) -> bool:
        if self._process.poll() is not None:
            raise Failed(f"{self.name} ended with status {self._process.returncode}")
        return not subprocess.run(
            self._here(test), env=self._environment(), stderr=subprocess.DEVNULL, timeout=PATIENCE
        ).returncode

    def close(self) -> None:
        """Stop it as Docker does."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                if status := self._process.wait(10):
                    raise Failed(f"{self.name}, stopped, ended with status {status}")
            except subprocess.TimeoutExpired:
                self._process.kill()
                raise Failed(f"{self.name} did not stop within 10 s") from None
            finally:
                self._process.wait()
                self._reader.join()


class Server:
    """The service that is RabbitMQ."""

    def __init__(self, name: str, service: dict[str, Any], place: Place) -> None:
        self.name, self._service, self._place = name, service, place

    def start(self) -> None:
        lines = [
            line
            for one in self._service["configs"]
            for line in self._place.compose["configs"][one["source"]]["content"].splitlines()
        ]
        try:
            root = rabbitmq4()
        except NoBroker as exc:
            print(f"{self.name}: {exc}; the machine's own is run instead", flush=True)
            root = None
        config = [self._place.here(self._service, line) for line in lines]
        self._broker = PrivateBroker(root=root, config=config)
        self._broker.start()
        self._place.host[self.name] = f"127.0.0.1:{self._broker.port}"
        print(f"{self.name}: RabbitMQ {self._broker.ctl('version').strip()} at port {self._broker.port}", flush=True)

    def completed(self) -> None:
        raise Failed(f"{self.name} does not complete")

    def is_healthy(self, test: list[str]) -> bool:
        tool, *arguments = test
        if tool != "rabbitmq-diagnostics":
            raise Failed(f"{self.name}: {tool} is not run here")
        try:
            self._broker.diagnostics(*arguments)
        except NoBroker:
            return False
        return True

    def close(self) -> None:
        self._broker.close()


def _entrypoint() -> list[str]:
    """Return what the image starts."""
    found = re.search(r"^ENTRYPOINT (\[.*\])$", (HERE / "Dockerfile").read_text("utf-8"), re.MULTILINE)
    if found is None:
        raise Failed("the Dockerfile has no ENTRYPOINT")
    words: list[str] = json.loads(found[1])
    return words


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait_until_healthy(service: Program | Server, check: dict[str, Any]) -> None:
    kind, *test = check["test"]
    if kind != "CMD":
        raise Failed(f"{service.name}: a health check is CMD here")
    until = time.monotonic() + check["retries"] * float(check["interval"].removesuffix("s"))
    while not service.is_healthy(test):
        if time.monotonic() > until:
            raise Failed(f"{service.name} is not healthy")
        time.sleep(0.1)
    print(f"{service.name}: healthy", flush=True)


def _in_order(services: dict[str, dict[str, Any]]) -> list[str]:
    """Return the services, each behind what it depends on."""
    order: list[str] = []
    while left := [name for name in services if name not in order]:
        ready = [name for name in left if set(services[name].get("depends_on", {})) <= set(order)]
        if not ready:
            raise Failed(f"these depend on each other: {', '.join(left)}")
        order += ready
    return order


def _up(compose: dict[str, Any], place: Place, running: ExitStack) -> dict[str, Program | Server]:
    services = compose["services"]
    up: dict[str, Program | Server] = {}
    for name in _in_order(services):
        for needed, how in services[name].get("depends_on", {}).items():
            _fulfil(up[needed], services[needed], how["condition"])
        kind = Server if services[name]["image"].startswith("rabbitmq:") else Program
        up[name] = kind(name, services[name], place)
        up[name].start()
        running.callback(up[name].close)
    for name, service in up.items():
        if "healthcheck" in services[name]:
            _wait_until_healthy(service, services[name]["healthcheck"])
    return up


def _fulfil(service: Program | Server, of: dict[str, Any], condition: str) -> None:
    if condition == "service_completed_successfully":
        service.completed()
    elif condition == "service_healthy":
        _wait_until_healthy(service, of["healthcheck"])


def _wait_until_all_answered(up: dict[str, Program | Server]) -> None:
    vtn = up["vtn"]
    assert isinstance(vtn, Program)
    vens = {name for name, one in up.items() if isinstance(one, Program)} - {"provision", "demo", "vtn"}
    until = time.monotonic() + PATIENCE
    while missing := {ven for ven in vens if f"{ven} {ANSWERED}\n" not in vtn.said}:
        if time.monotonic() > until:
            raise Failed(f"the VTN had no answer from {', '.join(sorted(missing))}")
        time.sleep(0.1)


def _wait_until_stopped() -> None:
    print("Ctrl-C stops it", flush=True)
    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        print()


def main() -> int:
    """Bring everything up, see that it works, and take it down."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stay", action="store_true", help="keep everything running until Ctrl-C")
    stay = parser.parse_args().stay
    os.umask(0o077)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    compose = yaml.safe_load((HERE / "docker-compose.yml").read_text("utf-8"))
    try:
        with tempfile.TemporaryDirectory(prefix="iec62746-compose-") as folder, ExitStack() as running:
            up = _up(compose, Place(compose, Path(folder)), running)
            _wait_until_all_answered(up)
            print("every service is up, and every neighbour has answered the grid operator", flush=True)
            if stay:
                _wait_until_stopped()
    except (Failed, NoBroker, subprocess.TimeoutExpired) as exc:
        print(f"scripts/demo-rabbitmq: {exc}", file=sys.stderr)
        return 1
    print("stopped: nothing is left")
    return 0


if __name__ == "__main__":
    sys.exit(main())
