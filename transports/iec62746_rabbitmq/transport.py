"""The transport of `amqp://` and `amqps://`: what it promises for which URL, and how a session is opened."""

import logging

from iec62746 import AccessControl, Capabilities, Config, Observer, Proof, ReceiptLevel, Unroutable
from iec62746_rabbitmq import _url
from iec62746_rabbitmq._events import Events
from iec62746_rabbitmq._fast import open_fast
from iec62746_rabbitmq._lane import Opener, open_plain
from iec62746_rabbitmq._session import MAX_MESSAGE, RabbitSession

log = logging.getLogger(__name__)

STORES_FOR_VTN = 15.0
"""Seconds for which a message to an absent VTN is kept: its inbox goes 10 s after its last consumer, a bit late."""
GONE_WITHIN = 15.0
"""Seconds in which the broker's events tell that a party is gone: 14.0 for a link that went dead, else at once."""

_LANES: dict[str, Opener] = {"plain": open_plain, "fast": open_fast}


class RabbitTransport:
    """RabbitMQ 3.10 and 4: `amqp://HOST/VHOST`, `amqps://…`; `?declare=true`, `?inbox=quorum`, `?events=URL`, `?lane=`.

    Provisioned, which is the default: accounts, exchanges and rights are made by `iec62746 domain provision`, and the
    broker proves who sent what. Open, by `?declare=true`: one login for all, for trials; a sender is who it says it is.
    AMQP 0-9-1 has no will: who ends without a word is missed by its heartbeats, or by `?events=URL` at once.
    """

    def capabilities(self, url: str) -> Capabilities:
        """Return what RabbitMQ promises for `url`; raises `InvalidAddress`."""
        place = _url.read(url)
        return Capabilities(
            receipt=ReceiptLevel.BROKER,
            unroutable=Unroutable.DESTINATION,
            proof=Proof.CLAIMED if place.is_open else Proof.BROKER,
            access_control=AccessControl.NONE if place.is_open else AccessControl.NODE,
            keeps_order=True,
            tells_blocked=True,
            tells_gone_within=GONE_WITHIN if place.events else None,
            stores_for_vtn=STORES_FOR_VTN,
            stores_for_vens=0.0,
            max_message=MAX_MESSAGE,
            is_encrypted=place.is_encrypted and (place.events is None or place.events.is_encrypted),
        )

    async def open(self, config: Config, observer: Observer) -> RabbitSession:
        """Open a session at the first URL; `config.will` is not published by anybody."""
        place = _url.read(config.urls[0])
        if place.is_open:
            log.warning(
                "%s: ?declare=true: exchanges are declared and anybody may say to be anybody; for trials only",
                config.party,
            )
        target = _url.target(place, config, "session")
        session = RabbitSession(config, observer, user=target.user, is_open=place.is_open, inbox=place.inbox)
        try:
            await session.attach(await _LANES[place.lane](target, session))
            if place.events is not None:
                at = _url.events_target(place.events, config)
                events = Events(at, target.vhost, session.topology, session, session.gone)
                await events.open()
                session.closes(events.aclose)
        except BaseException:
            await session.aclose()
            raise
        return session
