"""`iec62746 listen`: show what comes to one party, and answer what it was told to answer."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Annotated, Final

import typer

from iec62746._interrupts import interruptible
from iec62746.cli import _party
from iec62746.cli._party import Unusable
from iec62746.cli._printer import Printer
from iec62746.domain import Domain
from iec62746.errors import Iec62746Error, Refused
from iec62746.message import REQUEST_VERBS, Message, Payload
from iec62746.metrics import LOOPBACK
from iec62746.participant import Participant
from iec62746.roster import PartyPresence

Answers = Mapping[tuple[str, str], Payload | None]
Handler = Callable[[Message], Awaitable[Payload | None]]

_UNANSWERED: Final = "nobody answers here: iec62746 listen only shows requests, but for those of --answer"


def listen(
    domain: _party.DomainFile,
    name: _party.Name,
    url: _party.Urls,
    nodes: Annotated[
        list[str] | None,
        typer.Option(
            "--node",
            metavar="PATTERN",
            help="A VEN: only events on these nodes; * is one word, a last # is a node and all below. May be repeated.",
        ),
    ] = None,
    nouns: Annotated[
        list[str] | None,
        typer.Option("--noun", metavar="N", help="Only events and requests about it. May be repeated."),
    ] = None,
    count: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="End after so many events and requests.")
    ] = None,
    seconds: Annotated[
        float | None, typer.Option("--for", min=0.0, metavar="SECONDS", help="End after that time.")
    ] = None,
    answers: Annotated[
        list[str] | None,
        typer.Option(
            "--answer",
            metavar="VERB:NOUN=FILE",
            help="Answer these requests OK, with the payload in FILE, or without one where nothing follows the =. "
            "May be repeated.",
        ),
    ] = None,
    is_json: _party.Json = False,
    metrics_port: _party.MetricsPort = None,
    metrics_host: _party.MetricsHost = LOOPBACK,
    password_file: _party.PasswordFile = None,
    ca_file: _party.CaFile = None,
    certificate_file: _party.CertificateFile = None,
    key_file: _party.KeyFile = None,
) -> None:
    """Show the events, requests and presence that come to a party, as they come, until interrupted.

    Requests are refused with 5.2 unless --answer has them: nothing is ever answered OK that nobody did.

    Exits 0; 1 where fewer than --count came in the time of --for, or the connection ended for good; else 2.

    Examples:

      iec62746 listen --domain battery.toml --as battery --url amqp://broker --node price.#

      iec62746 listen --domain battery.toml --as battery --url amqp://broker --answer get:MeterReadings=reading.xml

      iec62746 listen --domain north.toml --as grid-operator --url amqp://broker --json --count 1 --for 60
    """
    with _party.ending("listen"):
        loaded = Domain.load(domain)
        tls = _party.tls(url, ca_file, certificate_file, key_file)
        party = _party.participant(loaded, name, url, password_file, tls)
        _check_nouns(loaded, nouns or [])
        listener = Listener(party, Printer(is_json), frozenset(nouns or ()), count)
        listener.on_requests(_answers(answers or [], loaded))
        listener.on_events(nodes or [])
        with _party.serving(metrics_port, metrics_host) as watch:
            watch(party)
            is_enough = asyncio.run(listener.listen(_party.shown(url), seconds))
    raise typer.Exit(0 if is_enough else 1)


def _check_nouns(domain: Domain, nouns: list[str]) -> None:
    for noun in nouns:
        _party.demand_noun(noun, domain)


def _answers(given: list[str], domain: Domain) -> Answers:
    answers: dict[tuple[str, str], Payload | None] = {}
    for one in given:
        what, sign, file = one.partition("=")
        verb, colon, noun = what.partition(":")
        if not (sign and colon and noun):
            raise Unusable(f"--answer {one!r} is no VERB:NOUN=FILE: write it as in get:MeterReadings=reading.xml")
        _party.demand_verb(verb, REQUEST_VERBS, "a request")
        _party.demand_noun(noun, domain)
        answers[verb, noun] = _party.payload_of(file or None, domain)
    return answers


class Listener:
    """One party that shows what it hears."""

    def __init__(self, party: Participant, printer: Printer, nouns: frozenset[str], count: int | None) -> None:
        """Prepare to show what is about `nouns`, or everything, until `count` have come."""
        self._party, self._printer, self._nouns, self._left = party, printer, nouns, count
        self._enough = asyncio.Event()
        self._heard: list[str] = []
        party.on_presence(self._presence)
        party.on_connected(self._connected)
        party.on_lost(self._lost)

    # ---------------------------------------------------------------- what it listens to

    def on_events(self, patterns: list[str]) -> None:
        """Take the events on the nodes that fit; raises `InvalidAddress` where none does, if they are named."""
        domain, party = self._party.domain, self._party
        if party.party == domain.vtn:
            if patterns:
                raise Unusable(f"{party.party} is the VTN, which publishes on nodes: --node is for a VEN")
            party.on_event()(self._event)
            self._heard.append(f"events of VENs{self._about()}")
            return
        allowed = domain.nodes_for(party.party)
        fitting = {node for pattern in patterns for node in domain.expand(pattern)} if patterns else set(domain.nodes)
        nodes = [one for one in allowed if one in fitting and self._is_noun_of(one)]
        if patterns and not nodes:
            may = ", ".join(allowed) or "no node"
            raise Unusable(f"no node fits {', '.join(patterns)}{self._about()}: {party.party} may subscribe to {may}")
        for node in nodes:
            party.on_event(node=node)(self._event)
        self._heard.extend(f"events on {node}{self._about()}" for node in nodes)

    def _is_noun_of(self, node: str) -> bool:
        return not self._nouns or not self._nouns.isdisjoint(self._party.domain.nodes[node].nouns)

    def _about(self) -> str:
        return f" about {', '.join(sorted(self._nouns))}" if self._nouns else ""

    def on_requests(self, answers: Answers) -> None:
        """Take every request that we may be sent; raises `Unusable` for an answer to one that we may not."""
        asked = dict.fromkeys(_served(self._party.domain, self._party.party))
        for verb, noun in answers.keys() - asked.keys():
            raise Unusable(f"nobody may ask {self._party.party} to {verb} {noun}: the domain file has no role for it")
        for verb, noun in asked:
            if not self._nouns or noun in self._nouns:
                self._party.on_request(verb, noun)(self._answering(answers, verb, noun))
                is_answered = (verb, noun) in answers
                self._heard.append(f"requests {verb} {noun}{', answered' if is_answered else ''}")

    def _answering(self, answers: Answers, verb: str, noun: str) -> Handler:
        is_answered = (verb, noun) in answers

        async def answer(request: Message) -> Payload | None:
            if not self._is_wanted():
                raise Refused("5.1", "closing")
            self._printer.message("request", request, answered=is_answered)
            self._count()
            if not is_answered:
                raise Refused("5.2", _UNANSWERED)
            return answers[verb, noun]

        return answer

    # ---------------------------------------------------------------- what it hears

    async def _event(self, event: Message) -> None:
        if self._is_wanted() and (not self._nouns or event.noun in self._nouns):
            self._printer.message("event", event)
            self._count()

    async def _presence(self, now: PartyPresence) -> None:
        self._printer.presence(now)
        self._look()

    async def _connected(self) -> None:
        self._printer.show("connected", "connected")
        self._look()

    async def _lost(self, cause: Iec62746Error) -> None:
        text = _party.explained(cause)
        self._printer.show("lost", f"lost: {text}", {"error": type(cause).__name__, "reason": str(cause)})
        self._look()

    def _is_wanted(self) -> bool:
        return self._left is None or self._left > 0

    def _count(self) -> None:
        if self._left is not None:
            self._left -= 1
        self._look()

    def _look(self) -> None:
        if not self._is_wanted() or self._printer.is_deaf:
            self._enough.set()

    # ---------------------------------------------------------------- from beginning to end

    async def listen(self, where: str, seconds: float | None) -> bool:
        """Connect and show until there is enough; returns whether that was so, or we were interrupted."""
        party = self._party
        fields = {"party": party.party, "domain": party.domain.name, "url": where, "to": self._heard}
        text = f"{party.party} listens in the domain {party.domain.name} at {where}: {'; '.join(self._heard)}; presence"
        self._printer.show("listening", text, fields)
        with interruptible() as signals:
            async with party:
                await self._until_enough(seconds)
        return bool(signals) or self._printer.is_deaf or not self._left

    async def _until_enough(self, seconds: float | None) -> None:
        closed = asyncio.ensure_future(self._party.closed())
        enough = asyncio.ensure_future(self._enough.wait())
        try:
            await asyncio.wait({closed, enough}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            if closed.done():
                closed.result()
        finally:
            closed.cancel()
            enough.cancel()
            await asyncio.gather(closed, enough, return_exceptions=True)


def _served(domain: Domain, name: str) -> Iterator[tuple[str, str]]:
    """Yield verb and noun of each request that the domain file lets others send to the party."""
    is_vtn = name == domain.vtn
    for role in domain.roles.values():
        if is_vtn or role.name in domain.party(name).roles:
            for verb, nouns in (role.request if is_vtn else role.serve).items():
                yield from ((verb, noun) for noun in nouns)
