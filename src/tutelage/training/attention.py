"""Where trained networks look: activation maps, evidence for the true class, AMD's maps and their angles."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from tutelage.batches import batches
from tutelage.errors import UserError
from tutelage.interpret.grad_cam import grad_cam
from tutelage.losses.angular_margin import looking_angles
from tutelage.modes import evaluating
from tutelage.runs.attention import AttentionHeader, AttentionMaps, read_attention
from tutelage.training.looking import LookedAt, test_samples

__all__ = ["SHOWN", "attention_of", "shown_samples"]

SHOWN = 6
"""Samples that are drawn, of different classes."""
MOST = 2000
MARGIN = 1.35  # of AMD, in its paper


def attention_of(looked: LookedAt) -> AttentionMaps:
    """Return what a run folder holds of this network, or look at the network and keep it there.

    Raises:
        UserError: the network has no feature with places, or is not what its folder says.
    """
    index = shown_samples(looked)
    known = _known(looked, index)
    if known is None:
        known = attend(looked, index)
        known.save(looked.run.folder)
    return known


def shown_samples(looked: LookedAt) -> NDArray[np.int64]:
    """Return one test sample of each of the first classes, the same for every network of a fold."""
    test, labels = test_samples(looked.data, MOST), looked.data.dataset.labels
    firsts = [
        test[labels[test] == number][:1] for number in range(len(looked.data.dataset.class_names))
    ]
    return np.concatenate(firsts)[:SHOWN]


def attend(looked: LookedAt, index: NDArray[np.int64]) -> AttentionMaps:
    """Look at a network.

    Args:
        looked: the network.
        index: the samples that are shown.
    """
    network, data = looked.network(), looked.data
    samples, labels = looked.samples(network), data.dataset.labels[index].astype(np.int64)
    values = network.cut(samples.take(torch.from_numpy(index)).inputs[network.modality])
    standard = network.standardise(values)
    evidence, read = grad_cam(network.network, standard, torch.from_numpy(labels))
    name, feature = _mapped(looked, standard)
    angles, _ = looking_angles(feature)
    space = standard.shape[2:]
    maps = {
        "activation": feature.square().sum(dim=1),
        "evidence": evidence,
        "positive": torch.cos(MARGIN * angles).clamp(min=0),
        "negative": 1 - torch.cos(angles),
    }
    inside, outside = _angles(looked, name)
    header = AttentionHeader(1, looked.run.fingerprint, looked.weights, name, read)
    return AttentionMaps(
        header, index, labels, values.double().numpy(),
        {key: _stretched(one, space) for key, one in maps.items()}, inside, outside,
    )  # fmt: skip


def _mapped(looked: LookedAt, standard: Tensor) -> tuple[str, Tensor]:
    """Return the last feature with places, by name."""
    network = looked.network().network
    with evaluating(network), torch.no_grad():
        features = network(standard.to(looked.fabric.device)).features
    there = {name: one.float().cpu() for name, one in features.items() if one.ndim == standard.ndim}
    if not there:
        raise UserError(
            f"look: attention: {looked.run.stage} has no feature with places (--stages leaves it out)"
        )
    name = network.last if network.last in there else list(there)[-1]
    return name, there[name]


def _angles(looked: LookedAt, name: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return how many positions of all test samples lie at each degree, where the network looks and elsewhere."""
    network = looked.network()
    samples, counts = looked.samples(network), np.zeros((2, 90), np.int64)
    ids = torch.from_numpy(test_samples(looked.data, MOST))
    with evaluating(network), torch.no_grad():
        for batch in batches(samples, ids, 256):
            feature = network(batch.to(looked.fabric.device)).features[name].float().cpu()
            angles, looks = looking_angles(feature)
            degrees = torch.rad2deg(angles).clamp(0, 89.999).long()
            for row, chosen in enumerate((looks, ~looks)):
                counts[row] += torch.bincount(degrees[chosen], minlength=90).numpy()
    return counts[0], counts[1]


def _stretched(values: Tensor, space: torch.Size) -> NDArray[np.float64]:
    """Return maps stretched to the input, each from 0 to 1."""
    mode = "linear" if len(space) == 1 else "bilinear"
    wide = F.interpolate(
        values.float().unsqueeze(1), space, mode=mode, align_corners=False
    ).squeeze(1)
    flat = wide.flatten(1)
    low, high = flat.aminmax(dim=1, keepdim=True)
    scaled = (flat - low) / (high - low).clamp(min=1e-12)
    return np.asarray(scaled.view_as(wide).double().numpy())


def _known(looked: LookedAt, index: NDArray[np.int64]) -> AttentionMaps | None:
    """Return what is there, if it is of this network and these samples."""
    try:
        known = read_attention(looked.run.folder, looked.run.fingerprint)
    except UserError:
        return None
    if known is None or known.header.weights != looked.weights:
        return None
    return known if np.array_equal(known.index, index) else None
