"""Where the runs of a study are trained, by name."""

from tutelage.errors import unknown
from tutelage.execution.listener import Listener
from tutelage.execution.run import Plan
from tutelage.execution.workers import Engine, make_workers

__all__ = ["engine_of"]


def engine_of(name: str, planned: Plan, listener: Listener) -> Engine:
    """Return an engine, after the work that it does differently from this machine alone.

    Args:
        name: ``local``, processes of this machine; ``ray``, workers of a Ray cluster, which also make the
            representations.
        planned: what will be carried out.
        listener: who is told.

    Raises:
        UserError: there is no such engine, or Ray is not installed.
    """
    if name == "local":
        return make_workers
    if name != "ray":
        raise unknown("--engine", "engine", name, ("local", "ray"))
    from tutelage.execution.ray_data import represent_missing
    from tutelage.execution.ray_engine import ray_workers

    represent_missing(planned, listener)
    return ray_workers
