"""One complete run read back: its record, its evaluations, and its other files when they are asked for."""

from dataclasses import dataclass
from pathlib import Path

from tutelage.runs.attention import AttentionMaps, read_attention
from tutelage.runs.embedding import EmbeddingMaps, read_embedding
from tutelage.runs.explanations import Explanations
from tutelage.runs.inspection import Inspection
from tutelage.runs.logs import EPOCH, Epoch
from tutelage.runs.predictions import Predictions, SampleTraces
from tutelage.runs.records import Evaluation, RunRecord, Split
from tutelage.runs.robustness import Robustness
from tutelage.runs.schema import read_lines


@dataclass(frozen=True)
class Run:
    """One complete run: what it answers, its record and its evaluations.

    Two stages that ask for the same network share one run folder, so ``stage`` is the stage of the
    experiment; ``record.stage`` is the one it was trained for. ``robustness`` is what it is worth on damaged test
    inputs, None where the experiment does not ask or its file does not tell.
    """

    stage: str
    fold: str
    seed: int
    record: RunRecord
    evaluations: dict[Split, Evaluation]
    path: str
    folder: Path
    robustness: Robustness | None = None

    @property
    def key(self) -> tuple[str, int]:
        """What runs are matched by: fold and seed."""
        return self.fold, self.seed

    @property
    def fingerprint(self) -> str:
        """The identity of data, split, configuration, seed and ancestors."""
        return self.record.fingerprint

    @property
    def classes(self) -> int:
        """How many classes it knows."""
        return len(self.record.data.class_names)

    def curve(self) -> tuple[Epoch, ...]:
        """Read ``metrics.jsonl``; empty where there is none."""
        return read_lines(EPOCH, self.folder / "metrics.jsonl")

    def predictions(self, split: Split = "test") -> Predictions | None:
        """Read the predictions of a split, or None where none were written.

        Raises:
            UserError: the file is damaged.
        """
        path = self.folder / f"predictions-{split}.npz"
        return Predictions.load(path) if path.is_file() else None

    def sample_traces(self) -> SampleTraces | None:
        """Read ``traces.npz``, or None where nothing was recorded.

        Raises:
            UserError: the file is damaged.
        """
        path = self.folder / "traces.npz"
        return SampleTraces.load(path) if path.is_file() else None

    def inspection(self) -> Inspection | None:
        """Read ``inspection.npz``, or None where no objective showed anything.

        Raises:
            UserError: the file is damaged, or contradicts itself or the predictions.
        """
        path = self.folder / "inspection.npz"
        if not path.is_file():
            return None
        said = self.predictions("validation")
        return Inspection.load(path, self.classes, None if said is None else said.classes)

    def explanations(self) -> Explanations | None:
        """Read ``explanations.npz``, or None where the network explains nothing.

        Raises:
            UserError: the file is damaged, or contradicts itself or the predictions.
        """
        path = self.folder / "explanations.npz"
        if not path.is_file():
            return None
        return Explanations.load(path, self.classes, self.predictions("validation"))

    def attention(self) -> AttentionMaps | None:
        """Read ``attention.npz``, or None where nobody has looked.

        Raises:
            UserError: the file is damaged, or of another run.
        """
        return read_attention(self.folder, self.fingerprint)

    def embedding(self) -> EmbeddingMaps | None:
        """Read ``embedding.npz``, or None where nobody has looked.

        Raises:
            UserError: the file is damaged, or of another run.
        """
        return read_embedding(self.folder, self.fingerprint)
