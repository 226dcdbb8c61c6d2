"""The bottleneck of named concepts: released numbers, invariants, explanations and edits that do what they say."""

import json
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from tests.doubles.waves import wave
from tests.vlm.small import concept_file
from tutelage.concepts.files import open_concepts, read_labo, write
from tutelage.concepts.selection import Criterion, choose
from tutelage.errors import UserError
from tutelage.models import ConceptBottleneck
from tutelage.models.concept_edits import add_concept, remove_concept, reweigh_concept
from tutelage.vlm.base import EncoderSource

CLASSES = ("a", "b", "c")
SELECTED = {
    "red": ["a"], "round": ["a", "b"], "long": ["b"], "flat": ["c"], "green": ["c"], "large": ["c"],
}  # fmt: skip
AXES = ("concepts", "classes", "none")


def waves(*shape, step):
    return wave(*shape, step=step, phase=step).float()


class Words(EncoderSource):
    """Every text is a vector of its own, made from its letters."""

    fingerprint = "words"

    def load(self):
        raise AssertionError("only texts are asked for")

    def embed_texts(self, texts):
        rows = []
        for text in texts:
            seed = int.from_bytes(text.encode()[:7], "big")
            rows.append(torch.randn(8, generator=torch.Generator().manual_seed(seed)))
        return torch.stack(rows)


def bottleneck(**arguments):
    """Return a bottleneck of six concepts with weights that are no longer the prior."""
    found = ConceptBottleneck(8, CLASSES, selected=SELECTED, **arguments)
    found.own(SELECTED, waves(6, 8, step=0.9))
    found.weights.data += waves(3, 6, step=0.4)
    return found


def inputs(count=5):
    return waves(count, 8, step=0.7)


def test_released_code_gives_the_same_logits():
    # YueYANG1996/LaBo@83ed4b0 asso_opt.AssoConcept, asso_act softmax and none, on the same tensors
    selected = {"1": ["a"], "2": ["a"], "3": ["b"], "4": ["b"], "5": ["b"]}
    wanted = {
        "concepts": [
            [64.13752746582031, -6.274223327636719],
            [-27.325916290283203, -33.70722961425781],
            [-12.643355369567871, 69.79365539550781],
        ],
        "none": [
            [426.810791015625, -104.44474029541016],
            [-180.93125915527344, -187.134033203125],
            [-85.85588836669922, 457.088623046875],
        ],
    }
    for axis, logits in wanted.items():
        ours = ConceptBottleneck(
            4, ("a", "b"), softmax=axis, similarity="inner_product", selected=selected
        )
        ours.own(selected, waves(5, 4, step=1.3))
        ours.weights.data += waves(2, 5, step=0.9)
        assert torch.allclose(ours(waves(3, 4, step=0.7)).logits, torch.tensor(logits), rtol=1e-5)


@pytest.mark.parametrize("axis", AXES)
@pytest.mark.parametrize("similarity", ["cosine", "inner_product"])
def test_logits_are_the_loop(axis, similarity):
    ours = bottleneck(softmax=axis, similarity=similarity, scale=10.0)
    weights, texts = ours.weights.detach(), waves(6, 8, step=0.9)
    with torch.no_grad():
        output = ours(inputs())
    for b, x in enumerate(inputs()):
        for n in range(3):
            total = 0.0
            for m, text in enumerate(texts):
                value = float(x @ text)
                if similarity == "cosine":
                    value /= float(x.norm() * text.norm())
                row = {"concepts": weights[n], "classes": weights[:, m], "none": None}[axis]
                share = weights[n, m] if row is None else weights[n, m].exp() / row.exp().sum()
                assert float(output.features["concepts"][b, m]) == pytest.approx(value, abs=1e-5)
                total += 10.0 * value * float(share)
            assert float(output.logits[b, n]) == pytest.approx(total, abs=1e-4)


@pytest.mark.parametrize("axis", ["concepts", "classes"])
def test_an_untrained_bottleneck_takes_the_class_whose_concepts_are_most_alike(axis):
    owned = {str(i): [CLASSES[i % 3]] for i in range(12)}  # equal counts, none shared
    ours = ConceptBottleneck(8, CLASSES, softmax=axis, selected=owned)
    ours.own(owned, waves(12, 8, step=1.7))
    output = ours(waves(40, 8, step=0.7))
    means = torch.stack([output.features["concepts"][:, i::3].mean(dim=1) for i in range(3)], dim=1)
    assert torch.equal(output.logits.argmax(dim=1), means.argmax(dim=1))
    assert len(means.argmax(dim=1).unique()) == 3


