"""The virtual top node: coordinates the VENs of its domain (62746-3, 3.1.17)."""

import ssl
from collections.abc import Iterable, Mapping
from pathlib import Path

from iec62746.domain import Domain
from iec62746.message import ID, Option
from iec62746.participant import Participant, PayloadLike, event
from iec62746.reply import Reply
from iec62746.transport import Transport


class VirtualTopNode(Participant):
    """The VTN of a domain; arguments as for `Participant`, the party is the domain's `vtn`."""

    def __init__(
        self,
        domain: Domain | str | Path,
        urls: str | Iterable[str],
        *,
        password: str | None = None,
        tls: ssl.SSLContext | None = None,
        transport: Transport | None = None,
    ) -> None:
        """Prepare; nothing is opened yet."""
        loaded = domain if isinstance(domain, Domain) else Domain.load(domain)
        super().__init__(loaded, urls, loaded.vtn, password=password, tls=tls, transport=transport)

    async def request(
        self,
        verb: str,
        noun: str,
        payload: PayloadLike | None = None,
        *,
        to: str,
        ids: Iterable[ID | str] = (),
        options: Iterable[Option] | Mapping[str, str] = (),
        timeout: float | None = None,  # noqa: ASYNC109  # the caller's patience; the exchange keeps it
    ) -> Reply:
        """Ask the VEN `to`, and return its Reply, OK or PARTIAL (62746-3, 5.5.2 and 5.5.3).

        `timeout` in seconds (None: `real_time`). Raises `RequestFailed` with the Reply for FAILED, `NoReply` past the
        timeout, `NoReceiver` if the VEN is absent and the transport can tell, `PermissionDenied`, `InvalidMessage`.
        """
        return await self._ask(verb, noun, payload, to, ids, options, timeout)

    async def publish(self, noun: str, payload: PayloadLike | None = None, *, node: str, verb: str = "created") -> None:
        """Publish an event on `node`, to the VENs that subscribed; none is no error (62746-3, 5.5.4 and 5.6).

        Raises `PermissionDenied` if the domain does not define the node or the noun on it, `InvalidMessage`.
        """
        await self.publish_message(event(verb, noun, payload), node=node)
