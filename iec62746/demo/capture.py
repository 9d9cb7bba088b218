"""A transport around another one: it shows every body that goes on the wire."""

from collections.abc import Callable

from iec62746.address import Address
from iec62746.transport import (
    Capabilities,
    Config,
    Deliver,
    Observer,
    Outgoing,
    Receipt,
    ReplyTo,
    Session,
    Subscription,
    Transport,
)

Show = Callable[[bytes], None]


class CapturingTransport:
    """`inner`, with every body that is sent given to `show` first."""

    def __init__(self, inner: Transport, show: Show) -> None:
        """Put `show` in front of `inner`."""
        self._inner, self._show = inner, show

    def capabilities(self, url: str) -> Capabilities:
        """Return what `inner` promises."""
        return self._inner.capabilities(url)

    async def open(self, config: Config, observer: Observer) -> Session:
        """Open a session of `inner`."""
        return _CapturingSession(await self._inner.open(config, observer), self._show)


class _CapturingSession:
    def __init__(self, inner: Session, show: Show) -> None:
        self._inner, self._show = inner, show

    async def send(self, to: Address | ReplyTo, message: Outgoing) -> Receipt:
        self._show(message.body)
        return await self._inner.send(to, message)

    async def subscribe(self, address: Address, deliver: Deliver) -> Subscription:
        return await self._inner.subscribe(address, deliver)

    async def aclose(self) -> None:
        await self._inner.aclose()
