"""Loading of dual encoders: equal to the libraries' own, and strict."""

import json
import shutil
import warnings

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torchvision import transforms

from tests.vlm.small import IMAGES, image_encoder, image_folder, signal_encoder, signal_folder
from tutelage.errors import UserError
from tutelage.recipe.instantiate import build
from tutelage.vlm import EncoderSource, HuggingFace, OpenClip, SignalText
from tutelage.vlm.hugging_face import _preparation, export_hugging_face
from tutelage.vlm.open_clip import new_open_clip, save_open_clip
from tutelage.vlm.pictures import CLIP_MEAN, CLIP_STD, Preparation
from tutelage.vlm.signal_text import SignalTextEncoder, Sizes
from tutelage.vlm.training import as_floats

open_clip = pytest.importorskip("open_clip")
transformers = pytest.importorskip("transformers")

TEXTS = ["a photo of a cat", "walking upstairs, slowly", "Striped fur"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return image_folder(tmp_path_factory.mktemp("open_clip"))


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    place = tmp_path_factory.mktemp("hugging_face")
    export_hugging_face(place, image_encoder(), IMAGES)
    return place


def pictures(count=3, rows=24, columns=20):
    random = torch.Generator().manual_seed(1)
    return torch.rand(count, 3, rows, columns, generator=random)


def embeddings(encoder, x):
    return encoder.encode_inputs(encoder.prepare(x)), encoder.encode_texts(TEXTS)


def test_a_folder_is_read_by_open_clip_itself_and_says_the_same(folder):
    model, _, transform = open_clip.create_model_and_transforms(f"local-dir:{folder}")
    tokens = open_clip.get_tokenizer(f"local-dir:{folder}")(TEXTS)
    pixels = (pictures(rows=16, columns=16) * 255).round().to(torch.uint8)
    theirs = torch.stack(
        [transform(Image.fromarray(one.permute(1, 2, 0).numpy())) for one in pixels]
    )
    ours = OpenClip(str(folder)).load()
    assert torch.allclose(ours.prepare(as_floats(pixels)), theirs, atol=1e-6)
    with torch.no_grad():
        model.eval()
        images, texts = embeddings(ours, as_floats(pixels))
        assert torch.allclose(images, model.encode_image(theirs), atol=1e-6)
        assert torch.allclose(texts, model.encode_text(tokens), atol=1e-6)
        assert torch.equal(ours.logit_scale, model.logit_scale.exp())


def test_a_name_with_a_file_of_weights_loads_the_same_encoder(folder, tmp_path):
    (tmp_path / "tiny-test.json").write_text(json.dumps(IMAGES))
    open_clip.add_model_config(tmp_path / "tiny-test.json")
    file = folder / "open_clip_model.safetensors"
    named = OpenClip("tiny-test", str(file))
    for one, other in zip(
        embeddings(named.load(), torch.rand(2, 3, 16, 16, generator=torch.Generator())),
        embeddings(
            OpenClip(str(folder)).load(), torch.rand(2, 3, 16, 16, generator=torch.Generator())
        ),
        strict=True,
    ):
        assert torch.equal(one, other)
    assert named.fingerprint != OpenClip("tiny-other", str(file)).fingerprint


def test_an_exported_folder_says_the_same_in_transformers(folder, exported):
    ours, theirs = OpenClip(str(folder)).load(), HuggingFace(str(exported)).load()
    seen = pictures(
        rows=28, columns=16
    )  # of an odd number of pixels the libraries cut away different ones
    for one, other in zip(embeddings(ours, seen), embeddings(theirs, seen), strict=True):
        assert torch.allclose(one, other, atol=1e-5)
    assert torch.allclose(ours.logit_scale, theirs.logit_scale)
    assert ours.input_shape == theirs.input_shape == (3, 16, 16)
    model = transformers.CLIPModel.from_pretrained(exported).eval()
    with torch.no_grad():
        logits = model(
            input_ids=theirs.tokenise(TEXTS), pixel_values=theirs.prepare(pictures())
        ).logits_per_image
    images, texts = (
        torch.nn.functional.normalize(x, dim=1) for x in embeddings(theirs, pictures())
    )
    assert torch.allclose(theirs.logit_scale * images @ texts.mT, logits, atol=1e-4)


@pytest.mark.parametrize("size", [(40, 30), (17, 64), (12, 9)])
@pytest.mark.parametrize("resize", ["shortest", "squash"])
def test_images_are_prepared_as_open_clip_prepares_them(size, resize):
    random = np.random.default_rng(0)
    coarse = Image.fromarray(random.integers(0, 256, (5, 7, 3), np.uint8))
    image = coarse.resize(size[::-1], Image.Resampling.BICUBIC)
    config = open_clip.transform.PreprocessCfg(size=16, resize_mode=resize)
    theirs = open_clip.transform.image_transform_v2(config, is_train=False)(image)
    x = torch.from_numpy(np.array(image)).permute(2, 0, 1)[None]
    ours = Preparation((16, 16), resize=resize)(as_floats(x))[0]
    assert torch.allclose(ours, theirs, atol=1e-6)


def test_a_missing_or_a_foreign_weight_is_refused(folder, exported, tmp_path):
    for source, name, kind in (
        (folder, "open_clip_model.safetensors", OpenClip),
        (exported, "model.safetensors", HuggingFace),
    ):
        for change in ("missing", "foreign", "other shape"):
            place = tmp_path / f"{kind.__name__}-{change}"
            shutil.copytree(source, place)
            state = load_file(place / name)
            key = next(key for key in state if key.endswith("mlp.c_fc.bias") or "fc1.bias" in key)
            if change == "missing":
                del state[key]
            elif change == "foreign":
                state["visual.prompt"] = torch.zeros(2)
            else:
                state[key] = torch.zeros(3)
            save_file(state, place / name, metadata={"format": "pt"})
            with pytest.raises(UserError, match="encoder"):
                kind(str(place)).load()


def test_weights_are_never_random(tmp_path, folder):
    with pytest.raises(UserError, match="untrained"):
        OpenClip("ViT-B-32")
    with pytest.raises(UserError, match="has its own"):
        OpenClip(str(folder), "openai")
    with pytest.raises(UserError, match="cannot load"):
        OpenClip("ViT-B-32", str(tmp_path / "nowhere.pt")).load()
    with pytest.raises(UserError, match="cannot load 'ViT-B-23'"):
        OpenClip("ViT-B-23", "openai").load()
    bare = tmp_path / "bare"
    bare.mkdir()
    shutil.copy(folder / "open_clip_config.json", bare)
    with pytest.raises(UserError, match="cannot load"):
        OpenClip(str(bare)).load()


def test_weights_of_a_network_with_another_activation_are_refused(monkeypatch):
    def create(*_, **__):
        warnings.warn("QuickGELU mismatch between final model config", stacklevel=1)

    monkeypatch.setattr(open_clip, "create_model", create)
    with pytest.raises(UserError, match="QuickGELU"):
        OpenClip("ViT-B-32", "openai").load()


def test_the_fingerprint_is_that_of_the_content(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "copy")
    copy = OpenClip(str(tmp_path / "copy"))
    assert copy.fingerprint == OpenClip(str(folder)).fingerprint
    image_folder(tmp_path / "copy", seed=1)
    assert copy.fingerprint != OpenClip(str(folder)).fingerprint


def test_an_encoder_is_frozen_counts_and_lets_gradients_through_its_towers(folder):
    encoder = OpenClip(str(folder)).load()
    assert not encoder.training
    assert not any(p.requires_grad for p in encoder.parameters())
    seen = []
    block = encoder.model.visual.transformer.resblocks[1]
    handle = block.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].shape))
    x = pictures(2, 16, 16).requires_grad_()
    encoder.encode_inputs(encoder.prepare(x)).sum().backward()
    handle.remove()
    assert seen == [(2, 1 + 4, 32)]
    assert bool(x.grad.any())
    encoder.encode_texts(TEXTS)
    assert encoder.encoded == {"inputs": 2, "texts": 3}
    assert EncoderSource.embed_texts(OpenClip(str(folder)), TEXTS).shape == (3, 16)
    assert EncoderSource.embed_texts(OpenClip(str(folder)), []).shape == (0, 16)


