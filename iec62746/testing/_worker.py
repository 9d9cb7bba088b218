"""What a party of the conformance kit does when told to: sessions of the SPI, and real participants."""

import asyncio
import os
import ssl
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

from iec62746 import _tls
from iec62746.errors import Iec62746Error, TransportError
from iec62746.plugins import transport as find_transport
from iec62746.testing import _wire
from iec62746.testing._members import Members
from iec62746.transport import REAL_TIME, Config, Delivery, Outgoing, ReplyTo, Session, Subscription, Transport

Tell = Callable[[dict[str, Any]], None]


class Worker:
    """Does one command at a time or many at once, and tells what happens by `tell`."""

    def __init__(self, tell: Tell, transport: Transport | None = None) -> None:
        """Use `transport` instead of the installed one, if it is given."""
        self._tell, self._transport = tell, transport
        self._sessions: dict[str, _Opened] = {}
        self._members = Members(tell, transport)
        self._replies: dict[str, ReplyTo] = {}
        self._numbers = count(1)

    async def do(self, command: dict[str, Any]) -> dict[str, Any]:
        """Return `{"result": …}`, or what was raised."""
        arguments = {key: value for key, value in command.items() if key not in ("do", "id")}
        try:
            return {"result": await getattr(self, f"do_{command['do']}")(**arguments)}
        except (Exception, asyncio.CancelledError) as exc:
            task = asyncio.current_task()
            if isinstance(exc, asyncio.CancelledError) and task is not None and task.cancelling():
                raise
            return _wire.error(exc)

    # ---------------------------------------------------------------- sessions

    async def do_open(self, session: str, config: dict[str, Any], mode: str) -> None:
        """Open a session under the name `session`."""
        opened = self._sessions[session] = _Opened(self, session, mode)
        try:
            opened.at = await self._find(config["urls"][0]).open(read_config(config), opened)
        except BaseException:
            del self._sessions[session]
            raise

    def _find(self, url: str) -> Transport:
        return self._transport or find_transport(url)

    async def do_subscribe(self, session: str, name: str, address: list[Any]) -> None:
        """Subscribe under the name `name`."""
        opened = self._sessions[session]
        opened.subscriptions[name] = await opened.here.subscribe(_wire.address(address), opened.deliver)

    async def do_cancel(self, session: str, name: str) -> None:
        """Cancel a subscription."""
        await self._sessions[session].subscriptions[name].cancel()

    async def do_send(self, session: str, to: list[Any], message: dict[str, Any]) -> int:
        """Send; returns the receipt's level."""
        receipt = await self._sessions[session].here.send(self.target(to), _wire.message(message))
        return int(receipt.level)

    async def do_send_all(self, session: str, sends: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Send all of them at once; returns what became of each."""
        commands = [{"do": "send", "session": session, **one} for one in sends]
        return list(await asyncio.gather(*map(self.do, commands)))

    async def do_send_in_turn(self, session: str, sends: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Send one after another; returns what became of each."""
        return [await self.do({"do": "send", "session": session, **one}) for one in sends]

    async def do_mode(self, session: str, mode: str) -> None:
        """Change what happens to deliveries: take, hold, raise, close, echo."""
        self._sessions[session].set_mode(mode)

    async def do_close(self, session: str, times: int) -> None:
        """Close, `times` times at once."""
        await asyncio.gather(*(self._sessions[session].here.aclose() for _ in range(times)))

    async def do_forget(self) -> None:
        """Close and forget everything."""
        await self._members.leave_all()
        opened = [one for one in self._sessions.values() if one.at is not None]
        self._sessions.clear()
        self._replies.clear()
        for one in opened:
            one.set_mode("take")
        await asyncio.gather(*(one.here.aclose() for one in opened), return_exceptions=True)

    async def do_open_and_give_up(self, config: dict[str, Any], after: float) -> bool:
        """Cancel an opening after some seconds; returns whether it was still under way."""
        opened = _Opened(self, "given-up", "take")
        try:
            async with asyncio.timeout(after):
                opened.at = await self._find(config["urls"][0]).open(read_config(config), opened)
        except TimeoutError:
            return True
        await opened.here.aclose()
        return False

    async def do_census(self) -> dict[str, int]:
        """Return how many tasks and open files there are."""
        return {"tasks": len(asyncio.all_tasks()), "files": _open_files()}

    # ---------------------------------------------------------------- participants

    async def do_join(self, **arguments: Any) -> None:
        """Start a VTN or VEN."""
        await self._members.join(**arguments, tls=tls_context(*arguments["config"]["files"]))

    async def do_ask(self, **arguments: Any) -> str:
        """Send a request, and return the result of its reply."""
        return await self._members.ask(**arguments)

    async def do_publish(self, **arguments: Any) -> None:
        """Publish an event."""
        await self._members.publish(**arguments)

    # ---------------------------------------------------------------- reply addresses

    def keep(self, reply: ReplyTo | None) -> str | None:
        """Return a handle for `reply`, which stays here: it is the transport's."""
        if reply is None:
            return None
        handle = f"reply-{next(self._numbers)}"
        self._replies[handle] = reply
        return handle

    def target(self, written: list[Any]) -> Any:
        """Return an address, or the reply address of a handle; an unknown handle is one that somebody made up."""
        if written[0] == "reply":
            return self._replies.get(written[1]) or ReplyTo(written[1])
        return _wire.address(written)

    def tell(self, session: str, event: str, **what: Any) -> None:
        """Tell of an event of one session."""
        self._tell({"event": event, "session": session, "at": time.time(), **what})


class _Opened:
    """One session here: its observer, its subscriptions, and what it does to deliveries."""

    def __init__(self, worker: Worker, name: str, mode: str) -> None:
        self._worker, self._name = worker, name
        self._free = asyncio.Event()
        self.subscriptions: dict[str, Subscription] = {}
        self.at: Session | None = None
        self.set_mode(mode)

    @property
    def here(self) -> Session:
        """Return the session, which was opened."""
        assert self.at is not None
        return self.at

    def set_mode(self, mode: str) -> None:
        self._mode = mode
        if mode == "hold":
            self._free.clear()
        else:
            self._free.set()

    async def deliver(self, delivery: Delivery) -> None:
        reply = delivery.reply_to
        written = _wire.delivery(delivery, self._worker.keep(reply))
        self._worker.tell(self._name, "delivery", delivery=written)
        if self._mode == "raise":
            raise RuntimeError("the conformance kit does not take this delivery")
        if self._mode == "close":
            await self.here.aclose()
        if self._mode == "echo" and reply is not None:
            await self._echo(delivery, reply)
        await self._free.wait()

    async def _echo(self, delivery: Delivery, reply: ReplyTo) -> None:
        answer = Outgoing(body=delivery.body, expires=time.time() + REAL_TIME, correlation_id=delivery.correlation_id)
        try:
            await self.here.send(reply, answer)
        except Iec62746Error as exc:
            self._worker.tell(self._name, "unanswered", cause=_wire.error(exc))

    def lost(self, cause: TransportError) -> None:
        self._worker.tell(self._name, "lost", cause=_wire.error(cause))

    def gone(self, party: str) -> None:
        self._worker.tell(self._name, "gone", party=party)

    def bounced(self, correlation_id: str, cause: TransportError) -> None:
        self._worker.tell(self._name, "bounced", correlation_id=correlation_id, cause=_wire.error(cause))

    def blocked(self, is_blocked: bool) -> None:
        self._worker.tell(self._name, "blocked", is_blocked=is_blocked)


def _open_files() -> int:
    """Return the number of open files; 0 where the system does not tell."""
    files = Path("/proc/self/fd")
    return len(os.listdir(files)) if files.is_dir() else 0


def read_config(written: dict[str, Any]) -> Config:
    """Return a Config, with a TLS context if it names whom to trust."""
    files = written["files"]
    will = written["will"]
    return Config(
        urls=tuple(written["urls"]),
        password=written["password"],
        tls=tls_context(*files),
        will=None if will is None else _wire.message(will),
        **{key: written[key] for key in ("domain", "party", "vtn", "session", "account")},
    )


def tls_context(ca_file: str, certificate_file: str, key_file: str) -> ssl.SSLContext | None:
    """Return a context that trusts `ca_file` and shows our certificate; None without a file."""
    if not ca_file:
        return None
    return _tls.context(ca_file, certificate_file or None, key_file or None)
