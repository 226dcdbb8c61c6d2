"""Pairs of birth and death against other libraries and against theorems."""

import gudhi
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from ripser import ripser
from scipy import sparse

from tutelage.errors import UserError
from tutelage.modalities import Diagrams, SublevelPersistence

quick = settings(max_examples=60, deadline=None, derandomize=True)
# few distinct values make ties and plateaus; the others are free
coarse = st.integers(-3, 3).map(float)
fine = st.floats(-1e3, 1e3, allow_nan=False, width=32)
lines = st.one_of(
    *(arrays(np.float64, st.integers(1, 30), elements=kind) for kind in (coarse, fine))
)
pictures = st.one_of(
    *(
        arrays(np.float64, st.tuples(st.integers(1, 7), st.integers(1, 7)), elements=kind)
        for kind in (coarse, fine, st.sampled_from([0.0, 1.0, 2.0, np.inf]))
    )
)


def ordered(points):
    return sorted(map(tuple, np.asarray(points, float).tolist()))


def pairs(x, **parameters):
    diagrams = SublevelPersistence(**parameters).fit_transform(x[None, None])
    dimensions = parameters.get("dimensions", (0,))
    return [ordered(diagrams.of(0, dimension=d)) for d in dimensions]


def gudhi_pairs(x, construction="T", dimensions=(0, 1)):
    name = "top_dimensional_cells" if construction == "T" else "vertices"
    found = gudhi.CubicalComplex(**{name: x}).persistence()
    return [ordered([pair for d, pair in found if d == wanted]) for wanted in dimensions]


def by_hand(x):
    """Union-find over samples in ascending order: slow, and with no stack to get wrong."""
    parents, found = {}, []

    def root(i):
        while parents[i] != i:
            i = parents[i]
        return i

    for i in sorted(range(len(x)), key=lambda i: (x[i], i)):
        parents[i] = i
        for j in (i - 1, i + 1):
            if j in parents and root(i) != root(j):
                old, young = sorted((root(i), root(j)), key=lambda k: (x[k], k))
                if x[i] > x[young]:
                    found.append((x[young], x[i]))
                parents[young] = old
    return ordered([*found, (min(x), np.inf)])


@quick
@given(lines)
def test_line_equals_gudhi_and_union_find(x):
    (found,) = pairs(x)
    assert found == by_hand(x)
    assert found == gudhi_pairs(x[None], dimensions=(0,))[0]


def path_matrix(x):
    """Build the sparse matrix of the published notebooks: edges at the higher end, births on top."""
    n = len(x)
    i = np.arange(n - 1)
    top = np.maximum(x[:-1], x[1:])
    rows = np.concatenate([i, i + 1, np.arange(n)])
    columns = np.concatenate([i + 1, i, np.arange(n)])
    return sparse.coo_matrix((np.concatenate([top, top, x]), (rows, columns)), shape=(n, n)).tocsr()


@pytest.mark.parametrize("seed", range(8))
def test_line_equals_ripser_in_float32(seed):
    x = np.random.default_rng(seed).normal(size=100).astype(np.float32)
    found = ripser(path_matrix(x), maxdim=0, distance_matrix=True)["dgms"][0]
    assert pairs(x)[0] == ordered(found)


@quick
@given(lines)
def test_persistence_sums_to_the_total_variation(x):
    lives = [d - b for b, d in pairs(x, essential="drop")[0]]
    ends = (x[0] - x.min()) + (x[-1] - x.min())
    assert np.isclose(np.abs(np.diff(x)).sum(), 2 * sum(lives) + ends, atol=1e-9)


@quick
@given(lines)
def test_time_has_no_direction(x):
    assert pairs(x) == pairs(x[::-1])


@quick
@given(lines, st.floats(0.1, 5))
def test_monotone_maps_commute(x, slope):
    assert np.allclose(np.array(pairs(slope * x + 1)[0]), slope * np.array(pairs(x)[0]) + 1)


@quick
@given(lines)
def test_superlevel_sets_are_sublevel_sets_turned_over(x):
    turned = [(-b, -d) for b, d in pairs(-x)[0]]
    assert pairs(x, filtration="superlevel")[0] == ordered(turned)


@pytest.mark.parametrize("length", [1, 2, 9])
def test_constant_line_has_only_the_essential_class(length):
    assert pairs(np.full(length, 2.5)) == [[(2.5, np.inf)]]
    assert pairs(np.full(length, 2.5), essential="drop") == [[]]


