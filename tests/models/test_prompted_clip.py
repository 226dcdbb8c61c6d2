"""PromptedClip: the authors' whole forward pass, zero-shot without prompts, texts encoded once, what trains."""

import copy
import pickle

import pytest
import torch
from torch.nn import functional as F

from tests.vlm.formula import Given, fill, prompts, scatter
from tests.vlm.small import IMAGES, image_encoder, image_folder, signal_encoder
from tutelage.errors import UserError
from tutelage.models import On, PromptedClip, measure
from tutelage.objectives import Labels, SelfRegulation
from tutelage.teachers import state_hash
from tutelage.types import Batch, Clock, View
from tutelage.vlm import HuggingFace, OpenClip
from tutelage.vlm.hugging_face import export_hugging_face
from tutelage.vlm.open_clip import new_open_clip
from tutelage.vlm.pictures import Preparation

pytest.importorskip("open_clip")

NAMES = ("cat", "airliner", "red_fox", "tipper truck")
FEW = ("a photo of a {}.", "art of the {}.")
AUTHORS = {
    "embed_dim": 32,
    "quick_gelu": True,
    "vision_cfg": {"image_size": 32, "patch_size": 8, "width": 64, "layers": 3, "head_width": 64},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 64, "heads": 2, "layers": 3},
}


def made(encoder=None, names=NAMES, seed=0, **more):
    torch.manual_seed(seed)
    given = {"vision_depth": 2, "text_depth": 1, "frozen_templates": FEW} | more
    return PromptedClip(names, Given(image_encoder() if encoder is None else encoder), **given)


def pictures(count=3):
    return torch.rand(count, 3, 16, 16, generator=torch.Generator().manual_seed(1))


def texts_encoded(network, call):
    before = network.encoder.encoded["texts"]
    call()
    return network.encoder.encoded["texts"] - before


@pytest.fixture(scope="module")
def authors():
    """Our network with the weights and the prompts that the authors' code was run with."""
    encoder = new_open_clip(AUTHORS, Preparation((32, 32), (0, 0, 0), (1, 1, 1)))
    encoder.model.load_state_dict(fill(encoder.model.state_dict()))
    network = made(encoder, vision_depth=3, text_depth=3, frozen_templates="imagenet")
    started = network.text.tokens[0].detach().clone()
    network.vision.tokens.data = prompts(3, 4, 64, 0.5)
    network.text.tokens.data = prompts(3, 4, 64, 1.5)
    return network.train(), started


def test_equals_the_authors_code_from_images_to_gradients(authors):
    # muzairkhattak/PromptSRC@bb95c77b634d63488f2cad81ff4a72d53bdd06d5: CustomCLIP and the losses of
    # PromptSRC.forward_backward, in float32 on the CPU, IVLP with 4 tokens and depth 3, 60 templates.
    network, _ = authors
    network.zero_grad()
    labels = torch.tensor([0, 3, 1, 2, 0])
    x = scatter(5 * 3 * 32 * 32, 3.3).reshape(5, 3, 32, 32).float()
    output = network(x)
    close = {"rtol": 1e-4, "atol": 2e-5}
    logits = [
        [-2.6825855, -1.8118081, -1.8116896, -0.1570398],
        [-2.6876264, -1.8163451, -1.8162260, -0.1519440],
    ]
    frozen = [
        [-2.8969712, -2.4802485, -2.5205667, -2.6149035],
        [-2.6407795, -2.3093035, -2.3557253, -2.4101949],
    ]
    found = output.features
    torch.testing.assert_close(output.logits[:2], torch.tensor(logits), **close)
    torch.testing.assert_close(found["logits_frozen"][:2], torch.tensor(frozen), **close)
    for name, row, numbers in (
        ("image", found["image"][1], [-0.0687107, 0.2258824, 0.3030607, -0.0277950]),
        ("image_frozen", found["image_frozen"][1], [-0.1374377, 0.0883559, 0.3826301, 0.1205207]),
        ("text", found["text"][0, 2], [-0.2726933, -0.2297982, -0.1265152, -0.2123383]),
        ("text_frozen", found["text_frozen"][0, 2], [0.0120383, -0.2959166, 0.1908859, -0.1808978]),
    ):
        torch.testing.assert_close(row[:4], torch.tensor(numbers), **close, msg=name)
    view = View(output, {}, Batch({}, labels, torch.arange(5)), Clock())
    judged = SelfRegulation().judge(view)
    parts = {"labels": Labels()(view).mean(), "regulation": judged.loss.mean()}
    traced = {name: float(values.mean()) for name, values in judged.traces.items()}
    assert traced == pytest.approx(
        {"text": 0.11763133, "image": 0.06531592, "logits": 0.10255613}, rel=1e-4
    )
    assert float(parts["labels"].detach()) == pytest.approx(2.0515411, rel=1e-4)
    total = sum(parts.values())
    assert float(total.detach()) == pytest.approx(5.7480397, rel=1e-4)
    total.backward()
    norms = [float(g.norm()) for p in (network.vision, network.text) for g in p.tokens.grad]
    expected = [1.6643678, 2.6226089, 1.6501791, 2.3910136, 1.7164804, 2.0096192]
    assert norms == pytest.approx(expected, rel=1e-3)


