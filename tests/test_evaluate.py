import numpy as np
import pytest
import torch

from tutelage.evaluate import assess, monitor


def logits_for(probabilities):
    return torch.log(torch.tensor(probabilities))


def ece_loop(confidence, hit, bins=15):
    """Top-label calibration error from its definition: bins (lo, hi]."""
    total = 0.0
    for m in range(bins):
        inside = (confidence > m / bins) & (confidence <= (m + 1) / bins)
        if inside.any():
            total += inside.mean() * abs(hit[inside].mean() - confidence[inside].mean())
    return total


def test_calibration_golden_vector():
    # Confidences 0.9 (right), 0.79 (wrong), 0.59 (right), 0.55 (right): ECE-15 = 0.4375.
    rows = [[0.9, 0.1], [0.79, 0.21], [0.59, 0.41], [0.55, 0.45]]
    found = assess(logits_for(rows), torch.tensor([0, 1, 0, 0]), ["a", "b"])
    assert found["ece"] == pytest.approx(0.4375, abs=1e-6)


def test_every_metric_against_its_definition():
    random = np.random.default_rng(0)
    n, c = 300, 4
    logits = torch.from_numpy(random.normal(size=(n, c)) * 2)
    labels = torch.from_numpy(random.integers(0, 3, n))  # class 3 is absent
    subjects = np.array([f"s{i % 5}" for i in range(n)])
    found = assess(logits, labels, list("abcd"), subjects)
    p = torch.softmax(logits, 1).numpy()
    y, predicted = labels.numpy(), p.argmax(1)
    onehot = np.eye(c)[y]
    assert found["n"] == n
    assert found["accuracy"] == pytest.approx((predicted == y).mean())
    assert found["nll"] == pytest.approx(-np.log(p[np.arange(n), y]).mean(), rel=1e-6)
    assert found["brier"] == pytest.approx(((p - onehot) ** 2).sum(1).mean(), rel=1e-6)
    assert found["ece"] == pytest.approx(ece_loop(p.max(1), predicted == y), rel=1e-5)
    classwise = np.mean([ece_loop(p[:, k], y == k) for k in range(c)])
    assert found["classwise_ece"] == pytest.approx(classwise, rel=1e-5)
    f1 = []
    for k in range(3):
        hit = ((predicted == k) & (y == k)).sum()
        f1.append(2 * hit / ((predicted == k).sum() + (y == k).sum()))
    assert found["macro_f1"] == pytest.approx(np.mean(f1))
    assert found["per_class"]["b"]["support"] == (y == 1).sum()
    assert found["per_class"]["d"]["support"] == 0
    assert np.array(found["confusion"]).sum() == n
    assert found["confusion"][0][1] == ((y == 0) & (predicted == 1)).sum()
    mine = subjects == "s2"
    assert found["per_subject"]["s2"]["n"] == mine.sum()
    assert found["per_subject"]["s2"]["accuracy"] == pytest.approx((predicted == y)[mine].mean())


def test_monitor_counts_predicted_classes():
    found = monitor(torch.tensor([[1.0, 0], [2, 0], [0.5, 0]]), torch.tensor([0, 1, 0]))
    assert found["classes_predicted"] == 1
    assert found["accuracy"] == pytest.approx(2 / 3)


def test_a_confidence_of_exactly_one_lies_in_the_last_bin():
    logits = torch.tensor([[3.2, 0.0], [40.0, 0.0]], dtype=torch.float64)
    found = assess(logits, torch.tensor([0, 1]), ["a", "b"])
    sure = 1 / (1 + np.exp(-3.2))
    assert found["ece"] == pytest.approx((sure + 1) / 2 - 1 / 2, rel=1e-9)
    assert round(found["ece"], 3) == 0.480
    # Class by class: 0 and 1 are probabilities of the first and the last bin.
    by_class = [abs((sure - 1) + 1) / 2, ((1 - sure) - 0 + (0 - 1)) / 2]
    assert found["classwise_ece"] == pytest.approx(np.mean(np.abs(by_class)), rel=1e-9)
