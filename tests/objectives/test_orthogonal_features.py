"""Orthogonality of merged similarity maps (TPKD): golden vectors, loops over patches, shares of samples."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.contract.test_contract import MIX
from tests.contract.test_contract import view as random_view
from tests.doubles.teachers import facts_of, view_of, wave
from tutelage import losses
from tutelage.objectives import OrthogonalFeatures
from tutelage.types import Output

PATCHINGS = ("rows", "tiles", "subbatch")
F64 = torch.float64


def golden():
    """The inputs of section 12: student FC, teachers FD and FE."""
    fc = (torch.arange(1, 33, dtype=F64) / 10).reshape(4, 2, 2, 2)
    fe = torch.cos(0.7 * torch.arange(48, dtype=F64)).reshape(4, 3, 2, 2)
    z = torch.zeros(4, 5, dtype=F64)
    return view_of(*_outputs(z, fc, [wave(4, 2, 2, 2, step=1.0), fe]))


def _outputs(z, student, teachers):
    return Output(z, {"a": student}), [Output(z, {"a": t}) for t in teachers]


@pytest.mark.parametrize(
    ("patches", "reduction", "expected"),
    [
        (1, "mean", 1.4766182928),
        (2, "mean", 0.8673256059),
        (1, "frobenius", 4.8606473525),
        (2, "frobenius", 1.8589132304),
    ],
)
def test_golden_vectors(patches, reduction, expected):
    made = OrthogonalFeatures({"sig": 0.7, "pi": 0.3}, ["a"], patches=patches, reduction=reduction)
    assert made(golden()).mean().item() == pytest.approx(expected, rel=1e-9)


def random_gram(seed, batch=12, size=5):
    a = torch.randn(batch, size, generator=torch.Generator().manual_seed(seed), dtype=F64)
    return a @ a.T


def patches_of(gram, k, patching):
    """Every patch with the ids of its samples, cut out with plain indices."""
    n = len(gram) // k
    for i in range(k):
        ids = range(i * n, (i + 1) * n)
        rows = gram[i * n : (i + 1) * n]
        if patching == "rows":
            yield ids, rows
        elif patching == "subbatch":
            yield ids, rows[:, i * n : (i + 1) * n]
        else:
            for j in range(k):
                yield ids, rows[:, j * n : (j + 1) * n]


def orthogonality_loop(patch):
    n = len(patch)
    units = [row / max(np.sqrt((row**2).sum()), 1e-12) for row in patch]
    return np.array([[units[a] @ units[b] - (a == b) for b in range(n)] for a in range(n)])


def oracle(student, teacher, k, patching, reduction):
    pairs = zip(
        patches_of(student.numpy(), k, patching),
        patches_of(teacher.numpy(), k, patching),
        strict=True,
    )
    numbers = []
    for (_, s), (_, t) in pairs:
        gap = orthogonality_loop(s) - orthogonality_loop(t)
        numbers.append((gap**2).mean() if reduction == "mean" else np.sqrt((gap**2).sum()))
    return np.mean(numbers)


@pytest.mark.parametrize("reduction", ["mean", "frobenius"])
@pytest.mark.parametrize("patching", PATCHINGS)
@pytest.mark.parametrize("patches", [1, 2, 3, 4])
def test_the_batch_mean_equals_a_loop(patches, patching, reduction):
    s, t = random_gram(0), random_gram(1)
    options = {"patches": patches, "patching": patching, "reduction": reduction}
    found = losses.orthogonal_features(s, t, **options)
    assert found.shape == (12,)
    assert found.mean().item() == pytest.approx(
        oracle(s, t, patches, patching, reduction), rel=1e-9
    )


@pytest.mark.parametrize("patching", PATCHINGS)
def test_each_sample_has_its_own_rows_share(patching):
    s, t = random_gram(0), random_gram(1)
    found = losses.orthogonal_features(s, t, patches=3, patching=patching)
    own = [[] for _ in range(12)]
    cut = [patches_of(g.numpy(), 3, patching) for g in (s, t)]
    for (ids, a), (_, b) in zip(*cut, strict=True):
        gap = (orthogonality_loop(a) - orthogonality_loop(b)) ** 2
        for i, row in zip(ids, gap, strict=True):
            own[i].append(row.mean())
    np.testing.assert_allclose(found.numpy(), [np.mean(rows) for rows in own], rtol=1e-9)


@given(st.integers(0, 10_000), st.sampled_from(PATCHINGS), st.sampled_from([1, 2, 3, 6]))
def test_the_map_is_symmetric_bounded_with_an_empty_diagonal(seed, patching, patches):
    found = losses.orthogonality(random_gram(seed), patches=patches, patching=patching)
    torch.testing.assert_close(found, found.transpose(-1, -2))
    assert found.diagonal(dim1=-2, dim2=-1).abs().max() < 1e-9
    assert found.abs().max() <= 1 + 1e-9


def test_one_patch_is_the_whole_map_whatever_a_patch_is():
    s, t = random_gram(0), random_gram(1)
    found = [losses.orthogonal_features(s, t, patches=1, patching=p) for p in PATCHINGS]
    torch.testing.assert_close(found[0], found[1])
    torch.testing.assert_close(found[0], found[2])
    p = torch.randperm(12, generator=torch.Generator().manual_seed(0))
    moved = losses.orthogonal_features(s[p][:, p], t[p][:, p], patches=1)
    torch.testing.assert_close(moved, found[0][p])


def test_zero_for_proportional_rows_and_for_orthogonal_samples():
    t = random_gram(1)
    scaled = torch.rand(12, 1, dtype=F64).add(0.1) * t
    assert losses.orthogonal_features(scaled, t, patches=4).abs().max() < 1e-12
    assert losses.orthogonality(torch.eye(12, dtype=F64), patches=4).abs().max() == 0


@pytest.mark.parametrize("reduction", ["mean", "frobenius"])
@pytest.mark.parametrize("patching", PATCHINGS)
def test_gradients(patching, reduction):
    t = random_gram(1, batch=4)
    options = {"patches": 2, "patching": patching, "reduction": reduction}

    def loss(a):
        return losses.orthogonal_features(a @ a.T, t, **options)

    a = torch.randn(4, 3, generator=torch.Generator().manual_seed(2), dtype=F64)
    assert torch.autograd.gradcheck(loss, a.requires_grad_())
    zero = torch.zeros(4, 3, requires_grad=True)
    losses.orthogonal_features(zero @ zero.T, t.float(), **options).sum().backward()
    assert zero.grad.isfinite().all()
    same = torch.ones(4, 3, requires_grad=True)
    losses.orthogonal_features(same @ same.T, torch.ones(4, 4), **options).sum().backward()
    assert same.grad.isfinite().all()


def test_the_merge_is_that_of_similarity_maps_and_taps_are_averaged():
    v = random_view()
    taps = ["stage1", "stage3"]
    for order in ("merge_then_normalise", "normalise_then_merge"):
        found = OrthogonalFeatures(MIX, taps, patches=3, order=order)(v)
        total = 0
        for tap in taps:
            grams = [losses.gram(v.teachers[n], tap) for n in MIX]
            target = losses.merged_gram(grams, list(MIX.values()), order)
            total = total + losses.orthogonal_features(
                losses.gram(v.student, tap), target, patches=3
            )
        torch.testing.assert_close(found, total / 2)


def test_a_weight_of_zero_removes_a_teacher_exactly():
    v = random_view()
    without = replace(v, teachers={n: v.teachers[n] for n in ("sig", "gaf")})
    three = OrthogonalFeatures({"sig": 0.4, "pi": 0.0, "gaf": 0.6}, patches=2)
    two = OrthogonalFeatures({"sig": 0.4, "gaf": 0.6}, patches=2)
    torch.testing.assert_close(three(v), two(without))


def test_it_works_on_cached_maps_and_in_float32_under_autocast():
    v = random_view()
    made = OrthogonalFeatures(MIX, ["stage2"], patches=2)
    cached = {
        n: Output(t.logits, {}, {"stage2": losses.gram(t, "stage2")}) for n, t in v.teachers.items()
    }
    torch.testing.assert_close(made(replace(v, teachers=cached)), made(v))
    with torch.autocast("cpu", torch.bfloat16):
        found = made(v)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, made(v))


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: OrthogonalFeatures(MIX, patches=0), "patches: 0 must be >= 1"),
        (lambda: OrthogonalFeatures(MIX, taps=[]), "taps: the list is empty"),
        (lambda: OrthogonalFeatures({"sig": 0.4}), "sum to 0.4, not to 1"),
        (
            lambda: OrthogonalFeatures(MIX).prepare(facts_of(random_view(), batch_size=66)),
            "patches: a batch of 66 samples cannot be cut into 4 equal patches",
        ),
        (
            lambda: OrthogonalFeatures(MIX)(random_view(batch=6)),
            "patches: a batch of 6 samples cannot be cut into 4 equal patches",
        ),
    ],
)
def test_impossible_requests_are_refused(make, sentence):
    with pytest.raises(ValueError, match=sentence):
        make()


def test_a_known_batch_size_that_fits_and_an_unknown_one_pass():
    for size in (0, 64, 128):
        OrthogonalFeatures(MIX).prepare(facts_of(random_view(), batch_size=size))
