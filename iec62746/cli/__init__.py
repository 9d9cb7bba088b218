"""The command line: one module a noun."""

from iec62746.cli.app import app, main

__all__ = ["app", "main"]
