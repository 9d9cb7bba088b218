"""A VEN and a VTN with bare pika, written from docs/wire.md alone: nothing here knows iec62746.

One object is one session. Every method blocks, for ten seconds at most. `Client._flaw` is the table "What to check".
"""

import re
import time
import uuid
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from xml.sax.saxutils import escape

import pika.exceptions  # type: ignore[import-untyped]  # it has no types
from lxml import etree

MESSAGE = "http://iec.ch/TC57/2011/schema/message"
PRESENCE = "urn:iec62746:presence:1"
NAMES = {"m": MESSAGE, "p": PRESENCE, "n": "urn:iec62746:nodes:1"}
REAL_TIME, SKEW, INTERVAL, LIMIT = 30.0, 5.0, 30.0, 10.0
EXCHANGES = ("to.vtn", "to.ven", "event", "presence")
BOUNDS = {"x-max-length": 10_000, "x-max-length-bytes": 67_108_864}
INBOX = BOUNDS | {"x-overflow": "reject-publish"}
BROADCAST = BOUNDS | {"x-overflow": "drop-head"}


@dataclass
class Got:
    """One message that came, by whom its key says that it is from."""

    sender: str
    exchange: str
    key: str
    properties: pika.BasicProperties
    body: bytes

    def __post_init__(self) -> None:
        self.xml = etree.fromstring(self.body)
        self.root = etree.QName(self.xml).localname

    def text(self, path: str) -> str:
        """Return the text at `path`, or nothing."""
        return str(self._find(f"string({path})"))

    def all(self, path: str) -> list[str]:
        """Return the text of each element at `path`."""
        return [one.text or "" for one in self._find(path)]

    def _find(self, path: str) -> Any:
        return self.xml.xpath(path, namespaces=NAMES)

    def header(self, name: str) -> str:
        """Return what the Header says."""
        return self.text(f"m:Header/m:{name}")

    def values(self, name: str) -> list[str]:
        """Return each value of a Property."""
        return self.all(f"m:Header/m:Property[m:Name='{name}']/m:Value")

    @property
    def outcome(self) -> tuple[str, str]:
        """Result and code of a reply."""
        return self.text("m:Reply/m:Result"), self.text("m:Reply/m:Error/m:code")


def envelope(
    root: str,
    verb: str,
    noun: str,
    source: str,
    destination: str,
    rest: str = "",
    *,
    message_id: str = "",
    correlation_id: str = "",
    life: float = REAL_TIME,
    properties: tuple[tuple[str, str], ...] = (),
) -> bytes:
    """Return a message; `rest` is what comes after its Header."""
    now, message_id = datetime.now(UTC), message_id or str(uuid.uuid4())
    pairs = (*properties, ("Destination", destination), ("Deadline", _time(now + timedelta(seconds=life))))
    written = "".join(
        f"<Property><Name>{name}</Name><Value>{escape(value)}</Value></Property>" for name, value in pairs
    )
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<{root} xmlns="{MESSAGE}"><Header><Verb>{verb}</Verb>'
        f"<Noun>{noun}</Noun><Timestamp>{_time(now)}</Timestamp><Source>{source}</Source>"
        f"<MessageID>{message_id}</MessageID><CorrelationID>{correlation_id or message_id}</CorrelationID>"
        f"{written}</Header>{rest}</{root}>"
    ).encode()


def _time(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03d}Z"