def test_min_persistence_is_strict():
    x = np.array([0.0, 2.0, 1.0, 3.0])
    assert len(pairs(x, min_persistence=1.0, essential="drop")[0]) == 0
    assert len(pairs(x, min_persistence=np.nextafter(1.0, 0), essential="drop")[0]) == 1


def test_golden_diagram():
    x = np.array([0.5, 0.1, 0.6, 0.3, 0.9, 0.2, 0.8, 0, 0.7])
    assert pairs(x) == [[(0, np.inf), (0.1, 0.9), (0.2, 0.8), (0.3, 0.6)]]


@quick
@given(pictures, st.sampled_from("TV"))
def test_picture_equals_gudhi(x, construction):
    if np.isinf(x).all():
        return  # gudhi writes the largest double where a picture has nothing finite
    assert pairs(x, dimensions=(0, 1), construction=construction) == gudhi_pairs(x, construction)


@pytest.mark.parametrize("construction", "TV")
def test_large_pictures_equal_gudhi(construction):
    # more saddles than the insertion sort takes, negative values, values that tie in float32 only
    rng = np.random.default_rng(0)
    for x in (rng.normal(size=(40, 31)), 1 + 1e-9 * rng.normal(size=(24, 24))):
        assert pairs(x, dimensions=(0, 1), construction=construction) == gudhi_pairs(
            x, construction
        )


def test_infinite_picture():
    x = np.full((3, 4), np.inf)
    assert pairs(x, dimensions=(0, 1)) == [[(np.inf, np.inf)], []]


@quick
@given(arrays(np.float64, st.tuples(st.integers(1, 7), st.integers(1, 7)), elements=coarse))
def test_euler_characteristic(x):
    """Count vertices - edges + squares of every sublevel set of the V construction."""
    across, down = np.maximum(x[:, 1:], x[:, :-1]), np.maximum(x[1:], x[:-1])
    squares = np.maximum(across[1:], across[:-1])
    components, holes = pairs(x, dimensions=(0, 1), construction="V")
    for level in np.unique(x):
        cells = (x <= level).sum() - (across <= level).sum() - (down <= level).sum()
        alive = [sum(b <= level < d for b, d in part) for part in (components, holes)]
        assert cells + (squares <= level).sum() == alive[0] - alive[1]


@quick
@given(pictures, st.sampled_from("TV"))
def test_pictures_have_no_direction(x, construction):
    rule = {"dimensions": (0, 1), "construction": construction}
    assert pairs(x, **rule) == pairs(x.T, **rule) == pairs(x[::-1], **rule)


def test_batches_keep_samples_and_channels_apart():
    x = np.random.default_rng(1).normal(size=(300, 3, 40)).astype(np.float32)
    diagrams = SublevelPersistence().fit_transform(x)
    assert isinstance(diagrams, Diagrams) and len(diagrams) == 300
    assert diagrams.birth.dtype == np.float64
    for n, c in ((0, 0), (7, 2), (299, 1)):
        assert ordered(diagrams.of(n, c)) == pairs(x[n, c])[0]
    threaded = SublevelPersistence(n_jobs=2).fit_transform(x)
    for name in ("offsets", "birth", "death", "dimension", "channel"):
        assert np.array_equal(getattr(diagrams, name), getattr(threaded, name))


def test_bytes_are_read_as_fractions_of_255():
    x = np.array([0, 255, 51, 255, 0], np.uint8)[None, None]
    diagram = SublevelPersistence(essential="drop").fit_transform(x).of(0)
    assert np.allclose(sorted(diagram.tolist()), [[0, 1], [0.2, 1]])


@pytest.mark.parametrize(
    ("x", "parameters", "sentence"),
    [
        (np.array([[[0, np.nan, 1]]]), {}, "found nan"),
        (np.zeros((2, 3)), {}, r"shape \(2, 3\)"),
        (np.zeros((1, 1, 5)), {"dimensions": (0, 1)}, "dimensions"),
        (np.zeros((1, 1, 5)), {"filtration": "sublevl"}, "did you mean 'sublevel'"),
        (np.array([[["a"]]]), {}, "real numbers"),
    ],
)
def test_refusals(x, parameters, sentence):
    with pytest.raises(UserError, match=sentence):
        SublevelPersistence(**parameters).fit_transform(x)
