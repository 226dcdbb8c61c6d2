"""What stands in a run folder, as typed and frozen records.

The format is ``docs/run-folder.md``. Reading is strict: a wrong type, a missing key or a value out
of range is refused with one sentence. Unknown keys are ignored, so that old code reads new runs.
"""

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BeforeValidator, Field, TypeAdapter, ValidationError

from tutelage.errors import UserError

T = TypeVar("T")


def _as_text(value: object) -> object:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _none_named(value: object) -> object:
    return () if value is None else tuple(value) if isinstance(value, list) else value


def _undefined(value: object) -> object:
    return None if isinstance(value, float) and math.isnan(value) else value


def _finite(value: object) -> object:
    return None if isinstance(value, float) and not math.isfinite(value) else value


Name = Annotated[str, BeforeValidator(_as_text)]
Names = Annotated[tuple[Name, ...], BeforeValidator(_none_named)]
Fraction = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Score = Annotated[Fraction | None, BeforeValidator(_undefined)]
Finite = Annotated[float | None, BeforeValidator(_finite)]
Amount = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0)]
Schema = Literal[1]
Split = Literal["validation", "test", "test_legacy"]


@dataclass(frozen=True)
class ClassScore:
    """Quality on one class; a score is None where it is undefined."""

    precision: Score
    recall: Score
    f1: Score
    support: Count


@dataclass(frozen=True)
class SubjectScore:
    """Quality on one subject."""

    accuracy: Fraction
    macro_f1: Score
    n: Count


@dataclass(frozen=True)
class Variant:
    """Quality of a prediction in another mode than the deployed one."""

    loss: Amount
    accuracy: Fraction
    macro_f1: Fraction


@dataclass(frozen=True)
class GroupScore:
    """Quality on the samples of a group of classes, predicted among these classes alone."""

    n: Annotated[int, Field(ge=1)]
    accuracy: Fraction
    macro_f1: Fraction
    nll: Amount


@dataclass(frozen=True)
class Evaluation:
    """Every metric of one split; fractions lie in [0, 1]."""

    n: Annotated[int, Field(ge=1)]
    accuracy: Fraction
    macro_f1: Fraction
    nll: Amount
    brier: Annotated[float, Field(ge=0, le=2, allow_inf_nan=False)]
    ece: Fraction
    classwise_ece: Fraction
    per_class: dict[str, ClassScore]
    per_subject: dict[str, SubjectScore]
    confusion: tuple[tuple[Count, ...], ...]
    variants: dict[str, Variant] = field(default_factory=dict)
    groups: dict[str, GroupScore] = field(default_factory=dict)
    harmonic_mean: Fraction | None = None


@dataclass(frozen=True)
class Failure:
    """Why a run was stopped."""

    kind: str
    message: str
    epoch: int | None = None
    objective: str | None = None


@dataclass(frozen=True)
class RunData:
    """The samples of one run and how they were split."""

    name: str
    fingerprint: str
    synthetic: bool
    modality: str
    n_train: Count
    n_validation: Count
    n_test: Count
    class_names: tuple[str, ...]
    input_shape: tuple[int, ...] = ()
    train_subjects: Names = ()
    validation_subjects: Names = ()
    test_subjects: Names = ()
    split: Any = None
    concepts: dict[str, Names] = field(default_factory=dict)
    groups: dict[str, Names] = field(default_factory=dict)
    n_taught: Count | None = None


@dataclass(frozen=True)
class Origin:
    """Another run that this one learns from or starts from."""

    path: str
    fingerprint: str
    stage: str | None = None


@dataclass(frozen=True)
class Network:
    """What is exported; parameters and multiply-adds of one sample."""

    type: str
    input: Any
    parameters: Count
    macs: Count | None = None


@dataclass(frozen=True)
class Selected:
    """The epoch that was kept and why."""

    epoch: Count
    on: str
    value: float | None = None


