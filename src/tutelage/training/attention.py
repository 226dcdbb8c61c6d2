"""Where trained networks look: activation maps, evidence for the true class, AMD's maps and their angles."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from tutelage.batches import Samples, batches
from tutelage.errors import UserError
from tutelage.interpret.grad_cam import grad_cam, last_map
from tutelage.losses.angular_margin import looking_angles
from tutelage.models import On
from tutelage.modes import evaluating
from tutelage.runs.attention import AttentionHeader, AttentionMaps, read_attention
from tutelage.training.looking import LookedAt, kept_of, test_samples

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
    known = kept_of(looked, index, read_attention)
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
    network, device = looked.network(), looked.fabric.device
    samples, labels = looked.samples(network), looked.data.dataset.labels[index].astype(np.int64)
    batch = samples.take(torch.from_numpy(index)).to(device)
    values = network.cut(batch.inputs[network.modality])
    standard = network.prepared(values)
    evidence, read = grad_cam(network.network, standard, torch.from_numpy(labels).to(device))
    with evaluating(network), torch.no_grad():
        features = network(batch).features
    name = last_map(features, standard.ndim, network.network.last)
    if name is None:
        raise UserError(
            f"look: attention: {looked.run.stage} has no feature with places (--stages leaves it out)"
        )
    feature = features[name].float()
    angles, _ = looking_angles(feature)
    space = standard.shape[2:]
    maps = {
        "activation": feature.square().sum(dim=1),
        "evidence": evidence,
        "positive": torch.cos(MARGIN * angles).clamp(min=0),
        "negative": 1 - torch.cos(angles),
    }
    inside, outside = _angles(looked, network, samples, name)
    header = AttentionHeader(1, looked.run.fingerprint, looked.weights, name, read)
    return AttentionMaps(
        header, index, labels, values.double().cpu().numpy(),
        {key: _stretched(one, space) for key, one in maps.items()}, inside, outside,
    )  # fmt: skip


def _angles(
    looked: LookedAt, network: On, samples: Samples, name: str
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return how many positions of all test samples lie at each degree, where the network looks and elsewhere."""
    counts = np.zeros((2, 90), np.int64)
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
    return np.asarray(scaled.view_as(wide).double().cpu().numpy())
