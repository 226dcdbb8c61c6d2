"""How many training samples had labels, in words."""

from collections.abc import Sequence

from tutelage.runs.run import Run

__all__ = ["labelled_words"]


def labelled_words(runs: Sequence[Run]) -> str:
    """Say how many training samples of these runs have labels, where not all of them have; else nothing.

    Over folds they may be of different numbers, which are then said with the least and the greatest.
    """
    data = [run.record.data for run in runs]
    if not any(d.n_labelled is not None and d.n_labelled < d.n_train for d in data):
        return ""
    noun = "windows" if any(d.modality not in ("image",) for d in data) else "images"
    labelled = _between([d.n_labelled or 0 for d in data])
    return f"{labelled} of {_between([d.n_train for d in data])} training {noun}"


def _between(counts: Sequence[int]) -> str:
    least, most = min(counts), max(counts)
    return f"{least:,}" if least == most else f"{least:,} to {most:,}"
