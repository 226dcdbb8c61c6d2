"""The folder that leaves the house: every wanted file, each with the proof that it is still the model."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tutelage import checkpoint
from tutelage.errors import UserError
from tutelage.export import tools
from tutelage.export.cost import FileCost, cost_of
from tutelage.export.facts import ModelFacts
from tutelage.export.formats import Making, chosen_formats, formats_of
from tutelage.export.micro import run_micro
from tutelage.export.models import MODELS
from tutelage.export.parity import FLOAT, LOSS, MicroParity, Parity, micro_parity_of, parity_of
from tutelage.files import replacing_folder
from tutelage.models import On

__all__ = ["TRUTH", "ReferenceWindows", "Shipped", "refuse_existing", "write_package"]

TRUTH = {
    "test": "the predictions that the run stored of its test windows",
    "training": "the network in PyTorch, on windows it was trained on",
}
"""What files are held against, by the side of the split that the windows are of."""


@dataclass(frozen=True)
class ReferenceWindows:
    """What files are held against.

    Args:
        windows: [n, ...], as the data set stores them.
        labels: [n].
        subjects: [n], or None.
        logits: what the run said of them, [n, C].
        shown: training windows that quantisation looks at, [m, ...].
        side: of the split, that the windows are of.
    """

    windows: NDArray[np.float32]
    labels: NDArray[np.int64]
    subjects: Sequence[str] | None
    logits: NDArray[np.float32]
    shown: NDArray[np.float32]
    side: Literal["test", "training"] = "test"


@dataclass(frozen=True)
class Shipped:
    """What was written.

    Args:
        folder: where it lies.
        facts: of the model.
        parity: name of a file -> its comparison with the run.
        cost: name of a file -> what it costs.
        losses: files that lose more than is allowed and were accepted.
        micro: name of an int8 TensorFlow Lite file -> what the interpreter of microcontrollers said.
        windows: side of the split that files were run over.
    """

    folder: Path
    facts: ModelFacts
    parity: dict[str, Parity] = field(default_factory=dict)
    cost: dict[str, FileCost] = field(default_factory=dict)
    losses: tuple[str, ...] = ()
    micro: dict[str, MicroParity] = field(default_factory=dict)
    windows: Literal["test", "training"] = "test"


def refuse_existing(folder: Path, force: bool) -> None:
    """Do nothing where a package may be written.

    Raises:
        UserError: something is there, and nobody said that it may be replaced; or it is no package.
    """
    if not folder.exists():
        return
    if not force:
        raise UserError(
            f"{folder}: is there already; --force replaces it, --to FOLDER writes elsewhere"
        )
    if not folder.is_dir() or (any(folder.iterdir()) and not (folder / "parity.json").is_file()):
        raise UserError(
            f"{folder}: is no folder of tutelage ship, so --force does not replace it; --to FOLDER writes "
            "elsewhere"
        )


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
        formats: some of :data:`~tutelage.export.formats.FORMATS`; all for none.
        accept_loss: keep an int8 file that has lost more than half a point of accuracy.
        force: replace a folder that is there.
        progress: called with a text and the fraction done.

    Raises:
        UserError: the folder is there; a format cannot be written; a float file differs from the run; an int8 file
            loses too much.
    """
    kinds = formats_of(network)
    wanted = chosen_formats(formats, kinds)
    refuse_existing(folder, force)
    if not len(evidence.labels):
        raise UserError(
            "ship: the test split has no windows, so nothing shows that a file is still the model"
        )
    with replacing_folder(folder) as part:
        shipped = _fill(
            part, network, facts, evidence, wanted, accept_loss, progress or (lambda *_: None)
        )
        keep = {kinds[name].file for name in (formats or wanted)}
        for name in {kinds[name].file for name in wanted} - keep:
            (part / name).unlink()
        shipped = replace(
            shipped,
            folder=folder,
            parity={name: p for name, p in shipped.parity.items() if name in keep},
            cost={name: c for name, c in shipped.cost.items() if name in keep},
            micro={name: m for name, m in shipped.micro.items() if name in keep},
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
    shipped, losses, kinds = Shipped(folder, facts, windows=evidence.side), [], formats_of(network)
    for number, name in enumerate(wanted):
        kind = kinds[name]
        path, source = folder / kind.file, folder / kinds[kind.source or name].file
        progress(f"writing {kind.file}", number / len(wanted))
        facts = kind.write(Making(network, facts, evidence.shown, path, source))
        if not kind.runs:
            continue
        progress(f"asking {kind.file}", (number + 0.5) / len(wanted))
        said = MODELS[path.suffix](path).logits(evidence.windows)
        parity = parity_of(said, evidence.logits, evidence.labels, evidence.subjects)
        losses += _judge(path.name, kind.coded, parity, accept_loss)
        shipped.parity[path.name] = parity
        micro = run_micro(path, evidence.windows) if tools.micro_runtime in kind.needs else None
        if micro is not None:
            shipped.micro[path.name] = micro_parity_of(
                micro, said, evidence.logits, evidence.labels, facts.step
            )
        shipped.cost[path.name] = cost_of(path, evidence.windows[0], micro)
    return replace(shipped, facts=facts, losses=tuple(losses))


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


def _plain(shipped: Shipped) -> dict[str, Any]:
    files = {
        name: {
            "parity": asdict(parity),
            **({"micro": asdict(shipped.micro[name])} if name in shipped.micro else {}),
            "cost": asdict(shipped.cost[name]),
        }
        for name, parity in shipped.parity.items()
    }
    content: dict[str, Any] = json.loads(
        json.dumps(
            {
                "schema": 1,
                "run": shipped.facts.run,
                "windows": shipped.windows,
                "truth": TRUTH[shipped.windows],
                "files": files,
                "accepted_losses": shipped.losses,
            }
        )
    )
    return content
