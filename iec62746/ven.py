"""A virtual end node: consumes and produces messages of its VTN (62746-3, 3.1.15)."""

import ssl
from collections.abc import Iterable, Mapping
from pathlib import Path

from iec62746.domain import Domain
from iec62746.errors import InvalidAddress
from iec62746.message import ID, Option
from iec62746.participant import Participant, PayloadLike, event
from iec62746.reply import Reply
from iec62746.transport import Transport


class VirtualEndNode(Participant):
    """A VEN of a domain; arguments as for `Participant`.

    `party` may be left out where the file has one VEN, as `iec62746 domain extract` writes it.
    """

    def __init__(
        self,
        domain: Domain | str | Path,
        urls: str | Iterable[str],
        party: str | None = None,
        *,
        password: str | None = None,
        tls: ssl.SSLContext | None = None,
        transport: Transport | None = None,
    ) -> None:
        """Prepare; nothing is opened yet."""
        loaded = domain if isinstance(domain, Domain) else Domain.load(domain)
        if party == loaded.vtn:
            raise InvalidAddress(f"{party} is the VTN of domain {loaded.name}: use VirtualTopNode")
        super().__init__(loaded, urls, party or _only_ven(loaded), password=password, tls=tls, transport=transport)

    async def request(
        self,
        verb: str,
        noun: str,
        payload: PayloadLike | None = None,
        *,
        ids: Iterable[ID | str] = (),
        options: Iterable[Option] | Mapping[str, str] = (),
        timeout: float | None = None,  # noqa: ASYNC109  # the caller's patience; the exchange keeps it
    ) -> Reply:
        """Ask the VTN, and return its Reply, OK or PARTIAL (62746-3, 5.5.2 and 5.5.3).

        `timeout` in seconds (None: `real_time`). Raises `RequestFailed` with the Reply for FAILED, `NoReply` past the
        timeout, `NoReceiver` if the VTN is absent and the transport can tell, `PermissionDenied`, `InvalidMessage`.
        """
        return await self._ask(verb, noun, payload, self.domain.vtn, ids, options, timeout)

    async def publish(self, noun: str, payload: PayloadLike | None = None, *, verb: str = "created") -> None:
        """Send an event to the VTN (62746-3, 5.5.4); raises `PermissionDenied`, `NoReceiver`, `InvalidMessage`."""
        await self.publish_message(event(verb, noun, payload))


def _only_ven(domain: Domain) -> str:
    vens = [party for party in domain.parties if party != domain.vtn]
    if len(vens) != 1:
        raise InvalidAddress(f"{domain.file or 'the domain'} has {len(vens)} VENs: say which one, with party=…")
    return vens[0]
