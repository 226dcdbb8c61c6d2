"""What there is to say of one sample, as numbers."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tutelage.batches import batches
from tutelage.errors import UserError, unknown
from tutelage.execution.look import Look, open_look
from tutelage.interpret.grad_cam import grad_cam
from tutelage.models import On
from tutelage.modes import evaluating
from tutelage.recipe.fold import Fold, tensor_of
from tutelage.runs.run import Run
from tutelage.statistics.temperature import fitted_temperature, softened
from tutelage.study.comparison import best_student
from tutelage.training.looking import LookedAt, feature_of

__all__ = ["Contribution", "Neighbour", "Opinion", "SampleExplanation", "explain_sample"]

NEAREST = 5
MOST = 5000  # training samples that are searched
_CONCEPTS = 8


@dataclass(frozen=True)
class Opinion:
    """What a network says of the sample: its probabilities, [C], softened by its own temperature."""

    stage: str
    modality: str
    probabilities: NDArray[np.float64]
    temperature: float


@dataclass(frozen=True)
class Neighbour:
    """A training sample that looks alike to the network: distance of its last feature, least first."""

    sample: int
    name: str
    subject: str
    distance: float


@dataclass(frozen=True)
class Contribution:
    """What a concept adds to the score of the class, and the class's probability when it says nothing."""

    concept: str
    amount: float
    without: float


@dataclass(frozen=True)
class SampleExplanation:
    """One sample and one network.

    Args:
        of: the sample in words.
        truth: its class; empty where it is not known.
        side: ``test``, ``validation`` or ``train`` of the network's fold; empty for a sample from elsewhere.
        run: the network.
        fold: name of its fold.
        class_names: one per class.
        channel_names: of the sample.
        opinion: what the network says.
        values: the input of the network, [channels, ...].
        evidence: how much each place speaks for the class, at least 0, with the axes of ``values`` after channels.
        feature: where the evidence was read.
        teachers: what each would have said.
        silent: teachers that cannot be asked about this sample.
        neighbours: training samples that look alike, the nearest first.
        contributions: of concepts, the largest first; empty for a network without.
        rest: what no listed concept adds to the score.
    """

    of: str
    truth: str
    side: str
    run: Run
    fold: str
    class_names: tuple[str, ...]
    channel_names: tuple[str, ...]
    opinion: Opinion
    values: NDArray[np.float32]
    evidence: NDArray[np.float32]
    feature: str
    teachers: tuple[Opinion, ...]
    silent: tuple[str, ...]
    neighbours: tuple[Neighbour, ...]
    contributions: tuple[Contribution, ...]
    rest: float

    @property
    def answer(self) -> int:
        """The number of the class that the network chooses."""
        return int(self.opinion.probabilities.argmax())

    def _repr_html_(self) -> str:
        """Return the page, for a notebook."""
        from tutelage.report.sample.page import sample_page

        return sample_page(self)


def explain_sample(
    folder: Path,
    sample: int | Path | NDArray[Any],
    stage: str | None = None,
    *,
    seed: int | None = None,
    fold: int | None = None,
    data: Path | None = None,
    accelerator: str = "cpu",
) -> SampleExplanation:
    """Say what a trained network makes of one sample.

    Args:
        folder: of an experiment.
        sample: its number in the data set; or an input from elsewhere, of the shape that the data set stores
            ([channels, time] of a signal), as an array or an ``.npy`` file.
        stage: whose network; the student that is best on validation unless told.
        seed: of the run; the first unless told.
        fold: of the run; unless told that in which the sample was a test sample, else the first.
        data: root of data sets; None for the user's default.
        accelerator: ``cpu``, ``cuda`` or ``auto``.

    Raises:
        UserError: there is no such run or sample, or the input has another shape.
    """
    if isinstance(sample, np.integer):  # as arrays of numbers give them
        sample = int(sample)
    look = open_look(folder, "embedding", [], fold, seed, data, accelerator)
    chosen = stage or best_student(look.experiment) or look.experiment.record.baseline
    mine = [run for run in look.runs if run.stage == chosen]
    if not mine:
        raise unknown("--stage", "stage", chosen, dict.fromkeys(run.stage for run in look.runs))
    run = _run_of(look, mine, sample)
    looked = look.opened(run)
    raw, given = _input(looked.data, sample)
    network = looked.network()
    values = _made(looked, network.modality, raw, given)
    standard = network.prepared(values)
    opinion = _opinion(run, network, values)
    answer = torch.tensor([int(opinion.probabilities.argmax())], device=values.device)
    evidence, feature = grad_cam(network.network, standard, answer)
    asked, silent = _teachers(look, run, raw, given)
    contributions, rest = _contributions(network, standard, int(answer), opinion.temperature)
    dataset, number = looked.data.dataset, given
    return SampleExplanation(
        of=_words(looked.data, sample, given),
        truth="" if number is None or dataset.labels[number] < 0
        else dataset.class_names[dataset.labels[number]],
        side="" if number is None else _side(looked.data, number),
        run=run,
        fold=looked.data.split.name,
        class_names=tuple(dataset.class_names),
        channel_names=tuple(dataset.channel_names) if network.modality == dataset.modality else (),
        opinion=opinion,
        values=network.cut(values)[0].float().cpu().numpy(),
        evidence=evidence[0].cpu().numpy().astype(np.float32),
        feature=feature,
        teachers=asked,
        silent=silent,
        neighbours=tuple(_neighbours(looked, network, values, number)),
        contributions=contributions,
        rest=rest,
    )  # fmt: skip


def _run_of(look: Look, runs: Sequence[Run], sample: object) -> Run:
    """Return the run that never saw the sample, or the first."""
    if isinstance(sample, int):
        for run in runs:
            if sample in look.data(run.fold).split.test:
                return run
    return runs[0]


