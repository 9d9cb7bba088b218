"""The root of the command line."""

import logging
from typing import Annotated

import typer

from iec62746._version import __version__
from iec62746.cli import demo, domain, listen, profile, provision, publish, request, transport, validate

app = typer.Typer(
    name="iec62746",
    help="IEC TS 62746-3: grid operators, aggregators and customers' devices talk by IEC 61968-100 messages.",
    epilog="Begin with: iec62746 demo",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.command()(demo.demo)
app.command()(validate.validate)
app.command()(request.request)
app.command()(publish.publish)
app.command()(listen.listen)
domain.app.command()(provision.provision)
app.add_typer(domain.app, name="domain", help="Look into a communication domain's file.")
app.add_typer(profile.app, name="profile", help="Payload profiles: of your own schemas, and those installed.")
app.add_typer(transport.app, name="transport", help="See which transports are installed.")


def _version(is_asked: bool) -> None:
    if is_asked:
        typer.echo(f"iec62746 {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Say which version this is.")
    ] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log what was dropped, refused or lost.")] = False,
) -> None:
    handler = logging.StreamHandler()
    if not verbose:
        handler.addFilter(_is_shown)
    level = logging.INFO if verbose else logging.WARNING
    logging.basicConfig(level=level, handlers=[handler], format="%(levelname)s %(name)s: %(message)s")


def _is_shown(record: logging.LogRecord) -> bool:
    """Return whether it is for who did not ask for more: what is broken, and why there is no connection yet."""
    # What a transport's library complains of comes as an error of ours, with what to do: once is enough.
    is_ours = record.name.partition(".")[0] == "iec62746"
    return is_ours and (record.levelno >= logging.ERROR or record.name == "iec62746.connection")


def main() -> None:
    """Run the command line."""
    app()
