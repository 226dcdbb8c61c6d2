"""Choosing concepts for 1000 classes x 500 candidates, 50 of each, embeddings of 768 numbers: ours, and apricot.

python -m benchmarks.concept_selection.run

Embeddings are generated: sentences of a class lie around 40 topics, and all share a common direction, as CLIP's
do. Picks depend on them, time hardly: apricot and naive greedy do the same work for any numbers, lazy greedy's is
counted. apricot-select compiles its kernels anew for every fit; "kernels kept" is a change in this script, which
its users do not have. Peers run on the first classes only, on the same precomputed matrices, for coverage alone:
apricot's mixture of two functions fails with NumPy 2.
"""

import argparse
import time
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from statistics import median

import apricot
import numpy as np
import torch
from apricot.functions import facilityLocation
from torch import Tensor
from torch.nn import functional as F

from benchmarks.common import ratio, rounds, write
from tutelage.concepts.greedy import lazy_greedy, likeness, naive_greedy
from tutelage.concepts.scores import concept_scores
from tutelage.concepts.selection import Criterion, select_concepts

CANDIDATES, COUNT, SIZE, TOPICS = 500, 50, 768, 40
KERNELS = "calculate_gains", "calculate_gains_sieve"


def sentences(classes: int) -> Tensor:
    """Text embeddings, [classes * 500, 768], of unit length."""
    random = torch.Generator().manual_seed(0)
    common = 2 * torch.randn(SIZE, generator=random)
    found = torch.empty(classes, CANDIDATES, SIZE)
    for rows in found:
        centre = common + torch.randn(SIZE, generator=random)
        topics = centre + torch.randn(TOPICS, SIZE, generator=random)
        place = torch.randint(TOPICS, (CANDIDATES,), generator=random)
        noise = torch.randn(CANDIDATES, SIZE, generator=random)
        rows.copy_(F.normalize(topics[place] + 0.7 * noise, dim=1))
    return found.flatten(0, 1)


def mean_images(texts: Tensor) -> Tensor:
    """Mean image embedding of each class: near its sentences, but off, as images are in CLIP's space."""
    random = torch.Generator().manual_seed(1)
    near = texts.unflatten(0, (-1, CANDIDATES)).mean(dim=1)
    return F.normalize(near + 0.03 * torch.randn(near.shape, generator=random), dim=1)


def apricots(matrix: np.ndarray) -> list[int]:
    peer = apricot.FacilityLocationSelection(COUNT, metric="precomputed", optimizer="naive")
    return peer.fit(matrix).ranking.tolist()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--classes", type=int, default=1000)
    parser.add_argument("--peer-classes", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    texts = sentences(options.classes)
    means = mean_images(texts)
    candidates = [range(i, i + CANDIDATES) for i in range(0, len(texts), CANDIDATES)]
    rule = Criterion()
    scores = concept_scores(means, texts)
    chosen = select_concepts(scores, texts, candidates, COUNT, rule)
    matrices = [
        # On a grid where sums are exact in any order, so that all three see the same ties.
        np.rint(likeness(texts[own.start : own.stop]).double().numpy() * 2**30) / 2**30
        for own in candidates[: options.peer_classes]
    ]
    nothing = np.zeros(CANDIDATES)
    spent: dict[str, list[float]] = {}

    def timed(name: str, run: Callable[[], object]) -> Callable[[], None]:
        def clocked() -> None:
            start = time.process_time()
            run()
            spent.setdefault(name, []).append(time.process_time() - start)

        return clocked

    builders = {name: getattr(facilityLocation, name) for name in KERNELS}
    keepers = {name: lru_cache(build) for name, build in builders.items()}

    def fast_apricot() -> None:
        vars(facilityLocation).update(keepers)
        for matrix in matrices:
            apricots(matrix)
        vars(facilityLocation).update(builders)

    whole = {
        "scores of all concepts": lambda: concept_scores(means, texts),
        "likenesses and lazy greedy": lambda: select_concepts(
            scores, texts, candidates, COUNT, rule
        ),
    }
    part = {
        "lazy greedy": lambda: [lazy_greedy(nothing, matrix, COUNT) for matrix in matrices],
        "naive greedy": lambda: [naive_greedy(nothing, matrix, COUNT) for matrix in matrices],
        "apricot, naive": lambda: [apricots(matrix) for matrix in matrices],
        "apricot, naive, kernels kept": fast_apricot,
    }
    seconds = {
        **rounds({name: timed(name, run) for name, run in whole.items()}, options.rounds, warm=0),
        **rounds({name: timed(name, run) for name, run in part.items()}, options.rounds),
    }
    table = [["step", "classes", "seconds", "processor seconds", "ms a class", "lazy is faster"]]
    for name, measured in seconds.items():
        classes = options.classes if name in whole else len(matrices)
        middle = median(measured)
        faster = f"{ratio(seconds, name, 'lazy greedy'):.1f}" if name in part else ""
        table.append(
            [
                name,
                str(classes),
                f"{middle:.2f}",
                f"{median(spent[name][-options.rounds :]):.2f}",
                f"{1000 * middle / classes:.2f}",
                faster,
            ]
        )
    lazy = [lazy_greedy(nothing, matrix, COUNT) for matrix in matrices]
    naive = [naive_greedy(nothing, matrix, COUNT) for matrix in matrices]
    same = sum(a.order == b.order and a.gains == b.gains for a, b in zip(lazy, naive, strict=True))
    peers = sum(
        list(found.order) == apricots(matrix) for found, matrix in zip(lazy, matrices, strict=True)
    )
    counted = np.mean([picks.evaluations for picks in chosen.picks]) / COUNT
    total = median(a + b for a, b in zip(*(seconds[name] for name in whole), strict=True))
    result = {
        "seconds": seconds,
        "processor seconds": spent,
        "total": f"scores and selection for {options.classes} classes x {CANDIDATES} candidates, "
        f"{COUNT} of each: {total:.0f} s (median of {options.rounds}).",
        "work": f"naive greedy computes {CANDIDATES} gains a pick; lazy greedy computed {counted:.0f} on average "
        f"over all classes with scores and coverage, "
        f"{np.mean([picks.evaluations for picks in lazy]) / COUNT:.0f} for coverage alone.",
        "picks": f"for coverage alone lazy and naive greedy agree to the bit in {same} of {len(matrices)} "
        f"classes, lazy greedy and apricot-select {apricot.__version__} pick for pick in {peers}.",
    }
    write(Path(__file__).parent, "python -m benchmarks.concept_selection.run", result, table)


if __name__ == "__main__":
    main()