class Client:
    """What a VEN and the VTN have in common. `accounts` are by party; None: the open way."""

    def __init__(self, url: str, domain: str, party: str, vtn: str, accounts: dict[str, str] | None) -> None:
        self.domain, self.party, self.vtn, self.accounts = domain, party, vtn, accounts
        self.session = uuid.uuid4().hex[:16]
        self.epoch = time.time_ns() // 1_000_000
        self.is_superseded = False
        self.dropped: list[str] = []
        self._got: deque[Got] = deque()
        self._answers: dict[tuple[str, str], tuple[bytes, bytes | None]] = {}
        self._connection = pika.BlockingConnection(pika.URLParameters(url))
        self.channel: Any = self._connection.channel()
        self.channel.confirm_delivery()
        if accounts is None:
            for name in EXCHANGES:
                self.channel.exchange_declare(self.at(name), "topic", durable=True)

    def at(self, name: str) -> str:
        """Return the name of an exchange or a queue."""
        return f"{self.domain}.{name}"

    def _consume(self, queue: str, arguments: dict[str, Any], bound: list[tuple[str, str]]) -> None:
        shared = queue == "vtn.in"
        given = arguments if self.accounts is None else {"x-queue-type": "classic"} if shared else {}
        self.channel.queue_declare(self.at(queue), durable=shared, exclusive=not shared, arguments=given)
        for exchange, key in bound:
            self.channel.queue_bind(self.at(queue), self.at(exchange), key)
        self.channel.basic_consume(self.at(queue), self._take)

    def close(self) -> None:
        """Say goodbye, and close."""
        self.announce("offline", "closed")
        self.cut()

    def cut(self) -> None:
        """Close without a word."""
        if self._connection.is_open:
            self._connection.close()

    # ---------------------------------------------------------------- out

    def publish(self, exchange: str, key: str, body: bytes, *, mandatory: bool = False, **properties: Any) -> None:
        """Publish `body`; raises `UnroutableError` (312) and `NackError` if it is mandatory, or the queue is full."""
        hints = {name: text for name in ("Verb", "Noun") if (text := _hint(body, name))}
        given = {
            "content_type": "application/xml",
            "user_id": self.accounts and self.accounts[self.party],
            "expiration": "30000",
            "delivery_mode": 1,
            "headers": hints,
        }
        self.channel.basic_publish(
            self.at(exchange), key, body, pika.BasicProperties(**(given | properties)), mandatory=mandatory
        )

    def announce(self, state: str, reason: str = "") -> None:
        """Announce our presence."""
        why = f"<reason>{escape(reason)}</reason>" if reason else ""
        payload = (
            f'<Payload><Presence xmlns="{PRESENCE}"><state>{state}</state><session>{self.session}</session>'
            f"<epoch>{self.epoch}</epoch><interval>{INTERVAL:g}</interval>{why}</Presence></Payload>"
        )
        to, life = self.domain if self.party == self.vtn else self.vtn, 2.5 * INTERVAL
        body = envelope("EventMessage", "changed", "Presence", self.party, to, payload, life=life)
        self.publish("presence", self.party, body, expiration=f"{life * 1000:.0f}")

    def ask(self, verb: str, noun: str, rest: str, to: str, place: tuple[str, str], reply_to: str) -> Got:
        """Send a request, and return the answer of the party that was asked."""
        body = envelope("RequestMessage", verb, noun, self.party, to, rest)
        return self.send_request(body, place, reply_to, to)

    def send_request(self, body: bytes, place: tuple[str, str], reply_to: str, to: str, **properties: Any) -> Got:
        """Send `body` as a request; what else comes meanwhile is kept."""
        key = _hint(body, "CorrelationID") or str(uuid.uuid4())
        self.publish(*place, body, mandatory=True, correlation_id=key, reply_to=reply_to, **properties)
        return self.next(lambda got: got.sender == to and _is_answer(got, key))

    def answer(
        self, request: Got, result: str = "OK", code: str = "0.0", payload: str = "", properties: Any = ()
    ) -> None:
        """Answer `request`: to where its sender may be answered, and nowhere else."""
        place, message_id = self.reply_place(request), request.header("MessageID")
        if place is None:
            return
        inside = f"<Payload>{payload}</Payload>" if payload else ""
        body = envelope(
            "ResponseMessage", "reply", request.header("Noun"), self.party, request.sender,
            f"<Reply><Result>{result}</Result><Error><code>{code}</code></Error></Reply>{inside}",
            correlation_id=request.header("CorrelationID") or message_id, properties=properties,
        )  # fmt: skip
        if self._answers.get((request.sender, message_id), (request.body,))[0] == request.body:
            self._answers[request.sender, message_id] = request.body, body
        self._reply(request, place, body)

    def _reply(self, request: Got, place: tuple[str, str], body: bytes) -> None:
        try:
            self.publish(*place, body, mandatory=True, correlation_id=request.properties.correlation_id)
        except pika.exceptions.UnroutableError:
            pass  # who asked has left

    def reply_place(self, request: Got) -> tuple[str, str] | None:
        """Return exchange and key of the answer, if `reply_to` is the sender's own."""
        raise NotImplementedError

    # ---------------------------------------------------------------- in

    def next(self, is_it: Callable[[Got], bool]) -> Got:
        """Return the first message that is it; the others stay."""
        until = time.monotonic() + LIMIT
        while True:
            for got in self._got:
                if is_it(got):
                    self._got.remove(got)
                    return got
            if time.monotonic() > until:
                raise TimeoutError(f"{self.party} waited in vain; dropped: {self.dropped}")
            self._connection.process_data_events(1)

    @property
    def kept(self) -> tuple[Got, ...]:
        """What came and was not asked for by `next`."""
        return tuple(self._got)

    def wait(self, is_so: Callable[["Client"], object]) -> None:
        """Take what comes until it is so."""
        until = time.monotonic() + LIMIT
        while not is_so(self):
            if time.monotonic() > until:
                raise TimeoutError(f"{self.party} waited in vain; dropped: {self.dropped}")
            self._connection.process_data_events(1)

    def _take(self, channel: Any, method: Any, properties: Any, body: bytes) -> None:
        channel.basic_ack(method.delivery_tag)
        exchange = method.exchange.removeprefix(f"{self.domain}.")
        sender = self.sender(exchange, method.routing_key)
        if (flaw := self._unproven(sender, properties)) is not None:
            self.dropped.append(flaw)
            return
        try:
            got = Got(sender or "", exchange, method.routing_key, properties, body)
        except etree.XMLSyntaxError:
            self.dropped.append("not XML")  # to a request the answer would be a FaultMessage
            return
        if got.root != "FaultMessage" and (flaw := self._flaw(got)) is not None:
            self.dropped.append(flaw)
            if got.root == "RequestMessage" and re.fullmatch(r"\d+\.\d+", flaw):
                self.answer(got, "FAILED", flaw)
            return
        if got.exchange == "presence" and got.sender == self.party:
            self._hear_own(got)
        else:
            self._got.append(got)

    def sender(self, exchange: str, key: str) -> str | None:
        """Return whose message it is by exchange and key, or None if nobody's."""
        raise NotImplementedError

    def _unproven(self, sender: str | None, properties: Any) -> str | None:
        """Return why nobody answers for a message, or None."""
        if sender is None:
            return "key"
        if {"CC", "BCC"} & set(properties.headers or ()):
            return "copy"
        if properties.content_type not in ("application/xml", None):
            return "content_type"
        if self.accounts is not None and properties.user_id != self.accounts.get(sender):
            return "user_id"
        return None

    def _flaw(self, got: Got) -> str | None:
        """Return the reply code or the word for what is wrong, or None."""
        message_id = got.header("MessageID")
        if got.root == "RequestMessage" and self.reply_place(got) is None:
            return "reply_to"
        if got.header("Source") not in ("", got.sender):
            return "2.14"
        if (destinations := got.values("Destination")) and self._place(got) not in destinations:
            return "7.5"
        if (deadline := got.values("Deadline")) and _passed(deadline[0]):
            return "4.1"
        return None if got.root == "ResponseMessage" or got.exchange == "presence" else self._repeated(got, message_id)

    def _repeated(self, got: Got, message_id: str) -> str | None:
        """Return what is wrong if the sender used its MessageID before; a duplicate gets the same answer."""
        known = self._answers.get((got.sender, message_id)) if message_id else None
        if known is None:
            self._answers[got.sender, message_id] = got.body, None  # a client that runs for long forgets after Deadline
            return None
        if known[0] != got.body:
            return "2.15"
        if got.root == "RequestMessage" and known[1] is not None:
            self._reply(got, self.reply_place(got) or ("", ""), known[1])
        return "duplicate"

    def _place(self, got: Got) -> str:
        """Return which Destination belongs where it came."""
        if got.exchange == "event":
            return got.key
        if got.exchange == "presence":
            return self.domain if got.sender == self.vtn else self.vtn
        return self.party

    def _hear_own(self, got: Got) -> None:
        """End if a newer session of our own party is live."""
        said = "m:Payload/p:Presence/p:{}".format
        if (int(got.text(said("epoch"))), got.text(said("session"))) > (self.epoch, self.session):
            self.is_superseded = True
            self.cut()