def test_signals_are_standardised_and_others_refused(tmp_path):
    encoder = signal_encoder()
    x = torch.randn(3, 2, 32, generator=torch.Generator().manual_seed(0))
    ready = encoder.prepare(x)
    assert torch.allclose(ready[:, 1], (x[:, 1] + 1.0) / 0.5)
    assert encoder.encode_inputs(ready).shape == (3, 16)
    for other in (x[:, :1], x[..., :16], x[:, None]):
        with pytest.raises(UserError, match="allowed"):
            encoder.prepare(other)
    loaded = SignalText(str(signal_folder(tmp_path / "pair"))).load()
    for one, other in zip(embeddings(encoder, x), embeddings(loaded, x), strict=True):
        assert torch.equal(one, other)
    state = load_file(tmp_path / "pair" / "signal_text.safetensors")
    del state["model.visual.proj"]
    save_file(state, tmp_path / "pair" / "signal_text.safetensors")
    with pytest.raises(UserError, match=r"visual\.proj"):
        SignalText(str(tmp_path / "pair")).load()
    with pytest.raises(UserError, match="no readable"):
        SignalText(str(tmp_path / "nowhere")).load()
    with pytest.raises(UserError, match="does not exist"):
        _ = SignalText(str(tmp_path / "nowhere")).fingerprint


