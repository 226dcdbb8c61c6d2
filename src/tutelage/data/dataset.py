"""One data set: inputs, labels, and who, where and when each sample was taken."""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tutelage.errors import UserError

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Strings = NDArray[np.str_]

_NOBODY = {"", "nan", "none", "null", "<na>", "nat"}  # what tables make of a missing name
COLOURS = ("red", "green", "blue")
_QUOTED = 80  # characters of a wrong value in a sentence
_CHUNK = 1 << 24  # bytes read at once from a memory-map


def blocks(array: np.ndarray) -> Iterator[np.ndarray]:
    """Yield consecutive parts of an array along its first axis, about 16 MiB each."""
    rows = max(1, _CHUNK // max(1, array[:1].nbytes))
    for start in range(0, len(array), rows):
        yield array[start : start + rows]


def in_units(names: Sequence[str], units: Sequence[str]) -> tuple[str, ...]:
    """Return the names of channels with their units, as far as they are known.

    Examples:
        >>> in_units(["acc-x", "pulse"], ["g", ""])
        ('acc-x (g)', 'pulse')
    """
    known = units or [""] * len(names)
    return tuple(
        f"{name} ({unit})" if unit else name for name, unit in zip(names, known, strict=True)
    )


@dataclass(frozen=True, eq=False)
class DataSet:
    """Samples with their labels and their origin, checked for consistency when built.

    Args:
        name: short name; the name of generated data contains ``synthetic``.
        modality: ``signal`` or ``image``.
        inputs: signals [N, channels, time] float32, or images [N, 3, height, width] uint8 (RGB);
            may be a read-only memory-map.
        labels: class numbers, [N] int64, from 0; -1 where a sample has no label.
        subjects: who each sample comes from, [N] strings, or None.
        class_names: one per class, by number.
        channel_names: one per channel.
        rate: samples per second (Hz) of signals, else None.
        window: length of a window in samples, else None.
        recordings: number of the uninterrupted recording of each window, [N] int64, or None.
        starts: first sample of each window in its recording, [N] int64, or None; with
            ``window`` it tells which windows overlap.
        official_test: True where the publisher put a sample in the test part, [N] bool, or None.
        official_validation: the same for a validation part of the publisher, if there is one.
        synthetic: the samples were generated, not measured.
        source: whom to cite, and where the files came from.
        concepts: how much each concept is present, at least 0, NaN where that is not annotated; float32 or
            float16. ``global``: of a whole sample, [N, M]. ``spatial``: of its places, [N, places, M] of signals,
            [N, rows, columns, M] of images: equal cells of the input. Empty, one of them, or both.
        concept_names: M names for each of ``concepts``.
        sessions: on which occasion each sample was taken, [N] strings, or None.
        units: of each channel, "" where it is not known; empty where none is.
        notes: sentences about how the data were read; no part of the fingerprint.
        listed: where each sample stands in the publisher's list of its part, [N] int64, or None; no part of the
            fingerprint.

    Raises:
        UserError: the parts do not fit together.
    """

    name: str
    modality: str
    inputs: np.ndarray
    labels: Ints
    subjects: Strings | None
    class_names: tuple[str, ...]
    channel_names: tuple[str, ...]
    rate: float | None = None
    window: int | None = None
    recordings: Ints | None = None
    starts: Ints | None = None
    official_test: Bools | None = None
    synthetic: bool = False
    source: str = ""
    official_validation: Bools | None = None
    concepts: Mapping[str, np.ndarray] = field(default_factory=dict)
    concept_names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    sessions: Strings | None = None
    units: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    listed: Ints | None = None

    def __post_init__(self) -> None:
        self._check_inputs()
        self._check_columns()
        self._check_subjects()
        self._check_labels()
        self._check_windows()
        self._check_concepts()
        if self.synthetic and "synthetic" not in self.name:
            raise UserError(
                f"data set {self.name!r}: generated data need the word 'synthetic' in the name"
            )

    def __len__(self) -> int:
        return len(self.inputs)

    def _refuse(self, place: str, found: object, allowed: str) -> UserError:
        text = str(found)
        short = text if len(text) <= _QUOTED else text[:_QUOTED] + "..."
        return UserError(f"data set {self.name!r}: {place}: found {short}, allowed is {allowed}")

    def _check_inputs(self) -> None:
        forms = {"signal": (3, np.float32, "[N, channels, time] float32"),
                 "image": (4, np.uint8, "[N, 3, height, width] uint8")}  # fmt: skip
        if self.modality not in forms:
            raise self._refuse("modality", repr(self.modality), "'signal' or 'image'")
        axes, kind, text = forms[self.modality]
        shape = self.inputs.shape
        if len(shape) != axes or self.inputs.dtype != kind or 0 in shape:
            raise self._refuse("inputs", f"{list(shape)} {self.inputs.dtype}", text + ", not empty")
        if self.modality == "image" and shape[1] != 3:
            raise self._refuse("inputs", f"{shape[1]} colour channels", "3 (RGB)")
        for column in ("channel_names", "units"):
            told = getattr(self, column)
            if len(told) != shape[1] and (told or column == "channel_names"):
                words = column.removeprefix("channel_")
                raise self._refuse(column, f"{len(told)} {words}", f"{shape[1]}, one per channel")
        if self.modality == "signal":
            self._check_finite()

    def _check_finite(self) -> None:
        first = 0
        for part in blocks(self.inputs):
            good = np.isfinite(part)
            if not good.all():
                sample, channel, time = np.argwhere(~good)[0].tolist()
                value = "NaN" if np.isnan(part[sample, channel, time]) else "an infinite value"
                raise self._refuse(
                    "inputs",
                    f"{value} in sample {first + sample}, channel {self.channel_names[channel]!r}, time {time}",
                    "finite numbers only",
                )
            first += len(part)

    def _check_subjects(self) -> None:
        """Refuse names that are none, or that may be two spellings of one person."""
        spellings: dict[str, str] = {}
        for name in () if self.subjects is None else np.unique(self.subjects).tolist():
            if name.strip().casefold() in _NOBODY:
                number = int(np.flatnonzero(self.subjects == name)[0])
                raise self._refuse(
                    "subjects",
                    f"{name!r} (sample {number})",
                    "the name of a person for every sample",
                )
            plain = re.sub(r"(?<!\d)0+(?=\d)", "", name.strip().casefold())
            if spellings.setdefault(plain, name) != name:
                raise self._refuse(
                    "subjects", f"{spellings[plain]!r} and {name!r}", "one spelling of each person"
                )

    def _check_columns(self) -> None:
        kinds = {
            "labels": "i",
            "subjects": "U",
            "sessions": "U",
            "recordings": "i",
            "starts": "i",
            "official_test": "b",
            "official_validation": "b",
            "listed": "i",
        }
        for column, kind in kinds.items():
            values = getattr(self, column)
            if values is None and column != "labels":
                continue
            if values.shape != (len(self),):
                raise self._refuse(
                    column, f"shape {list(values.shape)}", f"[{len(self)}], one per sample"
                )
            if values.dtype.kind != kind or (kind == "i" and values.dtype != np.int64):
                wanted = {"i": "int64", "U": "strings", "b": "bool"}[kind]
                raise self._refuse(column, f"type {values.dtype}", wanted)

        if self.official_validation is not None and (
            self.official_test is None or (self.official_test & self.official_validation).any()
        ):
            raise self._refuse(
                "official_validation",
                "no test part, or samples of it",
                "a part beside the test part",
            )

    def _check_labels(self) -> None:
        names = self.class_names
        if len(set(names)) != len(names) or not names:
            raise self._refuse("class_names", list(names), "a different name for every class")
        low, high = int(self.labels.min()), int(self.labels.max())
        if low < -1 or high >= len(names):
            wrong = low if low < -1 else high
            raise self._refuse(
                "labels", wrong, f"0 to {len(names) - 1} ({len(names)} class names), or -1 for none"
            )
        if high < 0:
            raise self._refuse("labels", "-1 everywhere", "some samples with a label")

    def _check_windows(self) -> None:
        if self.window is not None and self.window != self.inputs.shape[-1]:
            raise self._refuse(
                "window", self.window, f"{self.inputs.shape[-1]}, the length of the stored windows"
            )
        if self.rate is not None and not self.rate > 0:
            raise self._refuse("rate", self.rate, "a positive number of samples per second (Hz)")
        if (self.recordings is None) != (self.starts is None):
            raise self._refuse("recordings and starts", "only one of them", "both or neither")

    def _check_concepts(self) -> None:
        axes = {"global": 2, "spatial": self.inputs.ndim}
        if self.concepts.keys() != self.concept_names.keys():
            raise self._refuse("concept_names", list(self.concept_names), str(list(self.concepts)))
        for scope, values in self.concepts.items():
            place, names = f"concepts.{scope}", self.concept_names[scope]
            if scope not in axes:
                raise self._refuse("concepts", repr(scope), "'global' or 'spatial'")
            if len(set(names)) != len(names) or not names:
                raise self._refuse(place, list(names), "a different name for every concept")
            shape, kind = list(values.shape), values.dtype
            wanted = "[N, M]" if scope == "global" else (
                "[N, places, M]" if self.modality == "signal" else "[N, rows, columns, M]"
            )  # fmt: skip
            if len(shape) != axes[scope] or shape[0] != len(self) or shape[-1] != len(names):
                text = f"{wanted} with N = {len(self)} and M = {len(names)} names"
                raise self._refuse(place, shape, text)
            if kind not in (np.float32, np.float16):
                raise self._refuse(place, f"type {kind}", "float32 or float16")
            if any(((part < 0) | (part == np.inf)).any() for part in blocks(values)):
                raise self._refuse(
                    place, "a negative or infinite value", "0 or more, NaN where not annotated"
                )

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 (hex) over contents and metadata; equal data give equal fingerprints.

        ``source`` is left out: the same data fetched from two places are the same data. So are units, which say of
        the same numbers what they are.
        """
        header: dict[str, Any] = {
            "name": self.name, "modality": self.modality, "classes": self.class_names,
            "channels": self.channel_names, "rate": self.rate, "window": self.window,
            "synthetic": self.synthetic, "shape": self.inputs.shape,
            "subjects": None if self.subjects is None else self.subjects.tolist(),
        }  # fmt: skip
        if self.sessions is not None:
            header["sessions"] = self.sessions.tolist()
        state = hashlib.sha256(json.dumps(header, sort_keys=True).encode())
        columns = [self.inputs, self.labels, self.recordings, self.starts, self.official_test]
        if self.official_validation is not None:
            columns.append(self.official_validation)
        if self.concepts:
            scopes = sorted(self.concepts)
            state.update(json.dumps([[s, self.concept_names[s]] for s in scopes]).encode())
            columns += [self.concepts[scope] for scope in scopes]
        for column in columns:
            state.update(b"-" if column is None else b"+")
            for part in () if column is None else blocks(column):
                little = part.dtype.newbyteorder("<")
                state.update(np.ascontiguousarray(part, dtype=little).data)
        return state.hexdigest()

    def take(self, index: Ints) -> "DataSet":
        """Return the data set of these samples, in this order."""

        def of(values: Any) -> Any:
            return None if values is None else np.asarray(values[index])

        return replace(
            self, inputs=of(self.inputs), labels=of(self.labels), subjects=of(self.subjects),
            sessions=of(self.sessions), recordings=of(self.recordings), starts=of(self.starts),
            listed=of(self.listed), official_test=of(self.official_test),
            official_validation=of(self.official_validation),
            concepts={scope: of(values) for scope, values in self.concepts.items()},
        )  # fmt: skip

    def summary(self) -> dict[str, Any]:
        """Return what a run record keeps of its data, ready for JSON; ``unlabelled`` where some have no label."""
        known = self.labels >= 0
        counts = np.bincount(self.labels[known], minlength=len(self.class_names))
        unlabelled = {} if known.all() else {"unlabelled": int((~known).sum())}
        return unlabelled | {
            "name": self.name,
            "modality": self.modality,
            "samples": len(self),
            "shape": list(self.inputs.shape[1:]),
            "classes": dict(zip(self.class_names, counts.tolist(), strict=True)),
            "channels": list(self.channel_names),
            **({"units": list(self.units)} if self.units else {}),
            "subjects": None if self.subjects is None else len(np.unique(self.subjects)),
            "sessions": None if self.sessions is None else len(np.unique(self.sessions)),
            "rate": self.rate,
            "window": self.window,
            "official_test": None if self.official_test is None else int(self.official_test.sum()),
            "official_validation": (
                None if self.official_validation is None else int(self.official_validation.sum())
            ),
            "concepts": {scope: list(names) for scope, names in self.concept_names.items()},
            "synthetic": self.synthetic,
            "source": self.source,
            "fingerprint": self.fingerprint,
        }
