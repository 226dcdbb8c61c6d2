"""Robots with known parts and a known rule, and a small dual encoder that has read what can be seen of each.

python -m benchmarks.concepts.robots        -> stand-ins/robots (images and annotations, the encoder)

Robots are drawn by concept-benchmark (MIT; Skirzyński et al.): ``pip install --no-deps concept-benchmark colorir
pero pycairo dill`` beside the packages of this project, and the library cairo. Its rule makes a robot a glorp with
a probability that rises with the parts that speak for it.
"""

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional as F

PHRASES = {
    "head_shape": ("square head", "round head"),
    "body_shape": ("square body", "round body"),
    "has_knees": ("legs without knees", "knees on both legs"),
    "has_elbows": ("arms without elbows", "elbows on both arms"),
    "has_antennae": ("bare head without antennae", "antennae on the head"),
    "ears_shape": ("square ears", "triangle ears"),
    "mouth_type": ("closed mouth", "open mouth"),
    "hand_shape": ("round hands", "edgy hands"),
    "foot_shape": ("flat feet", "pointy feet"),
}
"""Column of the annotations -> what is said where it is 0 and where it is 1; kinds of feet are said as named."""
RULE = {
    "closed mouth": 6, "round body": 6, "round head": 6, "antennae on the head": 6, "triangle ears": 6,
    "pointy feet": 8, "knees on both legs": -3, "elbows on both arms": -2,
}  # fmt: skip
"""What speaks for a glorp in the benchmark's balanced rule."""
CLASSES = ("drent", "glorp")
_DIM = 64


def phrases(columns: Sequence[str]) -> list[str]:
    """Return what may be said, in the order of :func:`said`."""
    told = [text for column in PHRASES for text in PHRASES[column]]
    return told + [_foot(c) for c in columns if c.startswith("foot_shape_")]


def _foot(column: str) -> str:
    _, _, kind, form = column.split("_")
    return f"{kind} {form} feet"


def said(annotations: Tensor, columns: Sequence[str]) -> Tensor:
    """Return which phrases hold of each robot, [n, M] of zeros and ones, from annotations [n, columns]."""
    place = {column: i for i, column in enumerate(columns)}
    two = [abs(annotations[:, place[c]] - other) for c in PHRASES for other in (1.0, 0.0)]
    feet = [annotations[:, place[c]] for c in columns if c.startswith("foot_shape_")]
    return torch.stack([*two, *feet], dim=1)


class Words(nn.Module):
    """Texts as sums of the vectors of their words; the vector of a word that nobody said is drawn, and stays."""

    def __init__(self, known: Sequence[str]) -> None:
        super().__init__()
        self.known = sorted({word for text in known for word in text.split()})
        self.vectors = nn.Parameter(torch.randn(len(self.known), _DIM))

    def forward(self, texts: Sequence[str]) -> Tensor:
        """Return unit vectors of texts, [n, D]."""
        rows = [torch.stack([self._vector(word) for word in text.split()]).sum(0) for text in texts]
        return F.normalize(torch.stack(rows), dim=1)

    def _vector(self, word: str) -> Tensor:
        if word in self.known:
            return self.vectors[self.known.index(word)]
        seed = int.from_bytes(word.encode()[:7], "big")
        return torch.randn(_DIM, generator=torch.Generator().manual_seed(seed))


class Encoder(nn.Module):
    """Pictures and phrases in one space: is this phrase true of that robot? (SigLIP's loss, several are true.)"""

    def __init__(self, known: Sequence[str]) -> None:
        super().__init__()
        self.words = Words(known)
        layers: list[nn.Module] = []
        for a, b in ((3, 24), (24, 48), (48, 64)):
            layers += [nn.Conv2d(a, b, 3, 2, 1, bias=False), nn.BatchNorm2d(b), nn.ReLU()]
        # Where something is tells what it is: a robot stands still, so places are kept.
        self.pictures = nn.Sequential(*layers, nn.Flatten(), nn.Linear(64 * 16, _DIM))
        self.scale, self.bias = nn.Parameter(torch.tensor(2.3)), nn.Parameter(torch.tensor(0.0))

    def see(self, x: Tensor) -> Tensor:
        """Return unit vectors of pictures, uint8 [n, 3, 32, 32]."""
        return F.normalize(self.pictures(x.float() / 127.5 - 1), dim=1)

    def loss(self, x: Tensor, true: Tensor, texts: Sequence[str]) -> Tensor:
        """Return the mean cross entropy of all pairs of a picture and a phrase."""
        logits = self.scale.exp() * self.see(x) @ self.words(texts).mT + self.bias
        return F.binary_cross_entropy_with_logits(logits, true)