def test_the_first_text_prompts_begin_as_the_words_they_replace(authors):
    # The authors' ctx before training.
    words = [
        [0.1431470, 0.0520604],
        [0.0205453, 0.1513672],
        [-0.0682604, 0.1803517],
        [0.1431470, 0.0520604],
    ]
    torch.testing.assert_close(authors[1][:, :2], torch.tensor(words))


def test_without_prompts_it_is_zero_shot_and_has_nothing_to_train():
    network = made(vision_depth=0, text_depth=0).eval()
    assert not any(p.requires_grad for p in network.parameters())
    encoder = image_encoder()
    texts = [f"a photo of a {name.replace('_', ' ')}." for name in NAMES]
    image = F.normalize(encoder.encode_inputs(encoder.prepare(pictures())), dim=1)
    text = F.normalize(encoder.encode_texts(texts), dim=1)
    assert torch.equal(network(pictures()).logits, encoder.logit_scale * image @ text.mT)
    assert torch.equal(network(pictures()).features["image"], image)
    assert torch.equal(network.class_embeddings(), text)
    # With words as prompts and none in the image tower, the answer is that of zero-shot, too.
    words = made(vision_depth=0, text_depth=1).eval()
    torch.testing.assert_close(words(pictures()).logits, network(pictures()).logits)


def test_both_libraries_give_the_same_network(tmp_path):
    folder = image_folder(tmp_path / "open_clip")
    export_hugging_face(tmp_path / "hugging_face", image_encoder(), IMAGES)
    networks = []
    for source in (OpenClip(str(folder)), HuggingFace(str(tmp_path / "hugging_face"))):
        torch.manual_seed(0)
        networks.append(PromptedClip(NAMES, source, vision_depth=2, text_depth=1))
    # What loading draws does not decide how prompts begin.
    assert torch.equal(networks[0].vision.tokens, networks[1].vision.tokens)
    one, other = (network.train()(pictures()) for network in networks)
    torch.testing.assert_close(one.logits, other.logits, rtol=1e-5, atol=1e-5)
    for name, values in one.features.items():
        torch.testing.assert_close(values, other.features[name], rtol=1e-5, atol=1e-5)


def test_in_evaluation_texts_are_encoded_once_until_something_changes():
    network = made().eval()
    assert texts_encoded(network, lambda: network(pictures())) == len(NAMES)
    assert texts_encoded(network, lambda: network(pictures(1))) == 0
    state = {name: value.clone() for name, value in network.state_dict().items()}
    kept = network.class_embeddings()
    with torch.no_grad():
        network.text.tokens[0, 0, 0] += 1.0
    assert texts_encoded(network, network.class_embeddings) == len(NAMES)
    assert not torch.equal(network.class_embeddings(), kept)
    # `.data` leaves no trace in the tensor's version, a load none in its identity.
    network.text.tokens.data.mul_(2.0)
    assert texts_encoded(network, network.class_embeddings) == len(NAMES)
    network.load_state_dict(state)
    assert texts_encoded(network, network.class_embeddings) == len(NAMES)
    assert torch.equal(network.class_embeddings(), kept)
    network.ask(("dog", "cat"))
    assert texts_encoded(network, lambda: network(pictures())) == 2
    torch.testing.assert_close(network.class_embeddings()[1], kept[0])
    # Prompts of the image tower do not concern the texts.
    network.vision.tokens.data.mul_(2.0)
    assert texts_encoded(network, network.class_embeddings) == 0