@pytest.mark.parametrize("axis", ["concepts", "classes"])
def test_normalised_weights_sum_to_one(axis):
    weights = bottleneck(softmax=axis).association
    assert bool((weights > 0).all())
    assert torch.allclose(weights.sum(dim=1 if axis == "concepts" else 0), torch.tensor(1.0))


@pytest.mark.parametrize("axis", AXES)
def test_contributions_rebuild_the_logits_and_say_what_is_lost(axis):
    ours = bottleneck(softmax=axis)
    logits = ours(inputs()).logits
    found = ours.explain(inputs())
    stream = found.streams["text"]
    assert stream.names == tuple(SELECTED)
    assert stream.contributions.shape == (5, 1, 6, 3)
    assert stream.attention.shape == (5, 1, 6)
    assert torch.allclose(found.logits, logits, atol=1e-5)
    for m in range(6):
        lost = logits - ours.without(inputs(), "text", m)
        assert torch.allclose(lost, stream.contributions[:, 0, m], atol=1e-4)
    both = logits - ours.without(inputs(), "text", [1, 4])
    assert torch.allclose(both, stream.contributions[:, 0, [1, 4]].sum(dim=1), atol=1e-4)
    for wrong in (("text", 6), ("global", 0), ("text", -1)):
        with pytest.raises(ValueError, match="allowed: text 0 to 5"):
            ours.without(inputs(), *wrong)


def test_contributions_may_be_confined_to_classes():
    ours = bottleneck()
    whole = ours.explain(inputs()).streams["text"].contributions
    some = ours.explain(inputs(), torch.tensor([2, 0])).streams["text"].contributions
    assert torch.equal(some, whole[..., [2, 0]])
    own = torch.tensor([[0, 1], [1, 2], [2, 0], [0, 0], [1, 0]])
    each = ours.explain(inputs(), own).streams["text"].contributions
    for b in range(5):
        assert torch.allclose(each[b], whole[b][..., own[b]])
    confined = ours.explain(inputs(), own).logits
    assert torch.allclose(confined, ours(inputs()).logits.gather(1, own), atol=1e-4)


def test_the_order_of_concepts_does_not_matter():
    ours = bottleneck()
    order = [3, 0, 5, 1, 4, 2]
    names = list(SELECTED)
    other = ConceptBottleneck(8, CLASSES, selected={names[i]: SELECTED[names[i]] for i in order})
    other.own({names[i]: SELECTED[names[i]] for i in order}, waves(6, 8, step=0.9)[order])
    other.weights.data = ours.weights.data[:, order]
    assert torch.allclose(other(inputs()).logits, ours(inputs()).logits, atol=1e-4)


def test_the_prior_is_one_for_every_owner():
    found = ConceptBottleneck(8, CLASSES, prior_weight=2.0, selected=SELECTED)
    assert found.weights[:, 1].tolist() == [2.0, 2.0, 0.0]
    assert found.weights.sum().item() == 14.0
    torch.manual_seed(0)
    other = ConceptBottleneck(8, CLASSES, prior="random", selected=SELECTED)
    assert not torch.equal(other.weights, found.weights)
    assert found.variants == ("untrained",)
    assert other.variants == ()


def test_the_untrained_mode_is_the_prior():
    ours = bottleneck()
    start = ConceptBottleneck(8, CLASSES, selected=SELECTED)
    start.own(SELECTED, waves(6, 8, step=0.9))
    with ours.predicting("untrained"):
        assert torch.equal(ours(inputs()).logits, start(inputs()).logits)
    assert not torch.allclose(ours(inputs()).logits, start(inputs()).logits)


def samples():
    """Embeddings of three classes that lie near their concepts."""
    random = torch.Generator().manual_seed(3)
    texts = Words().embed_texts(["round and red", "long and blue", "flat and green"])
    labels = torch.arange(30) % 3
    return texts[labels] + 0.5 * torch.randn(30, 8, generator=random), labels


def settled(path, **arguments):
    found = ConceptBottleneck(
        8, CLASSES, Words(), concepts=str(concept_file(path, CLASSES)), **arguments
    )
    return found, found.fit_once(*samples(), CLASSES)


