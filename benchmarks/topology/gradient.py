"""Measure forward and backward of our persistence-image layer against autograd of torch.

    python benchmarks/topology/gradient.py [--rounds 7]

The peer is what an expert writes in torch: padded diagrams, error functions and one batched product,
float32. It gets the indices of its pairs from our own kernel, so that only the differentiable image
is compared. One thread, process CPU time, peer and ours by turns in every round on the same
distinct signals, each in the best of a few batch sizes.
"""

import argparse
import json

import numpy as np
import torch
from run import HERE, ITEMS, cpu, packages, verdict

from data import geneactiv_like, pamap2_like
from tutelage.modalities import PersistenceImage
from tutelage.modalities.layer import PersistenceImageLayer
from tutelage.modalities.topology.kernel import kernel
from tutelage.modalities.topology.line_indices import line_indices

SIDE = 64
BATCHES = (16, 32, 64, 128, 256)
DATA = {
    # data, birth range, persistence range, sigma, min_persistence
    "pamap2": (pamap2_like, (0, 1), (0, 1), 0.015, 0.01),
    "geneactiv": (geneactiv_like, (-4, 4), (0, 8), 0.12, 0.08),
}
MUST, STRETCH = {"pamap2": 4.0}, {"pamap2": 9.0}


@kernel
def find_pairs(lines, minimum, pairs, counts):
    scratch = np.empty((3, lines.shape[1] + 2), np.int32)
    for n in range(len(lines)):
        counts[n] = line_indices(lines[n], minimum, scratch, pairs[n])


