"""What runs in a job of a Slurm cluster: one piece of work, which goes on after it was interrupted."""

import pickle
from base64 import b64encode
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from tutelage.errors import UserError
from tutelage.execution.data_cache import DataCache
from tutelage.execution.listener import Remote
from tutelage.execution.threads import fixed_threads
from tutelage.execution.worker import portable

__all__ = ["SlurmWork"]

_FRUITLESS = 3  # interruptions in a row without an epoch, after which the work has failed


class SlurmWork:
    """A piece of work as submitit stores it: plain data and a function of a module, which any machine can load.

    Args:
        work: the function.
        arguments: of it, before data and listener.
        home: root of data sets; None for the user's default.
        cache: root of representations.
        threads: for tensors.
        said: file that takes home what is said.
        fruitless: how often it was interrupted without having finished an epoch.
    """

    def __init__(
        self,
        work: Callable[..., Any],
        arguments: tuple[Any, ...],
        home: Path | None,
        cache: Path,
        threads: int,
        said: Path,
        fruitless: int = 0,
    ) -> None:
        self.given = (work, arguments, home, cache, threads, said)
        self.said = said
        self.fruitless = fruitless
        self._further = False

    def __call__(self) -> tuple[str, Any]:
        """Do the work; return ``result`` or ``error``, and what it is."""
        work, arguments, home, cache, threads, _ = self.given
        listener = Remote(self._say)
        try:
            kept = DataCache(home, cache, listener.progress)
            with fixed_threads(threads):
                return "result", work(*arguments, kept, listener)
        except Exception as error:
            return "error", portable(error)

    def checkpoint(self) -> Any:
        """Return what goes on when the job was preempted or its time is over: the same; run folders hold the rest.

        Submitit calls this in the middle of the work, which ends with what is raised here.

        Raises:
            UserError: it would come no further the next time.
        """
        from submitit.helpers import DelayedSubmission

        fruitless = 0 if self._further else self.fruitless + 1
        if fruitless >= _FRUITLESS:
            raise UserError(
                f"interrupted {_FRUITLESS} times before an epoch was done; "
                "allow more time for a job: --sbatch time=HH:MM:SS"
            )
        return DelayedSubmission(SlurmWork(*self.given, fruitless))

    def _say(self, message: tuple[str, Any]) -> None:
        if message[0] == "epoch":
            self._further = True
        line = b64encode(pickle.dumps(message)) + b"\n"
        # The command may be gone, and its folder with it; the run is worth its end all the same.
        with suppress(OSError), self.said.open("ab") as file:
            file.write(line)
