"""The transport of nats://: what it promises for a URL, and how a session is opened."""

from urllib.parse import urlsplit

from iec62746 import (
    AccessControl,
    Capabilities,
    Config,
    InvalidAddress,
    MissingCapability,
    Observer,
    Proof,
    ReceiptLevel,
    Unroutable,
)

from iec62746_nats.session import MAX_MESSAGE, NatsSession


class NatsTransport:
    """Found by the scheme of a URL; made without arguments, and has no state."""

    def capabilities(self, url: str) -> Capabilities:
        """Return what is promised for `url`, without any I/O; raise `InvalidAddress` for a wrong one, and say why.

        Promise what the kit has seen: each capability has rules that prove it, and a domain may demand it.
        """
        has_accounts = _has_accounts(url)
        return Capabilities(
            receipt=ReceiptLevel.ROUTED,
            unroutable=Unroutable.DESTINATION,
            proof=Proof.BROKER if has_accounts else Proof.CLAIMED,
            access_control=AccessControl.NODE if has_accounts else AccessControl.NONE,
            keeps_order=True,
            stores_for_vtn=0.0,
            stores_for_vens=0.0,
            max_message=MAX_MESSAGE,
        )

    async def open(self, config: Config, observer: Observer) -> NatsSession:
        """Return a session at the first of `config.urls` that is ready: what it sends arrives.

        Raises `Unreachable`, which is worth another try, `AuthenticationFailed` or `PermissionDenied`, which are not.
        Tries once: trying again is the core's. It may be cancelled at any moment, and leaves nothing behind then.
        """
        if config.tls is not None:
            raise MissingCapability("nats-py encrypts only if the server asks for it, so TLS is not promised: leave it")
        session = NatsSession(config, observer, self.capabilities(config.urls[0]).proof)
        try:
            await session.attach()
        except BaseException:
            await session.aclose()
            raise
        return session


def _has_accounts(url: str) -> bool:
    parts = urlsplit(url)
    if not parts.hostname or parts.path not in ("", "/") or parts.fragment:
        raise InvalidAddress("a NATS URL has a host, and no path: write nats://HOST or nats://HOST:4222?accounts=true")
    if parts.query not in ("", "accounts=true"):
        raise InvalidAddress(f"nats://{parts.hostname} knows the query accounts=true, not {parts.query}")
    return bool(parts.query)