def test_concepts_are_chosen_by_training_samples(tmp_path):
    ours, arguments = settled(tmp_path / "few.json", per_class=2)
    known = open_concepts(tmp_path / "few.json")
    texts = Words().embed_texts(known.texts)
    wanted = choose(known, texts, *samples(), 2)
    assert ours.names == wanted.texts
    assert torch.allclose(ours.vectors, F.normalize(Words().embed_texts(ours.names), dim=1))
    assert "small" not in ours.names or ours.selected["small"] == ("a", "b")
    # Built again without file, encoder and data: a checkpoint has the rest.
    again = ConceptBottleneck(8, CLASSES, concepts="gone.json", **arguments)
    again.load_state_dict(ours.state_dict())
    assert torch.equal(again(samples()[0]).logits, ours(samples()[0]).logits)
    assert again.names == ours.names


@pytest.mark.parametrize(
    ("relevance", "threshold"), [("contrast", 0.0), ("threshold", 0.0), ("threshold", 0.7)]
)
def test_relevance_is_how_far_a_similarity_is_above_its_usual(tmp_path, relevance, threshold):
    ours, arguments = settled(
        tmp_path / "few.json", per_class=2, relevance=relevance, threshold=threshold
    )
    x, _ = samples()
    new = x[:4] + waves(4, 8, step=0.3)
    values = ours(new).features["concepts"]
    for m, text in enumerate(ours.names):
        word = Words().embed_texts([text])[0]
        known = torch.stack([F.cosine_similarity(word, one, dim=0) for one in x]).double()
        for b, one in enumerate(new):
            far = (F.cosine_similarity(word, one, dim=0) - known.mean()) / known.std(correction=0)
            wanted = float(far) if relevance == "contrast" else max(0.0, float(far) - threshold)
            assert float(values[b, m]) == pytest.approx(wanted, abs=1e-4)
    # explanations and edits are exact, and a checkpoint builds the same network
    told = ours.explain(new).streams["text"].contributions
    assert torch.allclose(told.sum(dim=(1, 2)), ours(new).logits, rtol=1e-4, atol=1e-3)
    less = remove_concept(ours, ours.names[1])(new).logits
    assert torch.allclose(less, ours(new).logits - told[:, 0, 1], rtol=1e-4, atol=1e-3)
    again = ConceptBottleneck(
        8, CLASSES, Words(), relevance=relevance, threshold=threshold, **arguments
    )
    again.load_state_dict(ours.state_dict())
    assert torch.equal(again(new).logits, ours(new).logits)


def test_only_a_threshold_makes_it_more_than_a_linear_probe(tmp_path):
    x = waves(3, 8, step=0.5)
    x = x / x.norm(dim=1, keepdim=True)
    for relevance, linear in (("none", True), ("contrast", True), ("threshold", False)):
        ours, _ = settled(
            tmp_path / f"{relevance}.json",
            per_class=2,
            relevance=relevance,
            similarity="inner_product",
        )
        a, b, middle = ours.values(torch.stack([x[0], x[1], (x[0] + x[1]) / 2]))
        assert torch.allclose(middle, (a + b) / 2, atol=1e-4) == linear


def test_a_concept_without_a_usual_similarity_is_not_added(tmp_path):
    ours, _ = settled(tmp_path / "few.json", per_class=2, relevance="threshold")
    with pytest.raises(UserError, match="relevance is none"):
        add_concept(ours, "a new one", {"a": 1.0}, torch.ones(8))


def test_the_criterion_decides(tmp_path):
    plain, _ = settled(tmp_path / "few.json", per_class=1)
    covering, _ = settled(
        tmp_path / "few.json", per_class=1, criterion=Criterion(discriminability=0.0)
    )
    assert plain.names != covering.names


def test_random_concepts_are_those_of_the_class_and_follow_the_seed(tmp_path):
    def drawn(seed):
        torch.manual_seed(seed)
        return settled(tmp_path / "few.json", per_class=1, choice="random")[0]

    assert drawn(0).names == drawn(0).names
    assert len({drawn(seed).names for seed in range(8)}) > 2
    assert all(2 <= len(drawn(seed).names) <= 3 for seed in range(8))
    whole, _ = settled(tmp_path / "few.json", choice="all")
    assert whole.names == open_concepts(tmp_path / "few.json").texts


def test_a_class_without_samples_has_concepts_all_the_same(tmp_path):
    x, labels = samples()
    ours = ConceptBottleneck(
        8, CLASSES, Words(), concepts=str(concept_file(tmp_path / "few.json", CLASSES)), per_class=2
    )
    ours.fit_once(x[labels < 2], labels[labels < 2], CLASSES)
    assert bool(ours.owners.any(dim=1).all())


