"""The command line."""

from tutelage.cli.root import app, main

__all__ = ["app", "main"]
