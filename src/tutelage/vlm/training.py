"""A small dual encoder trained on captions: a stand-in where no published weights can be had."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from tutelage.augment import Augment
from tutelage.batches import order
from tutelage.errors import UserError
from tutelage.seeds import derive, generator
from tutelage.vlm.base import DualEncoder, text_embeddings
from tutelage.vlm.captions import Captions
from tutelage.vlm.contrast import multi_positive

__all__ = ["Schooling", "class_embeddings", "embed", "teach", "zero_shot"]

_LARGEST = math.log(100.0)  # of the logit scale, as CLIP clips it


@dataclass(frozen=True)
class Schooling:
    """How a dual encoder is trained.

    Args:
        epochs: passes over the samples.
        batch_size: pairs per step; an incomplete last batch is left out.
        learning_rate: highest of a one-cycle schedule.
        warmup: part of the steps in which it rises.
        weight_decay: of AdamW.
        augment: random changes of the inputs before they are prepared, one after the other.
        seed: of everything random.
    """

    epochs: int = 8
    batch_size: int = 128
    learning_rate: float = 1.5e-3
    warmup: float = 0.2
    weight_decay: float = 0.05
    augment: tuple[Augment, ...] = ()
    seed: int = 0


def teach(
    encoder: DualEncoder,
    inputs: Tensor,
    labels: Tensor,
    captions: Captions,
    schooling: Schooling,
    tell: Callable[[int, float], None] | None = None,
) -> None:
    """Train both towers on samples and captions drawn anew in every step.

    Args:
        encoder: trained in place; in evaluation mode afterwards.
        inputs: images [N, 3, height, width] (uint8, or floats in [0, 1]) or signals [N, channels, time].
        labels: classes, [N].
        captions: what may be said of them.
        schooling: how long and how.
        tell: called after every epoch with its number and its mean loss.

    Raises:
        UserError: fewer samples than a batch.
    """
    steps = len(inputs) // schooling.batch_size
    if not steps:
        raise UserError(
            f"schooling.batch_size: found {schooling.batch_size}, above {len(inputs)} samples"
        )
    optimizer = torch.optim.AdamW(
        encoder.parameters(), schooling.learning_rate, weight_decay=schooling.weight_decay
    )
    cycle = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, schooling.learning_rate, schooling.epochs * steps, pct_start=schooling.warmup
    )
    encoder.train()
    for epoch in range(schooling.epochs):
        torch.manual_seed(derive(schooling.seed, "forward", epoch))
        draws = generator(schooling.seed, "captions", epoch)
        ids = order(torch.arange(len(inputs)), generator(schooling.seed, "order", epoch))
        changes = generator(schooling.seed, "augment", epoch)
        total = 0.0
        for i in range(steps):
            chosen = ids[i * schooling.batch_size : (i + 1) * schooling.batch_size]
            x, groups = inputs[chosen], labels[chosen]
            for augment in schooling.augment:
                x = augment(x, changes)
            loss = _loss(encoder, x, groups, captions.draw(groups, draws))
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            cycle.step()
            with torch.no_grad():
                encoder.model.logit_scale.clamp_(max=_LARGEST)
            total += float(loss.detach())
        if tell is not None:
            tell(epoch, total / steps)
    encoder.eval()


def _loss(encoder: DualEncoder, x: Tensor, groups: Tensor, texts: list[str]) -> Tensor:
    device = next(encoder.parameters()).device
    # Captions repeat within a batch: each text goes through the tower once.
    different = list(dict.fromkeys(texts))
    place = {text: number for number, text in enumerate(different)}
    said = encoder.encode_texts(different)[[place[text] for text in texts]]
    seen = encoder.encode_inputs(encoder.prepare(as_floats(x).to(device)))
    return multi_positive(seen, said, groups.to(device), encoder.logit_scale).mean()


def as_floats(x: Tensor) -> Tensor:
    """Return float32 values; bytes become value / 255."""
    return x.float() / 255 if x.dtype == torch.uint8 else x.float()


def embed(encoder: DualEncoder, inputs: Tensor, size: int = 256) -> Tensor:
    """Return the embeddings of images or signals, [N, D], float32, on the CPU, without gradients.

    Args:
        encoder: in evaluation mode.
        inputs: images (uint8, or floats in [0, 1]) or signals.
        size: how many at a time.
    """
    device = next(encoder.parameters()).device
    found = []
    with torch.no_grad():
        for part in torch.split(inputs, size):
            seen = encoder.prepare(as_floats(part).to(device))
            found.append(encoder.encode_inputs(seen).float().cpu())
    return torch.cat(found)


def class_embeddings(encoder: DualEncoder, captions: Captions) -> Tensor:
    """Return one unit embedding per class, [N, D]: the mean over the templates with its name."""
    rows = [
        F.normalize(text_embeddings(encoder, texts), dim=1).mean(dim=0)
        for texts in captions.named()
    ]
    return F.normalize(torch.stack(rows), dim=1)


def zero_shot(embeddings: Tensor, classes: Tensor) -> Tensor:
    """Return the class whose name is nearest, [N].

    Args:
        embeddings: of the inputs, [N, D].
        classes: of :func:`class_embeddings`, [C, D].
    """
    return (F.normalize(embeddings, dim=1) @ classes.mT).argmax(dim=1)