def test_in_training_texts_are_encoded_once_per_step_and_frozen_ones_once_in_all():
    network = made().train()
    frozen = len(NAMES) * len(FEW)
    assert texts_encoded(network, lambda: network(pictures())) == len(NAMES) + frozen
    network.text.tokens.data.mul_(2.0)
    assert texts_encoded(network, lambda: network(pictures())) == len(NAMES)
    seen = network.encoder.encoded["inputs"]
    network(pictures())
    assert network.encoder.encoded["inputs"] - seen == 2 * 3  # with prompts, and without
    plain = made(frozen_templates=None, text_depth=0).train()
    assert texts_encoded(plain, lambda: plain(pictures())) == len(NAMES)
    assert texts_encoded(plain, lambda: plain(pictures())) == 0  # nothing of the texts is learned
    assert plain.encoder.encoded["inputs"] == 2 * 3
    assert list(plain(pictures()).features) == ["image"]


def test_frozen_texts_are_the_mean_of_unnormalised_embeddings():
    network = made()
    encoder, rows = image_encoder(), []
    for name in NAMES:
        texts = [template.format(name.replace("_", " ")) for template in FEW]
        rows.append(F.normalize(encoder.encode_texts(texts).mean(dim=0), dim=0))
    torch.testing.assert_close(network.frozen_embeddings(), torch.stack(rows))
    norms = network.frozen_embeddings().norm(dim=1)
    torch.testing.assert_close(norms, torch.ones(len(NAMES)))
    published = made(frozen_templates="imagenet").frozen_templates
    assert len(set(published)) == 60
    assert {"a photo of a {}.", "itap of the {}."} < set(
        published
    )  # first and last of the authors' list


def test_a_step_changes_the_prompts_alone():
    network = On("image", made(), torch.zeros(3), torch.ones(3)).train()
    before = {name: p.detach().clone() for name, p in network.named_parameters()}
    trained = {name for name, p in network.named_parameters() if p.requires_grad}
    assert trained == {"network.vision.tokens", "network.text.tokens"}
    optimizer = torch.optim.SGD([p for p in network.parameters() if p.requires_grad], 0.1)
    view = View(network(batch()), {}, batch(), Clock())
    (Labels()(view) + SelfRegulation()(view)).mean().backward()
    optimizer.step()
    for name, parameter in network.named_parameters():
        assert torch.equal(parameter, before[name]) == (name not in trained)
    assert not network.network.encoder.training


def batch():
    return Batch({"image": pictures()}, torch.tensor([0, 2, 1]), torch.arange(3))


def test_only_some_classes_may_compete_in_training():
    network = made()
    network.restrict_classes(["tipper truck", "cat"])
    alone = made(names=("cat", "tipper truck"))
    found, wanted = network.train()(pictures()), alone.train()(pictures())
    torch.testing.assert_close(found.logits[:, [0, 3]], wanted.logits)
    for name in ("image", "image_frozen", "text", "text_frozen"):
        torch.testing.assert_close(found.features[name], wanted.features[name])
    assert bool((found.logits.softmax(dim=1)[:, [1, 2]] == 0).all())
    labels = torch.tensor([0, 3, 3])
    views = [
        View(output, {}, Batch({}, own, torch.arange(3)), Clock())
        for output, own in ((found, labels), (wanted, labels.clamp(max=1)))
    ]
    for objective in (Labels(), SelfRegulation()):
        torch.testing.assert_close(objective(views[0]), objective(views[1]))
    assert found.logits.isfinite().all()
    assert network.eval()(pictures()).logits.min() > -1e3  # in evaluation all compete
    network.restrict_classes(NAMES)
    assert network.among is None
    with pytest.raises(UserError, match="did you mean 'cat'"):
        network.restrict_classes(["cats"])


def test_texts_in_parts_give_the_same_gradients():
    grads = []
    for chunk in (None, 3, 1):
        network = made(text_chunk=chunk).train()
        view = View(network(pictures()), {}, batch(), Clock())
        (Labels()(view) + SelfRegulation()(view)).mean().backward()
        grads.append((network.text.tokens.grad, network.vision.tokens.grad))
    for one in grads[1:]:
        for ours, whole in zip(one, grads[0], strict=True):
            torch.testing.assert_close(ours, whole)
    with pytest.raises(ValueError, match="text_chunk: 0"):
        made(text_chunk=0)


def test_placeholders_stand_where_the_template_has_too_few_words():
    words = image_encoder().model.token_embedding.weight
    tokenise = image_encoder().tokenise
    network = made(template="{}.", tokens=2)
    assert torch.equal(
        network.words, tokenise([f"X X {name.replace('_', ' ')}." for name in NAMES])
    )
    assert network.text.tokens.detach().abs().max() < 0.02 * 6
    network = made(template="a {}.", tokens=2)
    assert torch.equal(network.words[0], tokenise(["X a cat."])[0])
    assert torch.equal(network.text.tokens[0, 1], words[tokenise(["a"])[0, 1]])
    assert not torch.equal(network.text.tokens[0, 0], words[tokenise(["X"])[0, 1]])
    assert torch.equal(made(text_depth=0, template="{}.").words[0], tokenise(["cat."])[0])