class Peer:
    """The same images by torch alone, but for the indices of the pairs."""

    def __init__(self, image: PersistenceImage) -> None:
        self.least = image.min_persistence
        (left, right), (low, high) = image.birth_range_, image.persistence_range_
        self.scale = [1 / (sigma * 2**0.5) for sigma in image.sigma_]
        self.across = torch.linspace(left, right, SIDE + 1)
        self.up = torch.linspace(low, high, SIDE + 1)

    def __call__(self, signals: torch.Tensor) -> torch.Tensor:
        lines = signals[:, 0]
        pairs = np.zeros((len(lines), lines.shape[1] // 2 + 1, 2), np.int32)
        counts = np.zeros(len(lines), np.int32)
        find_pairs(lines.detach().numpy().astype(np.float64), self.least, pairs, counts)
        index = torch.from_numpy(pairs[:, : max(1, counts.max())].astype(np.int64))
        there = torch.arange(index.shape[1]) < torch.from_numpy(counts)[:, None]
        births = lines.gather(1, index[..., 0])
        lives = (lines.gather(1, index[..., 1]) - births) * there
        across = torch.erf((self.across - births[..., None]) * self.scale[0]).diff(dim=2)
        up = torch.erf((self.up - lives[..., None]) * self.scale[1]).diff(dim=2)
        image = torch.bmm((up * lives[..., None]).transpose(1, 2), across).flip(1)
        return (image / image.amax(dim=(1, 2), keepdim=True).clamp_min(1e-30))[:, None]


def once(make, x: torch.Tensor, upstream: torch.Tensor, batch: int) -> list[torch.Tensor]:
    """Forward and backward over all signals; return the gradients."""
    found = []
    for start in range(0, len(x), batch):
        signals = x[start : start + batch].clone().requires_grad_()
        images = make(signals)
        images.backward(upstream[: len(signals)])
        found.append(signals.grad)
    return found


def measure(name: str, rounds: int) -> dict:
    generate, births, lives, sigma, least = DATA[name]
    x = generate(ITEMS)
    image = PersistenceImage(
        birth_range=births, persistence_range=lives, sigma=sigma, min_persistence=least
    ).fit(x[:1])
    ours, peer, x = PersistenceImageLayer(image), Peer(image), torch.from_numpy(x)
    upstream = torch.randn(max(BATCHES), 1, SIDE, SIDE, generator=torch.manual_seed(0))

    mine, theirs = (torch.cat(once(make, x[:256], upstream, 64)) for make in (ours, peer))
    seen = (ours(x[:256]) > 0).any(dim=(1, 2, 3))  # both: an image of far tails is 0 / 0
    difference = float(((mine - theirs)[seen]).norm() / theirs[seen].norm())
    assert difference < 1e-3, difference

    best = {}
    part = x[:512]
    for who, make in (("ours", ours), ("peer", peer)):
        trials = {
            batch: min(cpu(lambda b=batch, m=make: once(m, part, upstream, b)) for _ in range(3))
            for batch in BATCHES
        }
        best[who] = min(trials, key=trials.__getitem__)
    ratios, own, other = [], [], []
    for k in range(-1, rounds):  # the first round warms up both sides
        before = cpu(lambda: once(ours, x, upstream, best["ours"]))
        slow = cpu(lambda: once(peer, x, upstream, best["peer"]))
        after = cpu(lambda: once(ours, x, upstream, best["ours"]))
        if k >= 0:
            own.append((before + after) / 2 / len(x) * 1e6)  # the machine drifts
            other.append(slow / len(x) * 1e6)
            ratios.append(other[-1] / own[-1])
    return {
        "data": name,
        "ratio": float(np.median(ratios)),
        "ratio_low": min(ratios),
        "ratio_high": max(ratios),
        "ours_us": float(np.median(own)),
        "peer_us": float(np.median(other)),
        "ours_batch": best["ours"],
        "peer_batch": best["peer"],
        "must": MUST.get(name),
        "stretch": STRETCH.get(name),
        "gradient_difference": difference,
    }


def table(result: dict) -> str:
    lines = [
        "# Forward and backward of a persistence-image layer against autograd of torch",
        "",
        f"Command: `{result['command']}`  ",
        "One thread, process CPU time per signal, interleaved; the ratio is the median over "
        f"{result['rounds']} rounds of peer / ours on {result['items']} distinct signals, with the "
        "lowest and highest round. Images are 64 x 64 and divided by their maximum. The peer: "
        "padded diagrams, erf and one batched product in torch, float32; it gets the indices of "
        "its pairs from our kernel. Each side runs in its best batch size of "
        f"{', '.join(map(str, BATCHES))}. `difference` is the norm of the difference of the "
        "gradients of the signals, relative.",
        "",
        "Other people's programs ran on the machine: trust the ratios, not the microseconds.  ",
        "Versions: " + ", ".join(f"{k} {v}" for k, v in result["versions"].items()),
        "",
        "| data | ratio | range | ours us (batch) | peer us (batch) | must | stretch | verdict | difference |",
        "|---|---:|---:|---:|---:|---:|---:|---|---:|",
    ]
    for row in result["rows"]:
        targets = [f"{row[k]:g}" if row[k] else "-" for k in ("must", "stretch")]
        lines.append(
            f"| {row['data']} | **{row['ratio']:.3g}** | {row['ratio_low']:.3g} - "
            f"{row['ratio_high']:.3g} | {row['ours_us']:.1f} ({row['ours_batch']}) | "
            f"{row['peer_us']:.1f} ({row['peer_batch']}) | {targets[0]} | {targets[1]} | "
            f"{verdict(row)} | {row['gradient_difference']:.1e} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--only", default="", help="data whose name contains this; writes nothing")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    for name in DATA:
        if arguments.only in name:
            rows.append(measure(name, arguments.rounds))
            print(json.dumps(rows[-1]), flush=True)
    if arguments.only:
        return
    result = {
        "command": "python benchmarks/topology/gradient.py",
        "rounds": arguments.rounds,
        "items": ITEMS,
        "versions": {k: v for k, v in packages().items() if k in KNOWN},
        "rows": rows,
    }
    (HERE / "gradient.json").write_text(json.dumps(result, indent=1) + "\n")
    (HERE / "gradient.md").write_text(table(result))


KNOWN = ("python", "processor", "numpy", "numba", "scipy", "torch")

if __name__ == "__main__":
    main()
