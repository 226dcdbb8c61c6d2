"""The command line."""

__all__ = ["main"]


def main() -> None:
    """Entry point of the ``tutelage`` command."""
    from tutelage.cli.root import app
    from tutelage.execution.threads import rest_when_idle

    rest_when_idle()  # before torch is imported
    app(prog_name="tutelage")
