"""How a run is trained, built from its description: device, step, length, order, augmentation, objectives."""

import logging
from collections.abc import Sequence
from functools import cache, partial
from typing import cast

import torch
from torch import nn

from tutelage.augment import Augment, Mix
from tutelage.averaging import Average
from tutelage.errors import UserError
from tutelage.objectives import Distiller
from tutelage.recipe.instantiate import build, call, convert, described, weighted
from tutelage.recipe.keys import Train
from tutelage.recipe.resolve import RunSpec
from tutelage.schedules import Schedule
from tutelage.steps import Step
from tutelage.steps.base import Device
from tutelage.train import Augmentation, Settings

__all__ = ["cpu_fabric", "make_distiller", "make_fabric", "make_settings", "make_step"]


def make_fabric(train: Train, accelerator: str = "auto") -> Device:
    """Return the device and precision of a run: one of each kind in a process, for it keeps nothing of a run."""
    return _fabric(train.precision, accelerator)


@cache
def _fabric(precision: str, accelerator: str) -> Device:
    from lightning_fabric import Fabric  # seconds: it imports whatever else of its family is there

    # What Fabric would print of each run, the recipe has said once.
    logging.getLogger("lightning_fabric.utilities.rank_zero").setLevel(logging.WARNING)
    return cast(Device, Fabric(accelerator=accelerator, devices=1, precision=precision))


def cpu_fabric() -> Device:
    """Return the device of dry runs."""
    return make_fabric(Train(), "cpu")


def make_distiller(spec: RunSpec) -> Distiller:
    """Build the objectives of a run; their ``coefficient`` may be a number or a schedule."""
    return Distiller(weighted(spec.distiller, f"{spec.place}.distiller"))


def make_step(spec: RunSpec) -> Step:
    """Build the step of a run."""
    train, place = spec.train, f"{spec.place}.train"
    cls, arguments = described(
        "torch.optim", train.optimizer, f"{place}.optimizer", base=torch.optim.Optimizer
    )
    rate = convert(train.learning_rate, float | Schedule, f"{place}.learning_rate")
    if "lr" in arguments:
        raise UserError(f"{place}.optimizer.lr: state it as {place}.learning_rate")
    # One trial on a dummy parameter: a wrong argument is a sentence now, not a traceback in the first step.
    call(cls, arguments, f"{place}.optimizer", leading=([nn.Parameter(torch.zeros(1))],))
    given = {
        "optimizer": partial(cls, lr=0.0, **arguments),
        "learning_rate": rate,
        "clip_norm": train.clip_norm,
        "batch_size": train.batch_size,
    }
    step: Step = build("tutelage.steps", train.step, f"{place}.step", method="bind", given=given)
    return step


def make_settings(spec: RunSpec, inputs: Sequence[str]) -> Settings:
    """Build length, order and augmentation of a run.

    Args:
        spec: the run.
        inputs: modalities that training batches hold; augmentations of others do not concern this run.
    """
    train, place = spec.train, f"{spec.place}.train"
    augments = {
        name: build("tutelage.augment", item, f"{place}.augment.{name}", base=Augment)
        for name, item in train.augment.items()
    }
    mine = {name: augment for name, augment in augments.items() if name in inputs}
    mix = average = None
    if train.mix is not None:
        mix = build("tutelage.augment", train.mix, f"{place}.mix", base=Mix)
    if train.average is not None:
        average = build("tutelage.averaging", train.average, f"{place}.average", base=Average)
    if train.select == "best" and (average is not None or not train.epochs):
        only = "of the last epoch" if train.epochs else "there is, for nothing is trained"
        raise UserError(f"{place}.select: best, but the only network is the one {only}; remove it")
    return Settings(
        train.epochs, train.batch_size, spec.seed, Augmentation(mine, mix, train.augment_teachers),
        train.sampler, train.select or "best", average,
        train.stop_constant, train.epoch_samples,
    )  # fmt: skip