@dataclass(frozen=True)
class RunRecord:
    """``run.json``."""

    schema: Schema
    status: Literal["running", "complete", "failed"]
    stage: str
    fold: Name
    seed: int
    fingerprint: str
    data: RunData
    network: Network
    failure: Failure | None = None
    config: Any = None
    teachers: dict[str, Origin] = field(default_factory=dict)
    start_from: Origin | None = None
    environment: dict[str, Any] = field(default_factory=dict)
    code: dict[str, Any] = field(default_factory=dict)
    started: str | None = None
    finished: str | None = None
    seconds: Amount | None = None
    selected: Selected | None = None


@dataclass(frozen=True)
class Entry:
    """One run that was asked for."""

    stage: str
    fold: Name
    seed: int
    path: str
    fingerprint: str

    @property
    def key(self) -> tuple[str, str, int]:
        """Stage, fold and seed."""
        return self.stage, self.fold, self.seed


@dataclass(frozen=True)
class Visit:
    """Where the evaluation of one run on another data set lies."""

    stage: str
    fold: Name
    seed: int
    path: str


@dataclass(frozen=True)
class TargetData:
    """Another data set that runs were evaluated on."""

    name: str
    fingerprint: str
    synthetic: bool
    class_names: tuple[str, ...]
    n: Annotated[int, Field(ge=1)]
    source: str = ""


@dataclass(frozen=True)
class TargetRecord:
    """One entry of ``transfer`` in ``experiment.json``."""

    data: TargetData
    runs: tuple[Visit, ...]


@dataclass(frozen=True)
class VisitRecord:
    """``evaluation.json`` of a run on another data set."""

    schema: Schema
    run: str
    weights: str
    data: str
    test: Evaluation


@dataclass(frozen=True)
class ExperimentRecord:
    """``experiment.json``."""

    schema: Schema
    name: str
    data: dict[str, Any]
    protocol: Literal["honest", "legacy", "blind"]
    baseline: str
    students: tuple[str, ...]
    teachers: tuple[str, ...]
    runs: tuple[Entry, ...]
    title: str | None = None
    recipe: str | None = None
    resolved: Any = None
    transfer: dict[str, TargetRecord] = field(default_factory=dict)


@dataclass(frozen=True)
class Trace:
    """Mean of a recorded value over the training samples of an epoch, and of each class.

    None stands for a class that was not seen, and for a value that is not finite.
    """

    mean: Finite
    by_class: tuple[Finite, ...]


@dataclass(frozen=True)
class Epoch:
    """One line of ``metrics.jsonl``; a value may be NaN in a run that diverged."""

    epoch: int
    step: int
    train: dict[str, float | None]
    validation: dict[str, float | None] = field(default_factory=dict)
    test: dict[str, float | None] = field(default_factory=dict)
    learning_rate: float | None = None
    traces: dict[str, Trace] = field(default_factory=dict)


RUN = TypeAdapter(RunRecord)
EXPERIMENT = TypeAdapter(ExperimentRecord)
EVALUATIONS = TypeAdapter(dict[Split, Evaluation])
EPOCH = TypeAdapter(Epoch)
VISIT = TypeAdapter(VisitRecord)


def parse(adapter: TypeAdapter[T], text: str | bytes, place: str) -> T:
    """Read JSON into its record.

    Raises:
        UserError: the place, what was found and what is allowed, in one sentence.
    """
    try:
        return adapter.validate_json(text, strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        key = ".".join(str(part) for part in first["loc"])
        found = (
            "" if first["type"] in {"missing", "json_invalid"} else f", found {first['input']!r}"
        )
        where = f"{place}: {key}" if key else place
        raise UserError(f"{where}: {first['msg']}{found}"[:400]) from None


def read(adapter: TypeAdapter[T], path: Path) -> T:
    """Read a JSON file into its record."""
    return parse(adapter, path.read_bytes(), str(path))