def test_moving_patches_of_a_signal_matters_only_through_positions():
    encoder = signal_encoder()
    x = torch.randn(2, 2, 32, generator=torch.Generator().manual_seed(0))
    moved = x.unflatten(2, (4, 8))[:, :, [2, 0, 3, 1]].flatten(2)
    assert not torch.allclose(encoder.encode_inputs(x), encoder.encode_inputs(moved))
    encoder.model.visual.positional_embedding.zero_()
    assert torch.allclose(encoder.encode_inputs(x), encoder.encode_inputs(moved), atol=1e-5)


def test_sizes_that_do_not_fit_are_refused():
    for change in ({"patch": 5}, {"heads": 3}, {"text_heads": 0}):
        arguments = {"width": 16, "text_width": 16, "heads": 2, "text_heads": 2} | change
        with pytest.raises(UserError, match=next(iter(change))):
            Sizes(2, 32, **arguments)
    with pytest.raises(UserError, match="2 channels"):
        SignalTextEncoder(
            Sizes(2, 32, width=16, heads=2, text_width=16, text_heads=2), [0.0], [1.0]
        )


class Mine(EncoderSource):
    """An encoder of one's own, reached by a dotted path."""

    fingerprint = "mine"

    def load(self):
        return signal_encoder()


def test_a_recipe_names_sources_and_ones_own(folder):
    made = build(
        "tutelage.vlm", {"type": "OpenClip", "model": str(folder)}, "encoder", base=EncoderSource
    )
    assert made.fingerprint == OpenClip(str(folder)).fingerprint
    mine = build("tutelage.vlm", "tests.vlm.test_encoders.Mine", "encoder", base=EncoderSource)
    assert mine.embed_texts(["x"]).shape == (1, 16)
    with pytest.raises(UserError, match="did you mean 'OpenClip'"):
        build("tutelage.vlm", "OpenClipp", "encoder", base=EncoderSource)


def levels(ours, theirs):
    """Return how far two prepared images are apart, in grey levels."""
    return (ours - theirs).abs() * torch.tensor(Preparation((1, 1)).std).view(3, 1, 1) * 255


def noisy(size, mode="RGB"):
    """Return a picture whose neighbouring pixels have nothing in common: whatever is summed otherwise shows."""
    pixels = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    image = Image.fromarray(pixels)
    if mode == "RGBA":  # opaque: publishers do not agree on what is seen through a picture
        image.putalpha(255)
    return image if mode == "RGBA" else image.convert(mode)


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA"])
@pytest.mark.parametrize(("edge", "crop"), [(224, 224), (256, 224), (336, 336)])
@pytest.mark.parametrize("size", [(300, 401), (641, 480), (225, 226), (100, 153)])
def test_images_are_prepared_as_transformers_prepares_them(edge, crop, size, mode):
    image = noisy(size, mode)
    cuts = {"size": {"shortest_edge": edge}, "crop_size": {"height": crop, "width": crop}}
    seen = as_floats(torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1)[None])
    published = transformers.CLIPImageProcessorPil(**cuts)
    theirs = published(images=image, return_tensors="pt")["pixel_values"][0]
    assert torch.allclose(_preparation(published)(seen)[0], theirs, atol=1e-6)
    # The processor that works on tensors differs from that by up to two levels, and so from ours.
    tensors = transformers.CLIPImageProcessor(**cuts)
    theirs = tensors(images=image, return_tensors="pt")["pixel_values"][0]
    assert levels(_preparation(tensors)(seen)[0], theirs).max() < 2.01


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA"])
@pytest.mark.parametrize(("edge", "crop"), [(224, 224), (256, 224), (336, 336)])
@pytest.mark.parametrize("size", [(300, 401), (641, 480), (225, 226), (100, 153)])
def test_images_are_prepared_as_openai_prepares_them(edge, crop, size, mode):
    """The composition of openai/CLIP's ``_transform``, whose two sizes are the same number there."""
    image = noisy(size, mode)
    theirs = transforms.Compose(
        [
            transforms.Resize(edge, transforms.InterpolationMode.BICUBIC),
            transforms.CenterCrop(crop),
            lambda seen: seen.convert("RGB"),
            transforms.ToTensor(),
            transforms.Normalize(CLIP_MEAN, CLIP_STD),
        ]
    )(image)
    seen = as_floats(torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1)[None])
    ours = Preparation((crop, crop), edge=None if edge == crop else edge)(seen)[0]
    assert torch.allclose(ours, theirs, atol=1e-6)


