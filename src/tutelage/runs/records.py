"""What stands in the JSON files of a run folder: one frozen record for each, shared by writer and readers.

The format is ``docs/run-folder.md``.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, TypeAdapter

from tutelage.runs.open_set import OpenSet
from tutelage.runs.schema import (
    Amount,
    Count,
    FoldName,
    Fraction,
    Names,
    Schema,
    Score,
    Time,
)

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
    classes_predicted: Amount | None = None


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
    open_set: OpenSet | None = None


@dataclass(frozen=True)
class Failure:
    """Why a run was stopped."""

    kind: str = "error"
    message: str = "no reason recorded"
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
    n_labelled: Count | None = None


@dataclass(frozen=True)
class Ancestor:
    """Another run that this one learns from."""

    path: str
    fingerprint: str


@dataclass(frozen=True)
class Start:
    """Another run whose weights this one starts from."""

    path: str
    fingerprint: str
    stage: str | None = None


@dataclass(frozen=True)
class NetworkRecord:
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


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """``run.json``.

    Args:
        blind: the test split was not evaluated.
        coefficients: what coefficients that are shares of the gradient became, by objective.
        unknown: what a later version wrote beside these keys: it is kept when the record is written again, and the
            ledger says so.
    """

    schema: Schema = 1
    started: Time | None = None
    stage: str
    fold: FoldName
    seed: int
    fingerprint: str
    blind: bool = False
    config: Any = None
    data: RunData
    teachers: dict[str, Ancestor] = field(default_factory=dict)
    start_from: Start | None = None
    network: NetworkRecord
    environment: dict[str, Any] = field(default_factory=dict)
    code: dict[str, Any] = field(default_factory=dict)
    status: Literal["running", "complete", "failed"]
    failure: Failure | None = None
    finished: Time | None = None
    seconds: Amount | None = None
    selected: Selected | None = None
    coefficients: dict[str, Amount] = field(default_factory=dict)
    unknown: Mapping[str, Any] = field(default_factory=dict)

    @property
    def epochs(self) -> int | None:
        """How many epochs the stage asks for; None where the record does not tell."""
        train = self.config.get("train") if isinstance(self.config, dict) else None
        epochs = train.get("epochs") if isinstance(train, dict) else None
        return epochs if isinstance(epochs, int) else None

    @property
    def content(self) -> dict[str, Any]:
        """What is written: the keys of this version, then those that were handed on."""
        plain: dict[str, Any] = RUN.dump_python(self, mode="json", exclude={"unknown"})
        return plain | dict(self.unknown)


@dataclass(frozen=True)
class Entry:
    """One run that was asked for."""

    stage: str
    fold: FoldName
    seed: int
    fingerprint: str
    path: str

    @property
    def key(self) -> tuple[str, str, int]:
        """Stage, fold and seed."""
        return self.stage, self.fold, self.seed


@dataclass(frozen=True)
class Visit:
    """Where the evaluation of one run on another data set lies."""

    stage: str
    fold: FoldName
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


@dataclass(frozen=True, kw_only=True)
class ExperimentRecord:
    """``experiment.json``."""

    schema: Schema
    name: str
    title: str | None = None
    resolved: Any = None
    data: dict[str, Any]
    protocol: Literal["honest", "legacy", "blind", "refit"]
    baseline: str
    students: tuple[str, ...]
    teachers: tuple[str, ...]
    runs: tuple[Entry, ...]
    transfer: dict[str, TargetRecord] = field(default_factory=dict)
    recipe: str | None = None

    @property
    def content(self) -> dict[str, Any]:
        """What is written: without keys that say nothing."""
        silent = {key for key in ("transfer", "recipe") if not getattr(self, key)}
        plain: dict[str, Any] = EXPERIMENT.dump_python(self, mode="json", exclude=silent)
        return plain


def _as_value(value: object) -> object:
    return str(value) if isinstance(value, int | float) else value


Value = Annotated[str, BeforeValidator(_as_value)]
"""The name of a value on an axis of a study."""


@dataclass(frozen=True)
class CellRecord:
    """One cell as ``study.json`` lists it: its name, axis -> value, and its folder inside the study's."""

    name: str
    at: dict[str, Value]
    path: str


@dataclass(frozen=True)
class StudyRecord:
    """``study.json``."""

    schema: Schema
    name: str
    cells: tuple[CellRecord, ...]
    title: str | None = ""
    axes: dict[str, tuple[Value, ...]] = field(default_factory=dict)
    resolved: Any = None
    code: dict[str, Any] = field(default_factory=dict)


RUN = TypeAdapter(RunRecord)
EXPERIMENT = TypeAdapter(ExperimentRecord)
EVALUATIONS = TypeAdapter(dict[Split, Evaluation])
VISIT = TypeAdapter(VisitRecord)
STUDY = TypeAdapter(StudyRecord)
RUN_KEYS = frozenset(key.name for key in fields(RunRecord)) - {"unknown"}
