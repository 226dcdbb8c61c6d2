"""What a job of a Slurm cluster asks for, in the words of ``sbatch``."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tutelage.errors import UserError, quoted

__all__ = ["JobOptions", "read_options"]

_NAME = re.compile(r"[a-z][a-z-]*")
_OWN = {
    "array", "error", "no-requeue", "nodes", "ntasks", "ntasks-per-node", "open-mode", "output", "parsable",
    "requeue", "signal", "test-only", "wrap",
}  # fmt: skip
_TIME = re.compile(r"(?:(\d+)-)?(\d+)(?::(\d+))?(?::(\d+))?")
_LEAST = 5  # minutes: a job is told 90 s before its time is over, and Slurm counts in minutes


@dataclass(frozen=True)
class JobOptions:
    """What every job of a command asks for.

    Args:
        parameters: of submitit's ``SlurmExecutor``.
        threads: for tensors, of each job.
    """

    parameters: Mapping[str, Any]
    threads: int


def read_options(given: Sequence[str]) -> JobOptions:
    """Read options of ``sbatch``; unless told, a job has one core for an hour and goes on in another one.

    Args:
        given: each ``name=value``, or ``name`` for an option without a value: ``partition=gpu``, ``exclusive``.

    Raises:
        UserError: one is no such option, or is not the user's to set.
    """
    asked: dict[str, Any] = {"cpus-per-task": "1", "time": "60", "requeue": True, "ntasks": 1}
    for text in given:
        name, equals, value = text.partition("=")
        if not _NAME.fullmatch(name) or (equals and not value) or not value.isprintable():
            raise UserError(
                f"--sbatch: found {quoted(text)}; allowed: an option of sbatch such as partition=gpu or exclusive"
            )
        if name in _OWN:
            raise UserError(
                f"--sbatch {name}: Tutelage sets it itself; allowed: any other option of sbatch"
            )
        asked[name] = value if equals else True
    minutes, cores = _minutes(asked.pop("time")), str(asked["cpus-per-task"])
    if not cores.isdecimal() or int(cores) < 1:
        raise UserError(f"--sbatch cpus-per-task: found {quoted(cores)}; allowed: 1 or more")
    return JobOptions(
        {
            "job_name": asked.pop("job-name", "tutelage"),
            "time": minutes,
            "wckey": None,  # submitit would name itself, which a cluster may refuse
            "additional_parameters": asked,
            # Since Slurm 22.05 srun does not take this from sbatch.
            "srun_args": [f"--cpus-per-task={cores}"],
        },
        int(cores),
    )


def _minutes(text: object) -> int:
    """Return the minutes of a time as Slurm writes it, rounded up."""
    found = _TIME.fullmatch(str(text))
    if found is None:
        raise UserError(
            f"--sbatch time: found {quoted(text)}; allowed: minutes, H:MM:SS or D-HH:MM:SS"
        )
    days, first, second, third = (int(part or 0) for part in found.groups())
    if found[1] is not None:  # D-HH, D-HH:MM, D-HH:MM:SS
        seconds = 86400 * days + 3600 * first + 60 * second + third
    elif found[4] is not None:  # HH:MM:SS
        seconds = 3600 * first + 60 * second + third
    else:  # MM, MM:SS
        seconds = 60 * first + second
    if seconds < 60 * _LEAST:
        raise UserError(f"--sbatch time: found {quoted(text)}; allowed: {_LEAST} minutes or more")
    return -(-seconds // 60)
