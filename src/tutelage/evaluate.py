"""What a network predicts on a set of samples, and how good that is."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from tutelage.batches import Samples, batches
from tutelage.modes import device_of, evaluating

__all__ = [
    "assess",
    "assess_groups",
    "assess_open_set",
    "calibration_error",
    "harmonic_mean",
    "monitor",
    "predict",
    "recalls",
]

BINS = 15  # of the calibration errors, as in the literature


def predict(
    network: nn.Module,
    samples: Samples,
    index: Tensor,
    *,
    batch_size: int = 256,
    context: Callable[[], AbstractContextManager[object]] = nullcontext,
) -> Tensor:
    """Return the logits of these samples in evaluation mode, [n, C], float32, on the CPU.

    The network's mode is put back afterwards.
    """
    device = device_of(network)
    logits = []
    with evaluating(network), torch.no_grad():
        for batch in batches(samples, index, batch_size):
            with context():
                output = network(batch.to(device))
            logits.append(output.logits.float().cpu())
    return torch.cat(logits)


def monitor(logits: Tensor, labels: Tensor) -> dict[str, float]:
    """Return the few metrics that are followed over epochs: loss (nats), accuracy, macro-F1, classes predicted."""
    from sklearn.metrics import f1_score

    predicted = logits.argmax(dim=1)
    truth, said = labels.numpy(), predicted.numpy()
    return {
        "loss": float(torch.nn.functional.cross_entropy(logits, labels)),
        "accuracy": float((predicted == labels).float().mean()),
        "macro_f1": float(
            f1_score(truth, said, average="macro", labels=np.unique(truth), zero_division=0)
        ),
        "classes_predicted": float(len(np.unique(said))),
    }


def recalls(logits: Tensor, labels: Tensor) -> list[float | None]:
    """Return the fraction of each class that is recognised, C values; None for a class without samples."""
    classes = logits.shape[1]
    counts = torch.bincount(labels, minlength=classes)
    hits = torch.bincount(labels[logits.argmax(dim=1) == labels], minlength=classes)
    return [int(h) / int(n) if n else None for h, n in zip(hits, counts, strict=True)]


def assess(
    logits: Tensor,
    labels: Tensor,
    class_names: Sequence[str],
    subjects: npt.NDArray[np.str_] | None = None,
) -> dict[str, Any]:
    """Return every metric of the final evaluation.

    Args:
        logits: [n, C].
        labels: [n], int64.
        class_names: C names.
        subjects: [n] or None.

    Returns:
        Plain numbers and lists, ready for JSON (see ``docs/run-folder.md``). Macro-F1 averages over the
        classes present in ``labels``. ``brier`` sums the squared errors over classes. ``ece`` bins the
        confidence of the predicted class, ``classwise_ece`` every class's probability (mean over classes),
        both with 15 equal-width bins.

    Source:
        Guo et al. 2017, arXiv:1706.04599 (ECE); Nixon et al. 2019, arXiv:1904.01685 (class-wise, "SCE").
    """
    from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

    classes = len(class_names)
    probabilities = torch.softmax(logits.double(), dim=1)
    predicted = logits.argmax(dim=1)
    truth, said = labels.numpy(), predicted.numpy()
    precision, recall, f1, support = precision_recall_fscore_support(
        truth, said, labels=range(classes), zero_division=0
    )
    present = support > 0
    onehot = torch.nn.functional.one_hot(labels, classes)
    by_class = [_calibration(probabilities[:, c], onehot[:, c]) for c in range(classes)]
    return {
        "n": len(labels),
        "accuracy": float((predicted == labels).double().mean()),
        "macro_f1": float(np.mean(f1[present])),
        "nll": float(torch.nn.functional.cross_entropy(logits.double(), labels)),
        "brier": float((probabilities - onehot).square().sum(dim=1).mean()),
        "ece": calibration_error(logits, labels),
        "classwise_ece": float(np.mean(by_class)),
        "per_class": {
            name: {
                "precision": float(precision[c]),
                "recall": float(recall[c]),
                "f1": float(f1[c]),
                "support": int(support[c]),
            }
            for c, name in enumerate(class_names)
        },
        "per_subject": {} if subjects is None else _per_subject(logits, labels, subjects),
        "confusion": confusion_matrix(truth, said, labels=range(classes)).tolist(),
    }


def assess_groups(
    logits: Tensor, labels: Tensor, class_names: Sequence[str], groups: Mapping[str, Sequence[str]]
) -> dict[str, Any]:
    """Return metrics of groups of classes, each among its own classes alone.

    Of a group, the samples of its classes count, and only its classes may be predicted: the logits of all others
    are left out. This is how base and novel classes are evaluated in the literature.

    Args:
        logits: [n, C].
        labels: [n], int64.
        class_names: C names.
        groups: name of each group -> names of its classes.

    Returns:
        ``groups``: name -> n, accuracy, macro_f1, nll (nats), for groups that have samples; ``harmonic_mean`` of
        the accuracies, None where a group has no sample. Nothing where there are no groups.

    Source:
        Zhou et al. 2022, CoCoOp, arXiv:2203.05557, sec. 4.1 (base-to-new generalisation).
    """
    by_group = {}
    for group, names in groups.items():
        numbers = torch.tensor([class_names.index(name) for name in names])
        mine = torch.isin(labels, numbers)
        if bool(mine.any()):
            own = torch.zeros(len(class_names), dtype=torch.int64)
            own[numbers] = torch.arange(len(numbers))
            seen, right = logits[mine][:, numbers], own[labels[mine]]
            metrics = monitor(seen.double(), right)
            hits = (seen.argmax(dim=1) == right).double()
            by_group[group] = {
                "n": int(mine.sum()), "accuracy": float(hits.mean()), "macro_f1": metrics["macro_f1"],
                "nll": metrics["loss"],
            }  # fmt: skip
    if not groups:
        return {}
    whole = len(by_group) == len(groups)
    scores = [metrics["accuracy"] for metrics in by_group.values()]
    return {"groups": by_group, "harmonic_mean": harmonic_mean(scores) if whole else None}


def assess_open_set(
    logits: Tensor, labels: Tensor, class_names: Sequence[str], known: Sequence[str]
) -> dict[str, Any]:
    """Return how well samples of classes that were not taught are told from those that were.

    Only the known classes may be predicted. A sample is the more known, the larger its greatest probability among
    them is, or its greatest logit (of an angular head: its cosine with the nearest class).

    Args:
        logits: [n, C].
        labels: [n], int64.
        class_names: C names.
        known: names of the classes that were taught.

    Returns:
        ``open_set``: ``known``, the names; ``n_known``, ``n_unknown``; ``accuracy`` of the known samples among
        known
        classes; ``auroc_probability`` and ``auroc_logit``, the probability that a known sample scores higher than
        an unknown one, ties count half. Nothing where a side has no samples.

    Source:
        Hendrycks & Gimpel 2017, arXiv:1610.02136 (largest probability); Vaze et al. 2022, arXiv:2110.06207
        (logit).
    """
    from sklearn.metrics import roc_auc_score

    numbers = torch.tensor([class_names.index(name) for name in known], dtype=torch.int64)
    mine = torch.isin(labels, numbers)
    if bool(mine.all()) or not bool(mine.any()):
        return {}
    seen = logits[:, numbers].double()
    said = numbers[seen.argmax(dim=1)]
    scores = {"probability": seen.softmax(dim=1).amax(dim=1), "logit": seen.amax(dim=1)}
    told = {
        f"auroc_{name}": float(roc_auc_score(mine.numpy(), score.numpy()))
        for name, score in scores.items()
    }
    accuracy = float((said == labels)[mine].double().mean())
    counts = {"n_known": int(mine.sum()), "n_unknown": int((~mine).sum())}
    return {"open_set": {"known": list(known), **counts, "accuracy": accuracy, **told}}


def calibration_error(logits: Tensor, labels: Tensor) -> float:
    """Return the expected calibration error of the predicted classes, with 15 equal-width bins.

    Args:
        logits: [n, C].
        labels: [n], int64.
    """
    confidence = torch.softmax(logits.double(), dim=1).amax(dim=1)
    return _calibration(confidence, logits.argmax(dim=1) == labels)


def _calibration(confidence: Tensor, right: Tensor) -> float:
    """Return the mean distance of confidence [n] and frequency over equal bins, weighted by their samples.

    A bin begins with its lower border; the last one has 1, too.
    """
    borders = torch.linspace(0, 1, BINS + 1, dtype=torch.float64)
    bins = (torch.bucketize(confidence.contiguous(), borders, right=True) - 1).clamp_max(BINS - 1)
    gap = torch.zeros(BINS, dtype=torch.float64).index_add_(0, bins, right.double() - confidence)
    return float(gap.abs().sum() / len(confidence))


def harmonic_mean(values: Sequence[float]) -> float:
    """Return the harmonic mean of values in [0, 1]: 0 as soon as one is 0.

    Examples:
        >>> round(harmonic_mean([0.8696, 0.8073]), 4)
        0.8373
    """
    return len(values) / sum(1 / value for value in values) if all(values) else 0.0


def _per_subject(
    logits: Tensor, labels: Tensor, subjects: npt.NDArray[np.str_]
) -> dict[str, dict[str, float]]:
    by_subject = {}
    for subject in np.unique(subjects):
        mine = torch.from_numpy(subjects == subject)
        metrics = monitor(logits[mine], labels[mine])
        by_subject[str(subject)] = {
            "accuracy": metrics["accuracy"],
            "macro_f1": metrics["macro_f1"],
            "n": int(mine.sum()),
        }
    return by_subject
