"""The transport of `kombu+NAME://`: what it promises for which of kombu's transports, and how a session is opened."""

from iec62746 import Capabilities, Config, Observer
from iec62746_kombu import _url
from iec62746_kombu._session import KombuSession


class KombuTransport:
    """`kombu+redis://HOST/0`, `kombu+pyamqp://HOST/VHOST`, `kombu+filesystem:///FOLDER`, and kombu's others.

    A party is who it says it is, on each of them. kombu knows no loop: two threads do for each session what waits.
    """

    def capabilities(self, url: str) -> Capabilities:
        """Return what kombu's transport promises for `url`; raises `InvalidAddress`, `UnknownTransport`."""
        return _url.read(url).capabilities

    async def open(self, config: Config, observer: Observer) -> KombuSession:
        """Open a session at the first URL; `config.will` is not published by anybody."""
        place = _url.read(config.urls[0])
        _url.check(place, config.tls is not None)
        session = KombuSession(place, config, observer)
        try:
            await session.open()
        except BaseException:
            session.abandon()
            raise
        return session
