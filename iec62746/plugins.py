"""Finds the installed transports and profiles by their entry points."""

from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata

from iec62746.errors import UnknownTransport
from iec62746.transport import Transport

TRANSPORTS = "iec62746.transports"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plugin:
    """One installed plugin: its name, where it comes from, and why it cannot be loaded, if so."""

    name: str
    distribution: str
    version: str
    module: str
    error: str = ""


def scheme_of(url: str) -> str:
    """Return the scheme of `url` up to the first `+`; raises `UnknownTransport` if it has none."""
    scheme, colon, _ = url.partition("://")
    if not colon or not scheme:
        raise UnknownTransport(f"{_without_password(url)!r} is no transport URL: write it like memory://north or amqp://host")
    return scheme.partition("+")[0].lower()


def _without_password(url: str) -> str:
    before, at, after = url.rpartition("@")
    return f"…@{after}" if at and before else url


def transport(url: str) -> Transport:
    """Return the transport for the scheme of `url`.

    Raises `UnknownTransport` if no installed distribution has it, if several claim it, or if it cannot be imported.
    """
    scheme = scheme_of(url)
    found = [entry for entry in metadata.entry_points(group=TRANSPORTS) if entry.name == scheme]
    if not found:
        known = ", ".join(sorted({entry.name for entry in metadata.entry_points(group=TRANSPORTS)})) or "none"
        raise UnknownTransport(f"no transport for {scheme}:// is installed (installed: {known}): pip install 'iec62746[{scheme}]'")
    if len({(_distribution(entry), entry.value) for entry in found}) > 1:
        who = " and ".join(sorted({_distribution(entry) for entry in found}))
        raise UnknownTransport(f"{scheme}:// is claimed by {who}: uninstall one of them")
    made: Transport = _load(found[0])()
    return made


def _load(entry: metadata.EntryPoint) -> type[Transport]:
    try:
        loaded: type[Transport] = entry.load()
    except ModuleNotFoundError as exc:
        # Only a module that is not the plugin's own is a missing extra.
        missing = (exc.name or "").partition(".")[0]
        if missing == entry.module.partition(".")[0]:
            raise UnknownTransport(f"transport {entry.name!r} of {_distribution(entry)} is broken: {exc}") from exc
        hint = f"pip install '{_distribution(entry)}[{entry.name}]'"
        raise UnknownTransport(f"transport {entry.name!r} needs {missing!r}: {hint}") from exc
    except (ImportError, AttributeError, SyntaxError) as exc:
        raise UnknownTransport(f"transport {entry.name!r} of {_distribution(entry)} is broken: {exc}") from exc
    return loaded


def _distribution(entry: metadata.EntryPoint) -> str:
    return entry.dist.name if entry.dist else "?"


def transports() -> Iterator[Plugin]:
    """Yield every installed transport; one that cannot be loaded says why and hurts no other."""
    for entry in sorted(metadata.entry_points(group=TRANSPORTS), key=lambda one: one.name):
        error = ""
        try:
            _load(entry)
        except UnknownTransport as exc:
            error = str(exc)
        version = entry.dist.version if entry.dist else "?"
        yield Plugin(name=entry.name, distribution=_distribution(entry), version=version, module=entry.module, error=error)
