"""The folder that leaves the house: every wanted file, each with the proof that it is still the model."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tutelage import checkpoint
from tutelage.errors import UserError, unknown
from tutelage.export.cost import FileCost, cost_of
from tutelage.export.facts import ModelFacts
from tutelage.export.lite import header, quantise_lite, write_learned_lite, write_lite
from tutelage.export.models import LiteModel, Model, OnnxModel
from tutelage.export.onnx import export_onnx, label_onnx, quantise_onnx, write_learned_onnx
from tutelage.export.parity import FLOAT, LOSS, Parity, parity_of
from tutelage.files import replacing_folder
from tutelage.models import On, Quantised

__all__ = ["FORMATS", "ReferenceWindows", "Shipped", "write_package"]

FORMATS = ("onnx", "onnx-int8", "tflite", "tflite-int8", "c")
"""What may be shipped; ``c`` is the int8 TensorFlow Lite file as a C array."""
FILES = {
    "onnx": "model.onnx", "onnx-int8": "model.int8.onnx",
    "tflite": "model.tflite", "tflite-int8": "model.int8.tflite", "c": "model.h",
}  # fmt: skip
_NEEDS = {"onnx-int8": "onnx", "tflite-int8": "tflite", "c": "tflite-int8"}
_FLOAT = ("onnx", "tflite")


@dataclass(frozen=True)
class ReferenceWindows:
    """What files are held against.

    Args:
        windows: of the test split, [n, ...], as the data set stores them.
        labels: [n].
        subjects: [n], or None.
        logits: what the run said of them, [n, C].
        shown: training windows that quantisation looks at, [m, ...].
    """

    windows: NDArray[np.float32]
    labels: NDArray[np.int64]
    subjects: Sequence[str] | None
    logits: NDArray[np.float32]
    shown: NDArray[np.float32]


@dataclass(frozen=True)
class Shipped:
    """What was written.

    Args:
        folder: where it lies.
        facts: of the model.
        parity: name of a file -> its comparison with the run.
        cost: name of a file -> what it costs.
        losses: files that lose more than is allowed and were accepted.
    """

    folder: Path
    facts: ModelFacts
    parity: dict[str, Parity] = field(default_factory=dict)
    cost: dict[str, FileCost] = field(default_factory=dict)
    losses: tuple[str, ...] = ()


def chosen_formats(wanted: Sequence[str], learned: bool = False) -> tuple[str, ...]:
    """Return the wanted formats with those they are made from, in the order they are made; all for none.

    Args:
        wanted: names.
        learned: the network was trained with simulated int8, so no float file says what it says.

    Raises:
        UserError: there is no such format, or not of this network.
    """
    for name in wanted:
        if name not in FORMATS:
            raise unknown("--formats", "format", name, FORMATS)
    if learned:
        coded = [name for name in FORMATS if name not in _FLOAT]
        for name in set(wanted) & set(_FLOAT):
            raise UserError(
                f"--formats: {name} is a float file, but the network was trained as int8 "
                f"(allowed: {', '.join(coded)})"
            )
        both = {*(wanted or coded), *({"tflite-int8"} if "c" in wanted else ())}
        return tuple(name for name in coded if name in both)
    needed = set(wanted or FORMATS)
    while more := {_NEEDS[name] for name in needed if name in _NEEDS} - needed:
        needed |= more
    return tuple(name for name in FORMATS if name in needed)


def write_package(
    network: On,
    facts: ModelFacts,
    evidence: ReferenceWindows,
    folder: Path,
    card: Callable[[Shipped], str],
    *,
    formats: Sequence[str] = (),
    accept_loss: bool = False,
    force: bool = False,
    progress: Callable[[str, float], None] | None = None,
) -> Shipped:
    """Write the files of a model, compare each with the run, measure each; all of it or nothing appears.

    Args:
        network: in evaluation mode, on the CPU.
        facts: of it.
        evidence: what files are held against.
        folder: of the package.
        card: writes ``card.md`` from what came out.
        formats: some of :data:`FORMATS`; all for none.
        accept_loss: keep an int8 file that has lost more than half a point of accuracy.
        force: replace a folder that is there.
        progress: called with a text and the fraction done.

    Raises:
        UserError: the folder is there; a format cannot be written; a float file differs from the run; an int8 file
            loses too much.
    """
    learned = isinstance(network.network, Quantised)
    wanted = chosen_formats(formats, learned)
    if folder.exists() and not force:
        raise UserError(
            f"{folder}: is there already; --force replaces it, --to FOLDER writes elsewhere"
        )
    if not len(evidence.labels):
        raise UserError(
            "ship: the test split has no windows, so nothing shows that a file is still the model"
        )
    with replacing_folder(folder) as part:
        shipped = _fill(
            part, network, facts, evidence, wanted, accept_loss, progress or (lambda *_: None)
        )
        keep = {FILES[name] for name in (formats or wanted)}
        for name in wanted:
            if FILES[name] not in keep:
                (part / FILES[name]).unlink()
        shipped = replace(
            shipped,
            folder=folder,
            parity={name: p for name, p in shipped.parity.items() if name in keep},
            cost={name: c for name, c in shipped.cost.items() if name in keep},
        )
        sums = {path.name: checkpoint.digest(path) for path in sorted(part.iterdir())}
        checkpoint.write_json(part / "model.json", replace(shipped.facts, sha256=sums).plain())
        checkpoint.write_json(part / "parity.json", _plain(shipped))
        (part / "card.md").write_text(card(shipped), encoding="utf-8")
    return shipped


def _fill(
    folder: Path,
    network: On,
    facts: ModelFacts,
    evidence: ReferenceWindows,
    wanted: Sequence[str],
    accept_loss: bool,
    progress: Callable[[str, float], None],
) -> Shipped:
    shipped, losses = Shipped(folder, facts), []
    for number, name in enumerate(wanted):
        path = folder / FILES[name]
        progress(f"writing {path.name}", number / len(wanted))
        if name == "c":
            path.write_text(
                header((folder / FILES["tflite-int8"]).read_bytes(), facts), encoding="ascii"
            )
            continue
        facts = _write(name, network, facts, evidence, folder, path)
        parity = parity_of(
            _open(path).logits(evidence.windows),
            evidence.logits,
            evidence.labels,
            evidence.subjects,
        )
        losses += _judge(path.name, name.endswith("int8"), parity, accept_loss)
        shipped.parity[path.name] = parity
        shipped.cost[path.name] = cost_of(path, evidence.windows[0])
    return replace(shipped, facts=facts, losses=tuple(losses))


def _write(
    name: str, network: On, facts: ModelFacts, evidence: ReferenceWindows, folder: Path, path: Path
) -> ModelFacts:
    learned = isinstance(network.network, Quantised)
    if name == "onnx":
        export_onnx(network, facts.shape, path)
        label_onnx(path, facts.metadata())
    elif name == "onnx-int8" and learned:
        write_learned_onnx(network, facts.shape, path)
        label_onnx(path, facts.metadata())
    elif name == "onnx-int8":
        quantise_onnx(folder / FILES["onnx"], evidence.shown, path)
        label_onnx(path, facts.metadata())
    elif name == "tflite":
        write_lite(network, facts, path)
    elif learned:
        return write_learned_lite(network, facts, path)
    else:
        return quantise_lite(folder / FILES["tflite"], facts, evidence.shown, path)
    return facts


def _judge(name: str, coded: bool, parity: Parity, accept_loss: bool) -> list[str]:
    """Refuse a file that is not the model any more; return its name where the loss is accepted."""
    if not coded and not parity.exact:
        raise UserError(
            f"{name}: a score differs by {parity.largest:.2g} from the run's (allowed: {FLOAT:g} of the largest, "
            f"{parity.scale:.3g}), so it is not the model that was measured"
        )
    if not (coded and parity.lossy):
        return []
    low, high = (100 * end for end in parity.accuracy_interval)
    if not accept_loss:
        raise UserError(
            f"{name}: changes accuracy by {100 * parity.accuracy_difference:+.2f} points (95 % {low:+.2f} to "
            f"{high:+.2f}; allowed: {100 * LOSS:g}); --accept-loss keeps it"
        )
    return [name]


def _open(path: Path) -> Model:
    return OnnxModel(path) if path.suffix == ".onnx" else LiteModel(path)


def _plain(shipped: Shipped) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(
        json.dumps(
            {
                "schema": 1,
                "run": shipped.facts.run,
                "files": {
                    name: {"parity": asdict(parity), "cost": asdict(shipped.cost[name])}
                    for name, parity in shipped.parity.items()
                },
                "accepted_losses": shipped.losses,
            }
        )
    )
    return content