def _input(data: Fold, sample: int | Path | NDArray[Any]) -> tuple[NDArray[Any], int | None]:
    """Return the stored form of a sample, [1, ...], and its number in the data set, if it is one of it."""
    dataset = data.dataset
    if isinstance(sample, int):
        if not 0 <= sample < len(dataset):
            raise UserError(
                f"sample: found {sample}; allowed: 0 to {len(dataset) - 1} ({dataset.name})"
            )
        return np.array(dataset.inputs[sample : sample + 1]), sample
    place = str(sample) if isinstance(sample, Path) else "sample"
    if isinstance(sample, Path):
        try:
            sample = np.load(sample, allow_pickle=False)
        except OSError as error:
            raise UserError(f"{place}: cannot be read ({error.strerror})") from None
        except (ValueError, EOFError):  # NumPy's own words advise to unpickle it
            raise UserError(f"{place}: found no array of numbers; allowed: an .npy file") from None
    values, expected = np.asarray(sample), dataset.inputs.shape[1:]
    if values.shape != expected:
        raise UserError(
            f"{place}: found an input of {list(values.shape)}; allowed: {list(expected)}, as in {dataset.name}"
        )
    if values.dtype.kind not in "fiu" or not np.isfinite(values).all():
        raise UserError(f"{place}: holds something that is no finite number")
    return values[None].astype(dataset.inputs.dtype), None


def _made(looked: LookedAt, modality: str, raw: NDArray[Any], number: int | None) -> Tensor:
    """Return what a network reads of a sample, [1, ...], where the network is."""
    data = looked.data
    if number is not None and not data.is_made(modality):
        values = data.samples([modality]).take(torch.tensor([number])).inputs[modality]
    else:
        values = tensor_of(np.asarray(data.maker(modality)(raw)))
    return values.to(looked.fabric.device)


def _opinion(run: Run, network: On, values: Tensor) -> Opinion:
    said = run.predictions("validation")
    temperature = 1.0 if said is None else fitted_temperature(said.logits, said.labels)
    with evaluating(network), torch.no_grad():
        logits = network.on_tensor(values).logits.float().cpu().numpy()
    return Opinion(run.stage, network.modality, softened(logits, temperature)[0], temperature)


def _teachers(
    look: Look, run: Run, raw: NDArray[Any], number: int | None
) -> tuple[tuple[Opinion, ...], tuple[str, ...]]:
    """Return what the run's teachers say, and the names of those that cannot be asked."""
    asked, silent = [], []
    for name, ancestor in run.record.teachers.items():
        mine = [one for one in look.runs if one.fingerprint == ancestor.fingerprint]
        looked = look.opened(mine[0]) if mine else None
        network = looked.network() if looked is not None else None
        if looked is None or network is None or (
            number is None and not looked.data.is_made(network.modality)
        ):  # fmt: skip
            silent.append(name)
            continue
        values = _made(looked, network.modality, raw, number)
        asked.append(_opinion(looked.run, network, values))
    return tuple(asked), tuple(silent)


def _neighbours(
    looked: LookedAt, network: On, values: Tensor, number: int | None
) -> Iterator[Neighbour]:
    """Yield the training samples whose last feature is nearest; the sample itself is left out."""
    dataset, train = looked.data.dataset, looked.data.split.train
    train = train[(dataset.labels[train] >= 0) & (train != (-1 if number is None else number))]
    if len(train) > MOST:
        train = train[np.linspace(0, len(train) - 1, MOST).astype(int)]
    samples, found = looked.samples(network), []
    with evaluating(network), torch.no_grad():
        own = network.on_tensor(values).features
        if not own:
            return
        _, mine = feature_of(own, looked.run)
        for batch in batches(samples, torch.from_numpy(train), 256):
            seen = batch.to(looked.fabric.device)
            found.append(feature_of(network(seen).features, looked.run)[1].float())
    distances = torch.cdist(mine.float(), torch.cat(found))[0]
    near = distances.argsort()[:NEAREST].tolist()
    for place in near:
        sample = int(train[place])
        who = "" if dataset.subjects is None else str(dataset.subjects[sample])
        name = dataset.class_names[dataset.labels[sample]]
        yield Neighbour(sample, name, who, float(distances[place]))


def _contributions(
    network: On, standard: Tensor, answer: int, temperature: float
) -> tuple[tuple[Contribution, ...], float]:
    """Return what the strongest concepts add to the score, and all the rest; nothing without concepts."""
    if not network.network.explains():
        return (), 0.0
    with evaluating(network), torch.no_grad():
        told = network.network.explain(standard)
        whole = float(told.logits[0, answer])
        every = [
            (abs(float(amount)), stream, number, name, float(amount))
            for stream, part in told.streams.items()
            for number, (name, amount) in enumerate(
                zip(part.names, part.contributions[0, :, :, answer].sum(dim=0), strict=True)
            )
        ]
        strongest = sorted(every, key=lambda one: -one[0])[:_CONCEPTS]
        listed = tuple(
            Contribution(
                name, amount,
                float(softened(
                    network.network.without(standard, stream, number).cpu().numpy(), temperature
                )[0, answer]),
            )
            for _, stream, number, name, amount in strongest
        )  # fmt: skip
    return listed, whole - sum(one.amount for one in listed)


def _side(data: Fold, number: int) -> str:
    return next((name for name, side in data.split.sides().items() if number in side), "")


def _words(data: Fold, sample: object, number: int | None) -> str:
    if number is None:
        return f"{sample}" if isinstance(sample, Path) else "an input from elsewhere"
    subjects = data.dataset.subjects
    who = "" if subjects is None else f", person {subjects[number]}"
    return f"sample {number} of {data.dataset.name}{who}"