def draw(seed: int) -> tuple[Tensor, Tensor, Tensor, list[str]]:
    """Return pictures, annotations, labels and columns of one robot of each kind, 7,680."""
    import os

    with tempfile.TemporaryDirectory() as folder:
        os.environ["CONCEPT_BENCHMARK_DATA_DIR"] = folder
        try:
            from concept_benchmark.robots import DatasetGenerator
        except ImportError as error:
            raise SystemExit(
                f"{error}: pip install --no-deps concept-benchmark colorir pero pycairo dill"
            ) from error
        from PIL import Image

        data = DatasetGenerator(
            seed=seed, data_type="image", concept_preset="foot_subtypes", label_rule="balanced",
            image_size="medium", renders_per_robot=1,
        ).generate()  # fmt: skip
        paths = {path.name: path for path in Path(folder).rglob("*.png")}
        pictures = [np.asarray(Image.open(paths[name]).convert("RGB")) for name in data.inputs]
    x = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).contiguous()
    annotations = torch.from_numpy(np.asarray(data.C, np.float32))
    return x, annotations, torch.from_numpy(np.asarray(data.y)).long(), list(data.concepts)


def school(x: Tensor, true: Tensor, texts: Sequence[str], epochs: int, seed: int) -> Encoder:
    """Return an encoder that has been told which phrases hold of each picture."""
    torch.manual_seed(seed)
    encoder = Encoder(texts)
    optimizer = torch.optim.AdamW(encoder.parameters(), 2e-3, weight_decay=0.05)
    steps = epochs * (len(x) // 128)
    cycle = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, steps)
    for step in range(steps):
        ids = torch.randint(len(x), (128,))
        loss = encoder.loss(x[ids], true[ids], texts)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        cycle.step()
        if step % 100 == 0:
            print(f"step {step} of {steps}: {float(loss):.3f} nats", flush=True)
    return encoder.eval()


def main() -> None:
    """Draw robots, teach the encoder on one half of them and keep what it says of the other."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("stand-ins", "robots"))
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--seed", type=int, default=1014)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    drawn = options.out / "robots.npz"
    if not drawn.exists():
        x, annotations, labels, columns = draw(options.seed)
        np.savez_compressed(
            drawn, x=x, annotations=annotations, labels=labels, columns=np.array(columns)
        )
    held = np.load(drawn)
    x, annotations = torch.from_numpy(held["x"]), torch.from_numpy(held["annotations"])
    columns = held["columns"].tolist()
    texts, true = phrases(columns), said(annotations, columns)
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(options.seed))
    told, other = order[: len(x) // 2], order[len(x) // 2 :]
    encoder = school(x[told], true[told], texts, options.epochs, options.seed)
    with torch.no_grad():
        samples = torch.cat([encoder.see(part) for part in x[other].split(256)])
    kept = {"samples": samples, "labels": torch.from_numpy(held["labels"])[other]}
    kept |= {"true": true[other], "words": encoder.words.vectors.detach()}
    save_file({k: v.contiguous() for k, v in kept.items()}, options.out / "encoder.safetensors")
    (options.out / "columns.txt").write_text("\n".join(columns) + "\n")


def load(folder: Path) -> tuple[dict[str, Tensor], list[str], Words]:
    """Return what ``main`` kept, the phrases and the tower of texts."""
    kept = load_file(folder / "encoder.safetensors")
    texts = phrases((folder / "columns.txt").read_text().split())
    words = Words(texts)
    words.vectors.data = kept["words"]
    return kept, texts, words


if __name__ == "__main__":
    main()
