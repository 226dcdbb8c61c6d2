"""Which runs of a study could be trained in stacks, in sentences."""

from tutelage.execution.run import Plan
from tutelage.execution.stack import why_alone
from tutelage.execution.stack_engine import known_seconds

__all__ = ["ways_of"]


def ways_of(planned: Plan) -> list[str]:
    """Say which missing runs can be trained in stacks, how fast that was here, and why others cannot be."""
    stacked, alone = dict[str, set[str]](), dict[str, set[str]]()
    for task in planned.missing:
        stage, places = task.job.stage, planned.places
        why = why_alone(task.recipe, stage)
        if why is not None:
            alone.setdefault(why, set()).add(stage)
            continue
        known = known_seconds(task.recipe, stage, places.cache, places.accelerator)
        speed = "not measured here yet"
        if known is not None and known.members:
            speed = (
                f"a step takes {1000 * known.alone:.1f} ms alone and {1000 * known.stacked:.1f} ms in a stack "
                f"of {known.members}, so {'stacks' if known.pays else 'one by one'}"
            )
        stacked.setdefault(speed, set()).add(stage)
    lines = [f"can be stacked: {_list(names)} ({speed})" for speed, names in stacked.items()]
    return lines + [f"one by one: {_list(names)} ({why})" for why, names in alone.items()]


def _list(names: set[str]) -> str:
    return ", ".join(sorted(names))