def _hint(body: bytes, name: str) -> str:
    found = re.search(rf"<{name}>([^<]*)</{name}>".encode(), body)
    return found[1].decode() if found else ""


def _passed(deadline: str) -> bool:
    return datetime.fromisoformat(deadline).timestamp() + SKEW < time.time()


def _is_answer(got: Got, key: str) -> bool:
    if got.root == "FaultMessage":
        return bool(got.properties.correlation_id == key)
    return got.root == "ResponseMessage" and got.header("CorrelationID") == key


class BareVen(Client):
    """A VEN: it subscribes to `nodes`."""

    def __init__(
        self, url: str, domain: str, party: str, vtn: str, accounts: dict[str, str] | None, nodes: tuple[str, ...] = ()
    ) -> None:
        super().__init__(url, domain, party, vtn, accounts)
        queue = f"ven.{party}.{self.session}"
        self._consume(queue, INBOX, [("to.ven", party)])
        heard = [("event", node) for node in nodes]
        self._consume(f"{queue}.ev", BROADCAST, [*heard, ("presence", vtn), ("presence", party)])
        self.announce("online")

    def sender(self, exchange: str, key: str) -> str | None:
        if exchange == "presence":
            return key
        return self.vtn if exchange == "event" or (exchange, key) == ("to.ven", self.party) else None

    def reply_place(self, request: Got) -> tuple[str, str] | None:
        reply_to = request.properties.reply_to or ""
        is_own = re.fullmatch(rf"{self.party}\.re\.[A-Za-z0-9_-]{{1,32}}", reply_to)
        return ("to.vtn", reply_to) if is_own else None

    def request(self, verb: str, noun: str, rest: str = "") -> Got:
        """Ask the VTN."""
        return self.ask(verb, noun, rest, self.vtn, ("to.vtn", f"{self.party}.in"), self.party)

    def current_value(self, node: str, noun: str) -> Got:
        """Ask for what was last published on `node`."""
        option = f"<Request><Option><name>Node</name><value>{node}</value></Option></Request>"
        return self.request("get", noun, option)

    def event(self, noun: str, payload: str) -> None:
        """Send an event to the VTN."""
        body = envelope("EventMessage", "created", noun, self.party, self.vtn, f"<Payload>{payload}</Payload>")
        key = _hint(body, "CorrelationID")
        self.publish("to.vtn", f"{self.party}.in", body, mandatory=True, correlation_id=key)


