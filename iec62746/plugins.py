"""Finds the installed transports and profiles by their entry points."""

from collections.abc import Iterator
from importlib import metadata
from typing import cast

from iec62746._plugin import Plugin as Plugin
from iec62746._plugin import claimed, distribution, entries
from iec62746.errors import UnknownTransport
from iec62746.transport import Transport

TRANSPORTS = "iec62746.transports"
HARNESSES = "iec62746.harnesses"


def scheme_of(url: str) -> str:
    """Return the scheme of `url` up to the first `+`; raises `UnknownTransport` if it has none."""
    scheme, colon, _ = url.partition("://")
    name = scheme.partition("+")[0].lower()
    if not colon or not name:
        shown = repr(without_password(url))
        raise UnknownTransport(f"{shown} is no transport URL: write it like memory://north or amqp://host")
    return name


def without_password(url: str) -> str:
    """Return `url` as it may be shown: without user, password and query."""
    scheme, colon, rest = url.rpartition("://")
    before, at, after = rest.partition("?")[0].rpartition("@")
    return f"{scheme}{colon}{'…@' if before and at else at}{after}"


def transport(url: str) -> Transport:
    """Return the transport for the scheme of `url`.

    Raises `UnknownTransport` if no installed distribution has it, if several claim it, or if it cannot be loaded.
    """
    scheme = scheme_of(url)
    found = _claims(scheme)
    if not found:
        known = ", ".join(sorted({entry.name for entry in entries(TRANSPORTS)})) or "none"
        raise UnknownTransport(
            f"no transport for {scheme}:// is installed (installed: {known}): install the distribution that has it"
        )
    if len(found) > 1:
        raise UnknownTransport(claimed(f"{scheme}://", found))
    return _loaded(found[0])


def harness(url: str) -> object | None:
    """Return what lets the conformance kit test the transport of `url`, made for that URL; None if nobody has it.

    Raises `UnknownTransport` if it cannot be loaded, or if several claim the scheme.
    """
    scheme = scheme_of(url)
    found = [entry for entry in entries(HARNESSES) if entry.name.lower() == scheme]
    if len(found) > 1:
        raise UnknownTransport(claimed(f"the harness of {scheme}://", found))
    for entry in found:
        try:
            return cast(object, entry.load()(url))
        except Exception as exc:  # it is somebody else's code
            who = f"harness {entry.name!r} of {distribution(entry)}"
            raise UnknownTransport(f"{who} is broken: {type(exc).__name__}: {exc}") from exc
    return None


def transports() -> Iterator[Plugin]:
    """Yield every installed transport; one that cannot be used says why, and hurts no other."""
    for entry in entries(TRANSPORTS):
        claims = _claims(entry.name)
        yield Plugin.of(entry, claimed(f"{entry.name}://", claims) if len(claims) > 1 else _flaw(entry))


def _claims(scheme: str) -> list[metadata.EntryPoint]:
    return [entry for entry in entries(TRANSPORTS) if entry.name.lower() == scheme.lower()]


def _flaw(entry: metadata.EntryPoint) -> str:
    try:
        _loaded(entry)
    except UnknownTransport as exc:
        return str(exc)
    return ""


def _loaded(entry: metadata.EntryPoint) -> Transport:
    """Return the transport at `entry`; whatever is wrong with it becomes one error that names it."""
    who = f"transport {entry.name!r} of {distribution(entry)}"
    try:
        made: Transport = entry.load()()
    except ModuleNotFoundError as exc:
        missing = (exc.name or "").partition(".")[0]
        # Only a module that is not the plugin's own is a missing extra.
        if missing == entry.value.partition(":")[0].partition(".")[0].strip():
            raise UnknownTransport(f"{who} is broken: {exc}") from exc
        hint = f"pip install '{distribution(entry)}[{_extra(entry)}]'"
        raise UnknownTransport(f"{who} needs {missing!r}: {hint}") from exc
    except Exception as exc:  # it is somebody else's code
        raise UnknownTransport(f"{who} is broken: {type(exc).__name__}: {exc}") from exc
    absent = [name for name in ("capabilities", "open") if not callable(getattr(made, name, None))]
    if absent:
        raise UnknownTransport(f"{who} is broken: {type(made).__name__} has no {' and no '.join(absent)}")
    return made


def _extra(entry: metadata.EntryPoint) -> str:
    """Return the extra that brings what the transport needs: called as its scheme, or as the end of its package."""
    extras = entry.dist.metadata.get_all("Provides-Extra") or [] if entry.dist else []
    package = entry.value.partition(":")[0]
    return next((one for one in extras if one != entry.name and package.endswith(f"_{one}")), entry.name)
