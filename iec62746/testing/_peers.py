"""The parties of the conformance kit, as the kit holds them: each a process of its own, or all in this one."""

import asyncio
import json
import sys
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from itertools import count
from typing import Any, Protocol

from iec62746.testing import _wire
from iec62746.testing._worker import Worker
from iec62746.transport import Transport

Hear = Callable[[dict[str, Any]], None]

PATIENCE = 60.0
"""Seconds that a party has to answer the kit, whatever it was told to do."""
COMPLAINTS = 20
"""Lines that are kept of what a party's process printed as errors."""


class NoAnswer(Exception):
    """A call did not return, though it had to."""


class Peer(Protocol):
    """One party: does commands, and has its events heard."""

    hear: dict[str, Hear]

    async def call(self, command: str, within: float = PATIENCE, **arguments: Any) -> Any:
        """Return what the party answers; raises what was raised there, `NoAnswer` past `within` seconds."""
        ...

    async def kill(self) -> None:
        """End it at once, as a power cut would."""
        ...

    async def aclose(self) -> None:
        """End it."""
        ...


def _result(answer: dict[str, Any]) -> Any:
    if "error" in answer:
        raise _wire.raised(answer)
    return answer["result"]


class LocalPeer:
    """A party in this process, for transports that reach no further."""

    def __init__(self, transport: Transport | None) -> None:
        """Use `transport` instead of the installed one, if it is given."""
        self.hear: dict[str, Hear] = {}
        self._worker = Worker(self._hear, transport)

    def _hear(self, event: dict[str, Any]) -> None:
        if (hear := self.hear.get(event["session"])) is not None:
            hear(event)

    async def call(self, command: str, within: float = PATIENCE, **arguments: Any) -> Any:
        """Do it here."""
        try:
            async with asyncio.timeout(within):
                return _result(await self._worker.do({"do": command, **arguments}))
        except TimeoutError:
            raise NoAnswer(f"{command} did not return within {within:g} s") from None

    async def kill(self) -> None:
        """A part of a process cannot be killed: close."""
        await self.aclose()

    async def aclose(self) -> None:
        """Close what is open."""
        with suppress(NoAnswer):
            await self.call("forget", within=10.0)


class ProcessPeer:
    """A party in a process of its own."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        """Talk to `process`."""
        self.hear: dict[str, Hear] = {}
        self._process = process
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._numbers = count(1)
        self._complaints: deque[str] = deque(maxlen=COMPLAINTS)
        self._reading = asyncio.create_task(self._read())
        self._listening = asyncio.create_task(self._listen())

    @classmethod
    async def start(cls) -> "ProcessPeer":
        """Start a process; of what it prints as errors, the end is kept."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "iec62746.testing._party",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            limit=sys.maxsize // 4,
        )
        return cls(process)

    async def _read(self) -> None:
        assert self._process.stdout is not None
        while line := await self._process.stdout.readline():
            said = json.loads(line)
            if "event" in said:
                if (hear := self.hear.get(said["session"])) is not None:
                    hear(said)
            elif (answer := self._answers.pop(said["id"], None)) is not None and not answer.done():
                answer.set_result(said)
        for answer in self._answers.values():
            if not answer.done():
                answer.set_exception(self._ended())

    async def _listen(self) -> None:
        assert self._process.stderr is not None
        while said := await self._process.stderr.readline():
            self._complaints.append(said.decode(errors="replace").rstrip())

    def _ended(self) -> NoAnswer:
        return NoAnswer("\n".join(["the party's process has ended", *self._complaints]))

    async def call(self, command: str, within: float = PATIENCE, **arguments: Any) -> Any:
        """Have it done there."""
        assert self._process.stdin is not None
        number = next(self._numbers)
        answer = self._answers[number] = asyncio.get_running_loop().create_future()
        line = json.dumps({"do": command, "id": number, **arguments})
        try:
            async with asyncio.timeout(within):
                self._process.stdin.write(line.encode() + b"\n")
                await self._process.stdin.drain()
                return _result(await answer)
        except TimeoutError:
            raise NoAnswer(f"{command} did not return within {within:g} s") from None
        except (BrokenPipeError, ConnectionResetError):
            raise self._ended() from None
        finally:
            self._answers.pop(number, None)

    async def kill(self) -> None:
        """End it at once."""
        with suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()
        await asyncio.gather(self._reading, self._listening)

    async def aclose(self) -> None:
        """Let it close what is open, and end."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            async with asyncio.timeout(10.0):
                await self._process.wait()
        except TimeoutError:
            await self.kill()
        await asyncio.gather(self._reading, self._listening)
