"""The keys of parts of a recipe and their types."""

import math
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from tutelage.errors import UserError
from tutelage.recipe.stored_answers import StoredAnswers

__all__ = ["Described", "Evaluate", "Labelled", "Stage", "Strict", "Train"]

Described = dict[str, Any]
"""``type`` and arguments."""


class Strict(BaseModel):
    """Keys that are not declared are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Train(Strict):
    """How one stage is trained."""

    epochs: int = Field(20, ge=0, le=1_000_000)
    epoch_samples: int | None = Field(None, ge=2)
    batch_size: int = Field(64, ge=2)
    optimizer: Described = {"type": "SGD", "momentum": 0.9, "weight_decay": 1e-4, "nesterov": True}
    learning_rate: float | Described = 0.05
    clip_norm: float | None = Field(None, gt=0)
    sampler: Literal["shuffled", "class_aware"] = "shuffled"
    step: Described = {"type": "GradientStep"}
    precision: Literal["32-true", "bf16-mixed", "auto"] = "32-true"
    compile: bool = False
    select: Literal["best", "last"] | None = None
    average: Described | None = None
    teachers: Literal["auto", "cached", "live"] = "auto"
    augment: dict[str, Described] = {}
    mix: Described | None = None
    augment_teachers: bool = False
    stop_constant: bool = True

    @field_validator("clip_norm", mode="before")
    @classmethod
    def _unclipped(cls, value: Any) -> Any:
        """Let 0 and .inf say what null says: gradients are not clipped."""
        number = isinstance(value, int | float) and not isinstance(value, bool)
        return None if number and value in (0, math.inf) else value

    @field_validator("learning_rate")
    @classmethod
    def _moving(cls, value: Any) -> Any:
        if isinstance(value, float) and value <= 0:
            raise ValueError("a constant learning rate is above 0")
        return value


class Labelled(Strict):
    """Which training samples have labels: so many of each class, or all of some subjects.

    ``draw: coop`` draws those of a class as the code of CoOp does; see :func:`tutelage.data.choosing.few_as_coop`.
    """

    per_class: int | None = Field(None, ge=1)
    draw: Literal["coop"] | None = None
    subjects: Annotated[int, Field(ge=1)] | list[str] | None = None
    seed: int | None = Field(None, ge=0, lt=2**63)

    @model_validator(mode="after")
    def _one_way(self) -> "Labelled":
        given = [key for key in ("per_class", "subjects") if getattr(self, key) not in (None, [])]
        if len(given) != 1:
            raise UserError(
                f"labelled: found {' and '.join(given) or 'neither per_class nor subjects'}; allowed: per_class "
                "(labelled samples of each class), or subjects (how many have labels, or their names)"
            )
        if self.draw is not None and self.per_class is None:
            raise UserError("labelled.draw: found without per_class, whose samples it draws")
        return self


class Stage(Strict):
    """One network to train, or to take from an earlier run; or what a teacher said elsewhere."""

    input: str | None = None
    crop: int | None = Field(None, ge=1)
    classes: list[str] = []
    network: Described | None = None
    teachers: list[str] = []
    teacher_epoch: Literal["best", "last"] = "best"
    start_from: str | None = None
    quantise: Literal["int8"] | None = None
    distiller: dict[str, Described | None] = {}
    train: dict[str, Any] = {}
    seed: int | None = Field(None, ge=0, lt=2**63)
    run: str | None = None
    stored: StoredAnswers | None = None
    trust: bool = False
    train_classes: str | list[str] = []
    shots: int | None = Field(None, ge=1)
    draw: Literal["coop"] | None = None
    shown: Literal["labelled", "all"] | None = None
    unlabelled: bool = False
    published: dict[str, float] = {}


class Evaluate(Strict):
    """What is evaluated on damaged test inputs after training; no network depends on it.

    Args:
        corruptions: names or descriptions of :mod:`tutelage.corruptions`; ``name`` tells two of one type apart.
        draws: how often each is drawn.
        severities: which steps of the scale.
        stages: whose networks: those that are compared, all, or these.
    """

    corruptions: list[str | Described] = []
    draws: int = Field(3, ge=1, le=100)
    severities: list[Annotated[int, Field(ge=1, le=100)]] = Field([1, 2, 3, 4, 5], min_length=1)
    stages: Literal["students", "all"] | list[str] = "students"

    @field_validator("severities")
    @classmethod
    def _in_order(cls, value: list[int]) -> list[int]:
        if len(set(value)) != len(value):
            raise ValueError("each severity is named once")
        return sorted(value)
