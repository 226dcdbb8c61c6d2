"""What a self-explaining network says of some validation samples, as the run folder keeps it."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, TypeAdapter

from tutelage.errors import UserError
from tutelage.runs import arrays as files
from tutelage.runs.inspection import check_labels
from tutelage.runs.predictions import Predictions
from tutelage.runs.schema import UnreadableError

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

Number = int | Annotated[float, Field(allow_inf_nan=False)] | None
Measured = dict[str, Number | dict[str, Number]]
"""Measures of faithfulness and counts by name; some are groups. None stands for a number that is not finite."""

OWN: dict[str, tuple[str, ...]] = {
    "index": ("n",),
    "labels": ("n",),
    "logits": ("n", "classes"),
    "classes": ("n", "2"),
    "rest": ("n", "2"),
    "input_index": ("inputs",),
}
"""Shapes of the arrays of the file itself."""

OF_A_STREAM: dict[str, tuple[str, ...]] = {
    "concepts": ("n", "kept"),
    "attention": ("n", "kept", "places"),
    "contributions": ("n", "kept", "places", "2"),
    "others": ("n", "2"),
    "without": ("n", "kept", "classes"),
    "use": ("concepts",),
    "speaking": ("classes", "named"),
    "by_class": ("classes", "named"),
    "shown": ("shown",),
    "gallery": ("shown", "top"),
    "gallery_labels": ("shown", "top"),
    "heat": ("shown", "top", "places"),
    "annotated": ("n", "kept", "annotated"),
}
"""Shapes of the arrays of each stream; ``heat`` is absent for one place, ``annotated`` without annotations."""

WHOLE = ("index", "labels", "classes", "input_index", "concepts", "speaking", "shown", "gallery",
         "gallery_labels")  # fmt: skip
"""Arrays of whole numbers."""


@dataclass(frozen=True)
class StreamHeader:
    """Names and places of a stream, as the file writes them."""

    names: tuple[str, ...]
    space: tuple[int, ...]


@dataclass(frozen=True)
class ExplanationHeader:
    """What the file says in words and single numbers."""

    streams: dict[str, StreamHeader]
    scored: int
    measured: Measured = field(default_factory=dict)


HEADER = TypeAdapter(ExplanationHeader)


@dataclass(frozen=True)
class StoredStream:
    """What the M concepts of one stream do, at L places.

    Args:
        names: M concepts.
        space: the places along each axis.
        concepts: [n, T], those that moved a sample's prediction away from its rival most, the strongest first.
        attention: [n, T, L], how much each place is about each of them.
        contributions: [n, T, L, 2], what each adds at each place to the scores of prediction and rival.
        others: [n, 2], what all other concepts of the stream add.
        without: [n, T, C], the scores when one of them says nothing, computed anew.
        use: [M], how far each moves a true class away from its strongest rival, mean of the absolute value.
        speaking: [C, S], concepts that do that most, over the samples of each class.
        by_class: [C, S], how far, with its sign; 0 for a class without samples.
        shown: [G], the concepts that have a gallery.
        gallery: [G, top], ids of the samples that attend to them most.
        gallery_labels: [G, top], their classes.
        heat: [G, top, L], from 0 to 1, how much of a sample's attention goes there; None with one place.
        annotated: how much each concept is annotated, NaN where it is not, [n, T, L] or, of the whole input,
            [n, T, 1]; None where the data annotate other concepts, or none.
    """

    names: tuple[str, ...]
    space: tuple[int, ...]
    concepts: Ints
    attention: Floats
    contributions: Floats
    others: Floats
    without: Floats
    use: Floats
    speaking: Ints
    by_class: Floats
    shown: Ints
    gallery: Ints
    gallery_labels: Ints
    heat: Floats | None
    annotated: Floats | None


@dataclass(frozen=True)
class Explanations:
    """``explanations.npz``: what a network says of its predictions of n validation samples.

    Args:
        index: [n], sample ids.
        labels: [n], their classes.
        logits: [n, C].
        classes: [n, 2], the predicted class and its rival: the true class where the prediction is wrong, else the
            class with the next highest score.
        rest: [n, 2], what of these two scores belongs to no concept.
        streams: by name.
        inputs: sample id -> what the network reads, or what that was made from, [channels, ...].
        scored: how many validation samples concepts were ranked by.
        measured: measures of faithfulness; empty where there are none.
        redrawn: largest difference to the scores in ``predictions-validation.npz``, of a network whose scores
            depend on chance; 0 for all others.
    """

    index: NDArray[Any]
    labels: NDArray[Any]
    logits: NDArray[Any]
    classes: NDArray[Any]
    rest: NDArray[Any]
    streams: dict[str, StoredStream]
    inputs: dict[int, NDArray[Any]]
    scored: int
    measured: Measured
    redrawn: float = 0.0

    @classmethod
    def of(cls, header: ExplanationHeader, arrays: Mapping[str, NDArray[Any]]) -> "Explanations":
        """Put them together from the arrays of the file, by their names."""
        streams = {}
        for stream, its in header.streams.items():
            mine: dict[str, Any] = {name: arrays.get(f"{stream}.{name}") for name in OF_A_STREAM}
            streams[stream] = StoredStream(tuple(its.names), tuple(its.space), **mine)
        inputs = dict(zip(arrays["input_index"].tolist(), arrays["inputs"], strict=True))
        return cls(
            arrays["index"], arrays["labels"], arrays["logits"], arrays["classes"], arrays["rest"],
            streams, inputs, header.scored, header.measured,
        )  # fmt: skip

    def save(self, path: Path) -> None:
        """Write them."""
        header = ExplanationHeader(
            {name: StreamHeader(its.names, its.space) for name, its in self.streams.items()},
            self.scored, self.measured,
        )  # fmt: skip
        stored = {name: getattr(self, name) for name in OWN if name != "input_index"}
        for stream, its in self.streams.items():
            named = {name: getattr(its, name) for name in OF_A_STREAM}
            stored |= {f"{stream}.{name}": x for name, x in named.items() if x is not None}
        stored["input_index"] = np.array(list(self.inputs), dtype=np.int64)
        stored["inputs"] = np.stack(list(self.inputs.values()))
        stored["facts"] = files.facts(HEADER, header)
        files.save(path, stored, compressed=True)

    @classmethod
    def load(cls, path: Path, classes: int, known: Predictions | None) -> "Explanations":
        """Read them.

        Args:
            path: the file.
            classes: C.
            known: the predictions of the validation samples, or None where there are none.

        Raises:
            UserError: the file is damaged, or contradicts itself or the predictions.
        """
        header, arrays = files.load_with_facts(path, "explanations", HEADER)
        for name, stream in header.streams.items():
            if not stream.names or not stream.space or min(stream.space) < 1:
                raise UnreadableError(f"{path}: stream {name!r} has no concepts or no places")
        _check_shapes(arrays, header, classes, path)
        _check_values(arrays, header, classes, path)
        _check_classes(arrays, path)
        numbers = {
            key: values if key == "inputs" else values.astype(
                np.int64 if key.rpartition(".")[2] in WHOLE else np.float64)
            for key, values in arrays.items()
        }  # fmt: skip
        told = cls.of(header, numbers)
        return told if known is None else replace(told, redrawn=_redrawn(told, known, path))


def _wanted(
    header: ExplanationHeader, arrays: Mapping[str, NDArray[Any]]
) -> dict[str, tuple[str, ...]]:
    """Return the shapes of all arrays but the inputs."""
    return OWN | {
        f"{stream}.{name}": shape
        for stream, its in header.streams.items()
        for name, shape in OF_A_STREAM.items()
        if (name != "heat" or np.prod(its.space) > 1)
        and (name != "annotated" or f"{stream}.annotated" in arrays)
    }


def _check_shapes(
    arrays: Mapping[str, NDArray[Any]], header: ExplanationHeader, classes: int, path: Path
) -> None:
    wanted = _wanted(header, arrays)
    missing = sorted({*wanted, "inputs"} - arrays.keys())
    if missing:
        raise UnreadableError(f"{path}: {missing[0]} is missing")
    for key in ("index", "inputs"):
        if not arrays[key].ndim:
            raise UnreadableError(f"{path}: {key} is one value, expected one for each sample")
    sizes = {"2": 2, "classes": classes, "n": len(arrays["index"]), "inputs": len(arrays["inputs"])}
    for key, letters in wanted.items():
        stream = key.rpartition(".")[0]
        own = dict(sizes)
        if stream:
            places = int(np.prod(header.streams[stream].space))
            own |= {
                "concepts": len(header.streams[stream].names),
                "places": places,
                "annotated": places,
            }
            own |= _free(arrays, stream)
        shape = tuple(own[letter] for letter in letters)
        if arrays[key].shape != shape:
            raise UnreadableError(f"{path}: {key} is {arrays[key].shape}, expected {shape}")
        kinds = "iu" if key.rpartition(".")[2] in WHOLE else "f"
        if arrays[key].dtype.kind not in kinds:
            raise UnreadableError(f"{path}: {key} holds {arrays[key].dtype}")
    if arrays["inputs"].ndim not in (3, 4) or arrays["inputs"].dtype.kind not in "iuf":
        raise UnreadableError(
            f"{path}: inputs is {arrays['inputs'].shape}, expected images or signals"
        )


def _free(arrays: Mapping[str, NDArray[Any]], stream: str) -> dict[str, int]:
    """Return the sizes that an array of a stream tells, so that the others must follow."""
    first = {"kept": "concepts", "named": "speaking", "top": "gallery"}
    sizes = {name: (*arrays[f"{stream}.{key}"].shape, 0, 0)[1] for name, key in first.items()}
    annotated = arrays.get(f"{stream}.annotated", np.empty((0, 0, 0)))
    whole = annotated.shape[2:] == (1,)
    return sizes | {"shown": arrays[f"{stream}.shown"].size} | ({"annotated": 1} if whole else {})


def _check_values(
    arrays: Mapping[str, NDArray[Any]], header: ExplanationHeader, classes: int, path: Path
) -> None:
    for key, values in arrays.items():
        stream, _, name = key.rpartition(".")
        if not (np.isfinite(values) | (np.isnan(values) & (name == "annotated"))).all():
            raise UnreadableError(f"{path}: a value of {key} is not finite")
        if name in ("labels", "classes", "gallery_labels"):
            end = classes
        elif name in ("concepts", "speaking", "shown"):
            end = len(header.streams[stream].names)
        else:
            continue
        if not ((values >= 0) & (values < end)).all():
            raise UnreadableError(f"{path}: {key} must lie between 0 and {end - 1}")


def _check_classes(arrays: Mapping[str, NDArray[Any]], path: Path) -> None:
    """Refuse a prediction without the highest score, a rival that is not one, and a sample without input."""
    logits, classes = arrays["logits"], arrays["classes"]
    rows = np.arange(len(logits))
    if (logits[rows, classes[:, 0]] < logits.max(axis=1)).any():
        raise UserError(
            f"{path}: the predicted class of a sample is not the one with its highest score"
        )
    wrong = classes[:, 0] != arrays["labels"]
    if (classes[:, 0] == classes[:, 1]).any() or (
        classes[wrong, 1] != arrays["labels"][wrong]
    ).any():
        raise UserError(
            f"{path}: the rival of a prediction is not another class, or not the true one"
        )
    inputs = set(arrays["input_index"].tolist())
    asked = {
        key: values
        for key, values in arrays.items()
        if key.rpartition(".")[2] in ("index", "gallery")
    }
    for key, values in asked.items():
        lacking = sorted(set(values.ravel().tolist()) - inputs)
        if lacking:
            raise UnreadableError(f"{path}: sample {lacking[0]} of {key} has no input")


def _redrawn(told: Explanations, known: Predictions, path: Path) -> float:
    """Refuse other labels or scores than those of the predictions; return how far scores may be off by chance."""
    check_labels(told.index, told.labels, known.classes, path)
    scores = known.scores
    there = np.array([scores[sample] for sample in told.index.tolist()])
    off = float(np.abs(told.logits - there).max(initial=0))
    # Another batch size, and half precision, may round otherwise.
    if off <= 0.05 * max(float(np.ptp(there)) if there.size else 0.0, 1e-3):
        return 0.0
    stability = told.measured.get("stability")
    spread = stability.get("logits") if isinstance(stability, dict) else None
    if spread is None or spread < 1e-6:
        raise UserError(
            f"{path}: the scores of a sample differ by {off:.3g} from those in predictions-validation.npz"
        )
    return off
