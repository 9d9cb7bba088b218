"""`iec62746 domain provision`: prepare a communication server for a domain."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from iec62746.domain import Domain
from iec62746.errors import Iec62746Error
from iec62746.provisioning import Difference, provisioner

_Result = TypeVar("_Result")


def provision(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The domain file, such as north.toml.")],
    rabbitmq: Annotated[bool, typer.Option("--rabbitmq", help="For RabbitMQ.")] = False,
    apply: Annotated[
        str | None, typer.Option(metavar="URL", help="Load them through the management API, http://ADMIN@HOST:15672.")
    ] = None,
    diff: Annotated[str | None, typer.Option(metavar="URL", help="Say what differs there, and change nothing.")] = None,
    passwords: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help='Lines like ven-1 = "…", mode 0600; what it lacks is added, at random.'),
    ] = None,
    administrator: Annotated[
        str | None, typer.Option(metavar="ACCOUNT", help="An administrator more, with a password of --passwords.")
    ] = None,
    events: Annotated[
        str | None,
        typer.Option(metavar="ACCOUNT", help="An account more, that reads who comes and goes: for ?events=URL."),
    ] = None,
    prune: Annotated[bool, typer.Option("--prune", help="With --apply: delete what is not in FILE.")] = False,
    recreate: Annotated[
        bool, typer.Option("--recreate", help="With --apply: make anew what cannot be changed; it loses its bindings.")
    ] = False,
) -> None:
    """Print the accounts, rights and addresses that the communication server needs, or bring it to them.

    The administrator's password is not written in the URL but stands in the environment: IEC62746_ADMIN_PASSWORD_FILE
    names a file with it, or IEC62746_ADMIN_PASSWORD is it. Passwords are never printed: definitions hold salted hashes,
    of accounts without one nothing, which leaves them their certificate. Exits 1 where something differs that was
    asked to be alike, and 2 where --diff could not tell.

    Example: iec62746 domain provision north.toml --rabbitmq --passwords north.passwords > definitions.json

    Example: iec62746 domain provision north.toml --rabbitmq --passwords north.passwords --apply https://admin@broker

    Example: iec62746 domain provision north.toml --rabbitmq --diff https://admin@broker
    """
    if not rabbitmq:
        raise typer.BadParameter("say for which communication server: --rabbitmq", param_hint="--rabbitmq")
    if apply is not None and diff is not None:
        raise typer.BadParameter("either --apply or --diff", param_hint="--diff")
    if (prune or recreate) and apply is None:
        raise typer.BadParameter("goes with --apply", param_hint="--prune" if prune else "--recreate")
    if administrator is not None and passwords is None:
        raise typer.BadParameter("goes with --passwords: an administrator has one", param_hint="--administrator")
    if events is not None and passwords is None:
        raise typer.BadParameter("goes with --passwords: its URL holds one", param_hint="--events")
    status = 2 if diff is not None else 1
    domain = _or_exit(status, lambda: Domain.load(file))
    by = _or_exit(status, lambda: provisioner("rabbitmq"))
    if diff is not None:
        differs = _or_exit(
            2, lambda: by.compare(domain, diff, passwords=passwords, administrator=administrator, events=events)
        )
        _show(differs)
        raise typer.Exit(1 if differs else 0)
    if apply is None:
        typer.echo(
            _or_exit(
                1, lambda: by.definitions(domain, passwords=passwords, administrator=administrator, events=events)
            ),
            nl=False,
        )
        return
    done, left = _or_exit(
        1,
        lambda: by.apply(
            domain,
            apply,
            passwords=passwords,
            administrator=administrator,
            events=events,
            prune=prune,
            recreate=recreate,
        ),
    )
    _show(done)
    _told(done, left)


def _show(differences: Iterable[Difference]) -> None:
    for one in differences:
        typer.echo(str(one))


def _told(done: Iterable[Difference], left: Iterable[Difference]) -> None:
    """Say what was not done, and which option does it; end with 1 where the domain does not work without it."""
    if not [*done, *left]:
        typer.echo("nothing to change")
    for one in left:
        option = "--recreate makes it anew" if one.sign == "!" else "--prune deletes it"
        typer.echo(f"left as it is, {option}: {one}", err=True)
    if any(one.sign != "-" for one in left):
        raise typer.Exit(1)


def _or_exit(code: int, work: Callable[[], _Result]) -> _Result:
    """Return what `work` returns, or end with `code` and one line on standard error."""
    try:
        return work()
    except Iec62746Error as exc:
        typer.echo(str(exc), err=True)
        raise typer.Exit(code) from exc