class BareVtn(Client):
    """The VTN of a domain."""

    def __init__(self, url: str, domain: str, party: str, accounts: dict[str, str] | None) -> None:
        super().__init__(url, domain, party, party, accounts)
        kept = INBOX | {"x-queue-type": "classic", "x-expires": 10_000}
        self._consume(f"vtn.re.{self.session}", INBOX, [("to.vtn", f"*.re.{self.session}")])
        self._consume(f"vtn.pr.{self.session}", BROADCAST, [("presence", "*")])
        self._consume("vtn.in", kept, [("to.vtn", "*.in")])
        self.announce("online")

    def sender(self, exchange: str, key: str) -> str | None:
        if exchange == "presence":
            return key
        found = re.fullmatch(rf"([A-Za-z0-9_-]{{1,64}})\.(in|re\.{self.session})", key)
        return found[1] if exchange == "to.vtn" and found else None

    def reply_place(self, request: Got) -> tuple[str, str] | None:
        return ("to.ven", request.sender) if request.properties.reply_to == request.sender else None

    def request(self, verb: str, noun: str, to: str, rest: str = "") -> Got:
        """Ask the VEN `to`."""
        return self.ask(verb, noun, rest, to, ("to.ven", to), f"{to}.re.{self.session}")

    def event(self, noun: str, payload: str, node: str) -> bytes:
        """Publish on a node; returns what was published."""
        body = envelope("EventMessage", "created", noun, self.party, node, f"<Payload>{payload}</Payload>")
        self.publish("event", node, body, correlation_id=_hint(body, "CorrelationID"))
        return body