def test_templates_and_names_that_do_not_fit_are_refused():
    for more, sentence in (
        ({"template": "a photo"}, "template: found 'a photo', allowed: a text with"),
        ({"frozen_templates": ["{}", "art"]}, "frozen_templates: found 'art'"),
        ({"frozen_templates": []}, "frozen_templates: found none"),
        ({"tokens": 10}, "tokens: 10; allowed: 1 to 9, for a text has 12 tokens"),
        ({"vision_depth": 3}, "depth: 3; allowed: 1 to the 2 blocks"),
        (
            {"names": ("fish " * 12 + "a", "fish " * 12 + "b")},
            "are one text to the encoder, which reads 12",
        ),
    ):
        with pytest.raises(ValueError, match=sentence):
            made(**more)
    with pytest.raises(UserError, match="allowed: images of 3 channels"):
        made()(torch.zeros(2, 2, 16, 16))
    # Two classes of ImageNet have one name; the number that tells them apart is not spoken.
    network = made(names=("missile (n03773504)", "missile (n04008634)", "a (n1)"))
    assert torch.equal(network.words[0], network.encoder.tokenise(["a photo of a missile."])[0])


def test_an_encoder_whose_texts_have_no_start_is_refused():
    encoder = image_encoder()
    tokenise = encoder.tokeniser
    encoder.tokeniser = lambda texts: tokenise(texts).roll(-1, dims=1)
    with pytest.raises(UserError, match="without a start token"):
        made(encoder)
    assert made(encoder, text_depth=0).text is None


def test_a_checkpoint_holds_the_prompts_and_the_encoder_by_name():
    network, other = made(), made(seed=1)
    state = network.state_dict()
    assert sorted(state) == ["_extra_state", "encoder.fingerprint", "text.tokens", "vision.tokens"]
    other.load_state_dict(state)
    assert torch.equal(other.eval()(pictures()).logits, network.eval()(pictures()).logits)
    torch.manual_seed(0)
    foreign = PromptedClip(NAMES, Given(image_encoder(1), "other"), vision_depth=2, text_depth=1)
    with pytest.raises(UserError, match="another encoder"):
        foreign.load_state_dict(state)
    elsewhere = made(names=("dog", "frog"))  # what was learned answers for other classes
    elsewhere.load_state_dict(state)
    assert elsewhere.eval()(pictures()).logits.shape == (3, 2)
    for copied in (copy.deepcopy(network), pickle.loads(pickle.dumps(network))):
        assert torch.equal(copied.eval()(pictures()).logits, network.eval()(pictures()).logits)
        copied.vision.tokens.data.mul_(2.0)
        assert not torch.equal(copied(pictures()).logits, network(pictures()).logits)


def test_the_hash_of_the_state_is_that_of_the_answers():
    network = made()
    first = state_hash(network)
    assert state_hash(made(template="a picture of a {}.")) != first
    network.ask(NAMES[::-1])
    assert state_hash(network) != first
    network.ask(NAMES)
    assert state_hash(network) == first


def test_signals_are_classified_by_names_too():
    network = made(
        signal_encoder(), ("walking", "sitting down"), template="{}.", tokens=2, vision_depth=1
    ).train()
    output = network(torch.randn(3, 2, 32, generator=torch.Generator().manual_seed(0)))
    assert output.logits.shape == (3, 2)
    output.logits[:, 0].sum().backward()
    assert bool(network.vision.tokens.grad.any())
    assert bool(network.text.tokens.grad.any())


def test_mixed_precision_stays_near_and_keeps_cosines_in_float32():
    network = made().train()
    plain = network(pictures())
    with torch.autocast("cpu", torch.bfloat16):
        found = network(pictures())
        assert torch.equal(
            network.eval()(pictures()).features["image"].norm(dim=1).round(), torch.ones(3)
        )
        kept = network.class_embeddings()
    assert found.logits.dtype == torch.float32
    torch.testing.assert_close(found.logits, plain.logits, rtol=0.05, atol=0.5)
    network.kept = None
    assert torch.equal(
        network.class_embeddings(), kept
    )  # of full precision wherever it was asked for


def test_a_prediction_does_not_count_the_texts():
    macs = [measure(made(names=names).eval(), (3, 16, 16)).macs for names in (NAMES, NAMES[:2])]
    assert macs[0] - macs[1] == 2 * 16  # two cosines more
