"""The last features: scores from entropies, planes from scikit-learn, a real run looked at afterwards."""

from collections import Counter
from math import log

import numpy as np
import pytest
import torch
from sklearn.cluster import KMeans
from sklearn.manifold import TSNE

from tests.report.fake import Fake, write
from tests.training.small import recipe
from tests.training.test_runs import execute
from tutelage.errors import UserError
from tutelage.execution.look import open_look
from tutelage.runs.embedding import read_embedding
from tutelage.runs.ledger import read_experiment
from tutelage.training.embedding import planes, scores_of

RNG = np.random.default_rng(0)
LABELS = np.repeat([0, 1, 2], 20)
FEATURES = RNG.normal(size=(60, 6)) + 1.2 * np.eye(6)[LABELS]


def entropy(names):
    return -sum(n / len(names) * log(n / len(names)) for n in Counter(names).values())


def test_scores_are_those_of_entropies_of_the_clusters():
    clusters = KMeans(3, n_init=10, random_state=0).fit(FEATURES).labels_
    pairs = list(zip(LABELS.tolist(), clusters.tolist(), strict=True))
    of_class, of_cluster, joint = (entropy(x) for x in (LABELS.tolist(), clusters.tolist(), pairs))
    homogeneity = 1 - (joint - of_cluster) / of_class
    completeness = 1 - (joint - of_class) / of_cluster
    found = scores_of(FEATURES, LABELS)
    assert 0.05 < found.homogeneity < 0.95
    assert found.homogeneity == pytest.approx(homogeneity)
    assert found.completeness == pytest.approx(completeness)
    v = 2 * homogeneity * completeness / (homogeneity + completeness)
    assert found.v_score == pytest.approx(v)


def test_planes_are_principal_components_and_the_map_of_scikit_learn():
    found = planes(FEATURES, tsne=True)
    centred = FEATURES - FEATURES.mean(axis=0)
    u, s, _ = np.linalg.svd(centred, full_matrices=False)
    np.testing.assert_allclose(np.abs(found.pca), np.abs(u[:, :2] * s[:2]), atol=1e-8)
    np.testing.assert_allclose(found.explained, (s**2 / (s**2).sum())[:2])
    direct = TSNE(2, perplexity=59 / 3, init="pca", random_state=0).fit_transform(FEATURES)
    np.testing.assert_allclose(found.tsne, direct, rtol=1e-5)
    assert planes(FEATURES, tsne=False).tsne is None


def two_stages(whole):
    wide = {"network": {"depth": 10, "width": 2}}
    whole["stages"] = {"sig": wide, "alone": {}, "base": {"teachers": ["sig"]}}
    whole["distiller"]["soft"]["weighting"] = {"type": "Uniform"}
    whole["train"]["epochs"] = 1


@pytest.mark.slow
def test_a_look_keeps_the_features_of_the_test_samples_and_is_not_repeated(tmp_path):
    folder = execute(tmp_path, recipe(two_stages))
    look = open_look(folder, "embedding", ["alone", "base"], None, None, tmp_path, "cpu")
    assert look.cost().startswith("embedding: 2 networks")
    look.carry_out(lambda *_: None)
    runs = {run.stage: run for run in read_experiment(folder).runs}
    assert runs["sig"].embedding() is None
    mine, other = runs["alone"].embedding(), runs["base"].embedding()
    np.testing.assert_array_equal(mine.index, other.index)
    assert set(mine.index) == set(runs["alone"].predictions().index)
    looked = look.opened(runs["alone"])
    network = looked.network().eval()
    seen, batch = [], looked.samples(network).take(torch.from_numpy(mine.index))
    head = [part for part in network.modules() if isinstance(part, torch.nn.Linear)][-1]
    head.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    with torch.no_grad():
        network(batch)
    by_hand = seen[0].double().numpy()  # what the last layer reads
    assert (mine.header.feature, mine.header.width) == ("embedding", by_hand.shape[1])
    np.testing.assert_allclose(mine.pca, planes(by_hand, tsne=False).pca, atol=1e-4)
    assert mine.header.scores == scores_of(by_hand, batch.labels.numpy())
    path = runs["alone"].folder / "embedding.npz"
    stamp = path.stat().st_mtime_ns
    look.carry_out(lambda *_: None)
    assert path.stat().st_mtime_ns == stamp
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(UserError, match="not a file of an embedding"):
        read_embedding(runs["alone"].folder, runs["alone"].fingerprint)


@pytest.mark.parametrize(
    ("protocol", "feature", "stages", "said"),
    [
        ("honest", "embeding", [], "did you mean 'embedding'"),
        ("honest", "embedding", ["alon"], "did you mean 'alone'"),
        ("blind", "embedding", [], "has no test split to look at"),
    ],
)
def test_what_cannot_be_looked_at_is_one_sentence(tmp_path, protocol, feature, stages, said):
    folder = write(tmp_path / "x", Fake(stages=("alone",), folds=("a",), seeds=(0,), windows=12,
                                        epochs=1, protocol=protocol))  # fmt: skip
    with pytest.raises(UserError, match=said):
        open_look(folder, feature, stages, None, None, None, "cpu")