def test_what_is_missing_or_does_not_fit_is_refused(tmp_path):
    path = str(concept_file(tmp_path / "few.json", CLASSES))
    with pytest.raises(UserError, match="needs concepts"):
        ConceptBottleneck(8, CLASSES, Words()).fit_once(*samples(), CLASSES)
    with pytest.raises(UserError, match="needs concepts"):
        ConceptBottleneck(8, CLASSES, concepts=path).fit_once(*samples(), CLASSES)
    with pytest.raises(UserError, match="'z'"):
        ConceptBottleneck(8, CLASSES, Words(), concepts=path).fit_once(*samples(), (*CLASSES, "z"))
    with pytest.raises(UserError, match="one dual encoder"):
        ConceptBottleneck(9, CLASSES, Words(), concepts=path).fit_once(
            torch.zeros(3, 9), torch.arange(3), CLASSES
        )
    with pytest.raises(UserError, match="fit it once"):
        ConceptBottleneck(8, CLASSES, Words(), concepts=path)(inputs())
    with pytest.raises(UserError, match="'z'"):
        ConceptBottleneck(8, CLASSES, selected={"x": ["z"]})
    for wrong in ({"per_class": 0}, {"scale": 0.0}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            ConceptBottleneck(8, CLASSES, **wrong)


def test_the_content_is_that_of_the_file(tmp_path):
    path = concept_file(tmp_path / "few.json", CLASSES)
    before = ConceptBottleneck.content({"concepts": str(path)})
    assert before == ConceptBottleneck.content({"concepts": str(path), "per_class": 3})
    path.write_text(Path(path).read_text().replace("striped", "dotted").replace("large", "huge"))
    assert ConceptBottleneck.content({"concepts": str(path)}) != before
    assert ConceptBottleneck.content({}) == ""


def test_removing_takes_exactly_what_the_concept_contributed():
    ours = bottleneck()
    parts = ours.explain(inputs()).streams["text"].contributions[:, 0]
    for m, name in enumerate(SELECTED):
        other = remove_concept(ours, name)
        assert name not in other.names
        change = other(inputs()).logits - ours(inputs()).logits
        assert torch.allclose(change, -parts[:, m], atol=1e-4)
    assert tuple(SELECTED) == ours.names  # stays as it is
    with pytest.raises(UserError, match="did you mean 'round'"):
        remove_concept(ours, "rounds")


def test_reweighing_changes_the_named_classes_by_its_factor():
    ours = bottleneck()
    parts = ours.explain(inputs()).streams["text"].contributions[:, 0, 1]
    change = reweigh_concept(ours, "round", 3.0)(inputs()).logits - ours(inputs()).logits
    assert torch.allclose(change, 2.0 * parts, atol=1e-4)
    change = reweigh_concept(ours, "round", 0.0, ["b"])(inputs()).logits - ours(inputs()).logits
    assert torch.allclose(change[:, 1], -parts[:, 1], atol=1e-4)
    assert torch.allclose(change[:, [0, 2]], torch.zeros(5, 2), atol=1e-4)
    with pytest.raises(UserError, match="'z'"):
        reweigh_concept(ours, "round", 1.0, ["z"])


def test_an_added_concept_adds_what_it_says_and_can_win():
    ours = bottleneck()
    vector = waves(1, 8, step=2.2)[0]
    other = add_concept(ours, "shiny", {"c": 0.5}, vector)
    cosine = F.normalize(inputs(), dim=1) @ F.normalize(vector, dim=0)
    change = other(inputs()).logits - ours(inputs()).logits
    assert torch.allclose(change[:, 2], 100 * 0.5 * cosine, atol=1e-4)
    assert torch.allclose(change[:, :2], torch.zeros(5, 2), atol=1e-4)
    assert other.selected["shiny"] == ("c",)
    assert torch.allclose(
        remove_concept(other, "shiny")(inputs()).logits, ours(inputs()).logits, atol=1e-4
    )
    strong = add_concept(ours, "shiny", {"c": 50.0}, vector)
    assert strong(vector[None]).logits.argmax() == 2
    with pytest.raises(UserError, match="reweigh it"):
        add_concept(ours, "round", {"a": 1.0}, vector)
    with pytest.raises(UserError, match="vector is needed"):
        add_concept(ours, "shiny", {"a": 1.0})
    ours.encoder = Words()
    assert add_concept(ours, "shiny", {"a": 1.0}).names[-1] == "shiny"


def test_an_edited_bottleneck_is_built_again_from_its_arguments():
    other = reweigh_concept(
        add_concept(bottleneck(), "shiny", {"c": 0.5}, waves(8, step=1.1)), "red", -1.0
    )
    again = ConceptBottleneck(8, CLASSES, **other.settled)
    again.load_state_dict(other.state_dict())
    assert torch.allclose(again(inputs()).logits, other(inputs()).logits)
    assert again.names == other.names


def test_the_top_concepts_of_a_class_are_those_of_largest_weight():
    ours = bottleneck()
    top = ours.top(2)
    for n, name in enumerate(CLASSES):
        order = ours.association[n].argsort(descending=True)[:2].tolist()
        assert [text for text, _ in top[name]] == [ours.names[i] for i in order]
        assert top[name][0][1] == pytest.approx(ours.association[n].max().item())


def test_training_lowers_the_loss_and_repeats(tmp_path):
    def trained():
        ours, _ = settled(tmp_path / "few.json", per_class=2)
        x, labels = samples()
        step = torch.optim.Adam(ours.parameters(), 0.05)
        losses = []
        for _ in range(30):
            loss = F.cross_entropy(ours(x).logits, labels)
            step.zero_grad()
            loss.backward()
            step.step()
            losses.append(loss.item())
        return ours.weights.detach(), losses

    (first, losses), (second, _) = trained(), trained()
    assert losses[-1] < losses[0]
    assert torch.equal(first, second)


SAID = {
    "dog": ["wet nose", "four legs", "long tongue", "loyal eyes", "short fur"],
    "cat": ["four legs", "short fur", "whiskers", "wet nose"],
    "frog": ["wet skin", "four legs", "long tongue", "webbed feet"],
}


class Released(EncoderSource):
    """Texts in the order in which the released code keeps them, each with a vector by formula."""

    fingerprint = "released"

    def load(self):
        raise AssertionError("only texts are asked for")

    def embed_texts(self, texts):
        every = sorted({text for listed in SAID.values() for text in listed})
        vectors = (1 + torch.arange(len(every) * 6).reshape(-1, 6) * 7 % 11).float() / 10
        return vectors[[every.index(text) for text in texts]]


def test_the_first_class_owns_a_shared_concept_as_in_the_released_code(tmp_path):
    # YueYANG1996/LaBo@83ed4b0: save_npy_files, np.unique, group_mi_select (two of each class), scatter_
    (tmp_path / "class2concepts.json").write_text(json.dumps(SAID))
    write(read_labo(tmp_path / "class2concepts.json"), tmp_path / "ours.json")
    images = (1 + torch.arange(12 * 6).reshape(12, 6) * 5 % 13).float() / 10
    labels = torch.tensor(
        [1] * 4 + [0] * 4 + [2] * 4
    )  # cat, dog, frog; images in the order of the file
    released = Criterion(
        1e7, 0, values="raw", scale="raw", likeness="squared_cosine", normalise=False
    )
    arguments = {
        "encoder": Released(), "concepts": str(tmp_path / "ours.json"), "per_class": 2, "criterion": released,
        "similarity": "inner_product",
    }  # fmt: skip
    ours = ConceptBottleneck(6, ("cat", "dog", "frog"), ownership="first", **arguments)
    with pytest.warns(
        UserWarning, match="1 of 3 classes have fewer than 2 candidates"
    ):  # cat keeps one
        ours.fit_once(images, labels, ours.class_names)
    assert ours.selected == {
        "four legs": ("dog",), "short fur": ("dog",), "webbed feet": ("frog",), "wet skin": ("frog",),
        "whiskers": ("cat",),
    }  # fmt: skip
    theirs = torch.tensor([[0, 0, 0, 0, 1.0], [1, 1, 0, 0, 0], [0, 0, 1, 1, 0]])
    assert torch.equal(ours.weights.data, theirs)
    scores = released.scores(
        images, labels, Released().embed_texts(sorted({t for v in SAID.values() for t in v})), 3
    )
    wanted = [
        0.0001391880214214325, 9.436940308660269e-05, 0.00011307059321552515, 0.0001397106098011136,
        4.05025202780962e-05, 5.6377146393060684e-05, 7.372268009930849e-05, 9.552796836942434e-05,
    ]  # fmt: skip
    torch.testing.assert_close(
        scores, torch.tensor(wanted, dtype=torch.float64), rtol=1e-2, atol=2e-7
    )
    every = ConceptBottleneck(6, ("cat", "dog", "frog"), **arguments)
    every.fit_once(images, labels, every.class_names)
    assert every.selected["four legs"] == ("cat", "dog", "frog")
