"""Where the runs of a study are trained, by name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tutelage.errors import UserError, unknown
from tutelage.execution.listener import Listener
from tutelage.execution.workers import Engine, make_workers

if TYPE_CHECKING:  # what trains is imported where runs are planned
    from tutelage.execution.run import Plan

__all__ = ["engine_of"]


ENGINES = ("local", "ray", "slurm")


def engine_of(name: str, planned: Plan, listener: Listener, sbatch: Sequence[str] = ()) -> Engine:
    """Return an engine, after the work that it does differently from this machine alone.

    Args:
        name: ``local``, processes of this machine; ``ray``, workers of a Ray cluster, which also make the
            representations; ``slurm``, jobs of a Slurm cluster.
        planned: what will be carried out.
        listener: who is told.
        sbatch: options of jobs, with ``slurm``.

    Raises:
        UserError: there is no such engine, what it needs is not installed, or an option is wrong.
    """
    if name not in ENGINES:
        raise unknown("--engine", "engine", name, ENGINES)
    if sbatch and name != "slurm":
        raise UserError(f"--sbatch: found with --engine {name}; allowed: with --engine slurm")
    if name == "local":
        return make_workers
    if name == "slurm":
        from tutelage.execution.slurm_engine import slurm_engine
        from tutelage.execution.slurm_options import read_options

        return slurm_engine(read_options(sbatch))
    from tutelage.execution.ray_data import represent_missing
    from tutelage.execution.ray_engine import ray_workers

    represent_missing(planned, listener)
    return ray_workers
