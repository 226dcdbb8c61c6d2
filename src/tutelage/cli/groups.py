"""Groups of commands that answer a mistake with one sentence."""

import errno
from typing import Any

import typer
from typer.core import TyperGroup

from tutelage.errors import UserError, system_sentence

__all__ = ["AskingGroup", "SentenceGroup", "WholeGroup"]


class SentenceGroup(TyperGroup):
    """Shows a user's mistake, or what the file system refuses, as one sentence and exit code 2.

    An interruption is exit code 130.
    """

    stopped = "the same command goes on from the last finished epoch"

    def invoke(self, ctx: Any) -> Any:
        """Carry out the command."""
        try:
            return super().invoke(ctx)
        except UserError as error:
            sentence = str(error)
        except OSError as error:
            if error.errno == errno.EPIPE:  # whoever read the output has had enough
                raise
            sentence = system_sentence(error)
        except KeyboardInterrupt:
            typer.echo(f"stopped; {self.stopped}", err=True)
            raise typer.Exit(130) from None
        typer.echo(f"error: {sentence}", err=True)
        raise typer.Exit(2)


class AskingGroup(SentenceGroup):
    """Commands that ask a language model."""

    stopped = "answers in the file of answers, if one was named, are kept"


class WholeGroup(SentenceGroup):
    """All commands, listed in the order in which a person meets them."""

    order = (
        "new", "recipes", "data", "check", "run", "report", "study", "serve", "track", "explain", "look",
        "ship", "predict", "stream", "concepts", "encoders", "list", "schema", "cache", "doctor",
    )  # fmt: skip

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names of the commands; one that nobody has placed comes last."""
        known = {name: place for place, name in enumerate(self.order)}
        return sorted(super().list_commands(ctx), key=lambda name: known.get(name, len(known)))