def test_an_export_resizes_the_same_and_leaves_nothing_behind():
    preparation, x = Preparation((13, 13)), pictures(rows=29, columns=21)

    class Prepared(torch.nn.Module):
        def forward(self, x):
            return preparation(x)

    exported = torch.export.export(Prepared(), (x,)).module()
    assert torch.equal(exported(x), preparation(x))


@pytest.mark.parametrize(
    "preparation",
    [
        Preparation((16, 16), edge=20, centre="down"),
        Preparation((16, 16), interpolation="bilinear", centre="down"),
        Preparation((16, 16), resize="squash", centre="down"),
    ],
)
def test_an_exported_preparation_comes_back(preparation, tmp_path):
    torch.manual_seed(0)
    export_hugging_face(tmp_path, new_open_clip(IMAGES, preparation), IMAGES)
    source = HuggingFace(str(tmp_path))
    back = source.load().preparation
    x = pictures(rows=33, columns=21)
    assert torch.allclose(back(x), preparation(x), atol=1e-6)
    assert ("shorter side 20" in source.fingerprint) is (preparation.edge == 20)


@pytest.mark.parametrize("quick", [True, False])
def test_the_activation_is_the_same_after_an_export(quick, tmp_path):
    config = {**IMAGES, "quick_gelu": quick}
    torch.manual_seed(0)
    ours = new_open_clip(config, Preparation((16, 16))).eval()
    export_hugging_face(tmp_path / "theirs", ours, config)
    theirs = HuggingFace(str(tmp_path / "theirs")).load()
    save_open_clip(tmp_path / "ours", ours, config)
    again = OpenClip(str(tmp_path / "ours")).load()
    seen = pictures(rows=16, columns=16)
    with torch.no_grad():
        for one, other, third in zip(
            *(embeddings(encoder, seen) for encoder in (ours, theirs, again)), strict=True
        ):
            assert torch.allclose(one, other, atol=1e-6) and torch.equal(one, third)
    about = json.loads((tmp_path / "theirs" / "config.json").read_text())
    for tower in (
        "vision_config",
        "text_config",
    ):  # what is left out is what transformers takes, quick_gelu
        assert about[tower].get("hidden_act", "quick_gelu") == ("quick_gelu" if quick else "gelu")


def test_processors_that_are_not_ours_are_refused():
    sizes = {"size": {"shortest_edge": 20}, "crop_size": {"height": 16, "width": 16}}
    for change, said in (
        ({"do_rescale": False}, "leaves out a step"),
        ({"do_center_crop": False}, "cuts out nothing"),
        ({"size": {"height": 20, "width": 20}}, "resizes to"),
        ({"size": {"shortest_edge": 12}}, "shorter side of 12"),
        ({"resample": 0}, "interpolation '0'"),
    ):
        with pytest.raises(UserError, match=said):
            _preparation(transformers.CLIPImageProcessor(**{**sizes, **change}))


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'{"sizes": 3}', b'{"model_cfg": []}', b"null"]
)
def test_damaged_folders_are_one_sentence(content, folder, exported, tmp_path):
    signals = signal_folder(tmp_path / "signals")
    for kind, source in ((OpenClip, folder), (HuggingFace, exported), (SignalText, signals)):
        for file in sorted(
            path.name for path in source.iterdir() if path.suffix in (".json", ".safetensors")
        ):
            if file.startswith("tokenizer"):
                continue
            place = tmp_path / f"{kind.__name__}-{file}"
            shutil.copytree(source, place)
            (place / file).write_bytes(content)
            if (
                file == "preprocessor_config.json"
                and content[:1] in (b"", b"{")
                and content != b"{"
            ):
                continue  # a processor with all its defaults, or none
            with pytest.raises(UserError, match="encoder") as error:
                kind(str(place)).load()
            assert "\n" not in str(error.value)
