"""What an entry point of somebody's distribution is, whatever it offers."""

from dataclasses import dataclass
from importlib import metadata


@dataclass(frozen=True, slots=True, kw_only=True)
class Plugin:
    """One installed plugin: its name, where it comes from, and why it cannot be used, if so."""

    name: str
    distribution: str
    version: str
    module: str
    error: str = ""

    @classmethod
    def of(cls, entry: metadata.EntryPoint, error: str = "") -> "Plugin":
        """Return what stands at `entry`."""
        return cls(
            name=entry.name,
            distribution=distribution(entry),
            version=entry.dist.version if entry.dist else "?",
            module=entry.value.partition(":")[0].strip(),
            error=error,
        )


def entries(group: str) -> list[metadata.EntryPoint]:
    """Return each entry point of `group` once, though its distribution may be found twice on the path."""
    unique = {(entry.name, entry.value, distribution(entry)): entry for entry in metadata.entry_points(group=group)}
    return sorted(unique.values(), key=lambda entry: (entry.name, distribution(entry)))


def distribution(entry: metadata.EntryPoint) -> str:
    """Return the distribution that `entry` belongs to."""
    return entry.dist.name if entry.dist else "?"


def claimed(what: str, claims: list[metadata.EntryPoint]) -> str:
    """Return why `what` cannot be used: more than one claims it."""
    who = sorted({distribution(entry) for entry in claims})
    if len(who) == 1:
        return f"{what} is claimed twice by {who[0]}: report it to its authors"
    return f"{what} is claimed by {' and '.join(who)}: uninstall all of them but one"
