"""Who is alive, where the communication server does not notice: each session says so, and the others believe it."""

from collections.abc import Callable
from typing import Protocol


class Leases(Protocol):
    """The leases of one domain, as one session sees them; used by one thread."""

    def take(self) -> None:
        """Be alive from now on."""
        ...

    def renew(self) -> bool:
        """Be alive for as long again; False if the lease was gone."""
        ...

    def drop(self) -> None:
        """Be dead."""
        ...

    def may_sweep(self) -> bool:
        """Return whether it is this session's turn to remove the dead: one in the domain does, each third lease."""
        ...

    def living(self, owners: set[str]) -> set[str]:
        """Return those of `owners` that are alive."""
        ...

    def sweep(self, owner_of: Callable[[str], str | None]) -> None:
        """Remove what was written to queues of the dead while their bindings were removed."""
        ...
