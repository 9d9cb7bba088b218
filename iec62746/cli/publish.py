"""`iec62746 publish`: send one event."""

import asyncio
from typing import Annotated

import typer

from iec62746.cli import _party
from iec62746.cli._party import Unusable
from iec62746.domain import Domain
from iec62746.message import EVENT_VERBS, Kind, Message
from iec62746.participant import Participant
from iec62746.policy import Policy


def publish(
    noun: Annotated[str, typer.Argument(metavar="NOUN", help="What it is about, such as MarketPrices.")],
    domain: _party.DomainFile,
    name: _party.Name,
    url: _party.Urls,
    node: Annotated[str | None, typer.Option(help="Where the VTN publishes it; a VEN's event goes to the VTN.")] = None,
    verb: Annotated[str, typer.Option(help="created, changed, canceled, closed, deleted or executed.")] = "created",
    file: _party.PayloadFile = None,
    password_file: _party.PasswordFile = None,
    ca_file: _party.CaFile = None,
    certificate_file: _party.CertificateFile = None,
    key_file: _party.KeyFile = None,
) -> None:
    """Send an event: the VTN on a node, to all who subscribed; a VEN to the VTN.

    Exits 0 where it was sent, which does not say that anybody heard it; 1 where not; 2 where it cannot be made.

    Examples:

      iec62746 publish MarketPrices --node price.north --payload price.xml --domain north.toml --as grid-operator
      --url amqp://broker

      read-meter | iec62746 publish MeterReadings --domain battery.toml --as battery --url amqp://broker --payload -
    """
    with _party.ending("publish"):
        loaded = Domain.load(domain)
        _check(loaded, name, noun, verb, node)
        template = Message(kind=Kind.EVENT, verb=verb, noun=noun, payload=_party.payload_of(file, loaded))
        tls = _party.tls(url, ca_file, certificate_file, key_file)
        party = _party.participant(loaded, name, url, password_file, tls)
        asyncio.run(_send(party, template, node))
    print(f"{verb} {noun} was sent to {f'the node {node}' if node else loaded.vtn}")


def _check(domain: Domain, name: str, noun: str, verb: str, node: str | None) -> None:
    """Raise what is wrong with the event, before anything is opened."""
    domain.party(name)
    _party.demand_verb(verb, EVENT_VERBS, "an event")
    if name == domain.vtn and node is None:
        raise Unusable(f"{name} is the VTN: say on which node it publishes, with --node")
    _party.demand_noun(noun, domain)
    _party.demand(Policy(domain).may_publish(name, noun, node), domain)


async def _send(party: Participant, template: Message, node: str | None) -> None:
    async with party:
        await party.publish_message(template, node=node)
