"""Which network of a training was evaluated, in words, from what the runs recorded."""

from collections import Counter
from collections.abc import Iterable

from tutelage.runs.run import Run

__all__ = ["evaluated"]

_WORDS = {
    "validation": "epoch chosen on validation",
    "last": "last epoch",
    "average": "average of the epochs' weights",
    "start": "network as it was at the start",
    "test": "epoch chosen on test",
}


def evaluated(runs: Iterable[Run]) -> str:
    """Return which networks the evaluations of these runs belong to, the most frequent first.

    Without runs it is the epoch chosen on validation: what a recipe asks for unless it says otherwise.
    """
    records = (run.record.selected for run in runs)
    counts = Counter(_WORDS[chosen.on] for chosen in records if chosen is not None)
    return " or ".join(words for words, _ in counts.most_common()) or _WORDS["validation"]
