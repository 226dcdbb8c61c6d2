"""Small dual encoders trained on captions, because no CLIP weights and no signal-text encoder can be had here.

python -m benchmarks.labo.stand_in cifar10      -> stand-ins/cifar10 (open_clip's folder) and stand-ins/cifar10-hf
python -m benchmarks.labo.stand_in hapt         -> stand-ins/hapt

They stand in for CLIP: they have read the names of all classes and 70 % of the shipped concepts, and have seen
other images (other people) than the recipes train, choose and test on.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from tutelage.augment import CropFlip, Scaling, Shift
from tutelage.concepts import ConceptSet
from tutelage.concepts.files import open_concepts
from tutelage.data import Cifar10, DataSet, Hapt
from tutelage.vlm.base import DualEncoder, text_embeddings
from tutelage.vlm.captions import IMAGE_TEMPLATES, SIGNAL_TEMPLATES, Captions
from tutelage.vlm.hugging_face import export_hugging_face
from tutelage.vlm.open_clip import OpenClipEncoder, new_open_clip, save_open_clip
from tutelage.vlm.pictures import Preparation
from tutelage.vlm.signal_text import SignalTextEncoder, Sizes, save_signal_text
from tutelage.vlm.training import Schooling, class_embeddings, embed, teach, zero_shot

PER_CLASS = 600  # of the images that the recipes use, from either part of CIFAR-10
PEOPLE = tuple(f"{number:02d}" for number in range(1, 13))  # of HAPT, who are in no recipe of labo
CONFIG = {
    "embed_dim": 128,
    "vision_cfg": {"image_size": 32, "patch_size": 8, "width": 96, "layers": 3, "head_width": 32},
    "text_cfg": {"context_length": 24, "vocab_size": 49408, "width": 96, "heads": 3, "layers": 2},
}
CIFAR = Preparation((32, 32), (0.4914, 0.4822, 0.4465), (0.247, 0.243, 0.262))


def other_images(count: int) -> tuple[Tensor, Tensor]:
    """Return training images that are not among those of the recipes, the same number of each class."""
    used = Cifar10(per_class=PER_CLASS).load()
    known = {image.tobytes() for image in used.inputs}
    whole = Cifar10().load()
    rest = np.flatnonzero(~whole.official_test)
    free = np.array([i for i in rest if whole.inputs[i].tobytes() not in known])
    ids = [free[whole.labels[free] == label][:count] for label in range(10)]
    chosen = np.sort(np.concatenate(ids))
    return torch.from_numpy(np.array(whole.inputs[chosen])), torch.from_numpy(whole.labels[chosen])


def other_people() -> tuple[Tensor, Tensor]:
    """Return the windows of the people who are in no recipe."""
    dataset = Hapt().load()
    chosen = np.flatnonzero(np.isin(dataset.subjects, PEOPLE))
    return torch.from_numpy(np.array(dataset.inputs[chosen])), torch.from_numpy(
        dataset.labels[chosen]
    )


def held_out(concepts: ConceptSet, seed: int) -> set[str]:
    """Return the texts that no caption says: 30 % of all."""
    order = np.random.default_rng(seed).permutation(len(concepts))
    return {concepts.texts[i] for i in order[: round(0.3 * len(concepts))]}


def captions_of(concepts: ConceptSet, hidden: set[str], templates: tuple[str, ...]) -> Captions:
    """Return what is said in training: names in templates, and the concepts that are not held out."""
    said = {
        name: [concepts.texts[i] for i in concepts.of(name) if concepts.texts[i] not in hidden]
        for name in concepts.classes
    }
    return Captions(concepts.classes, templates, said)


def judge(
    encoder: DualEncoder, captions: Captions, concepts: ConceptSet, hidden: set[str], test: DataSet
) -> dict[str, float]:
    """Return what the encoder can do on samples it has not seen."""
    ids = np.flatnonzero(test.official_test) if test.official_test is not None else slice(None)
    labels = torch.from_numpy(test.labels[ids])
    found = embed(encoder, torch.from_numpy(np.array(test.inputs[ids])))
    shot = zero_shot(found, class_embeddings(encoder, captions))
    unit = F.normalize(found, dim=1)
    centroids = torch.stack([unit[labels == c].mean(dim=0) for c in range(len(concepts.classes))])
    texts = [text for text in concepts.texts if text in hidden]
    said = F.normalize(text_embeddings(encoder, texts), dim=1)
    nearest = (said @ F.normalize(centroids, dim=1).mT).argmax(dim=1)
    owners = concepts.owners[:, [concepts.number(text) for text in texts]]
    hits = owners[nearest.numpy(), np.arange(len(texts))]
    return {
        "zero-shot accuracy": float((shot == labels).float().mean()),
        "held-out concepts nearest to an owner's centroid": float(hits.mean()),
        "chance of that": float(owners.mean()),
        "norm of inputs": float(found.norm(dim=1).mean()),
        "logit scale": float(encoder.logit_scale.detach()),
    }


def school(
    encoder: DualEncoder, inputs: Tensor, labels: Tensor, captions: Captions, schooling: Schooling
) -> float:
    """Teach, and tell every epoch; return the seconds."""
    began = time.perf_counter()

    def tell(epoch: int, loss: float) -> None:
        print(f"epoch {epoch}: {loss:.3f} nats, {time.perf_counter() - began:.0f} s", flush=True)

    teach(encoder, inputs, labels, captions, schooling, tell)
    return time.perf_counter() - began


def cifar10(folder: Path, images: int, epochs: int, seed: int) -> dict[str, Any]:
    """Train and save the stand-in for CLIP."""
    concepts = open_concepts("cifar10")
    hidden = held_out(concepts, seed)
    captions = captions_of(concepts, hidden, IMAGE_TEMPLATES)
    inputs, labels = other_images(images // 10)
    torch.manual_seed(seed)
    encoder: OpenClipEncoder = new_open_clip(CONFIG, CIFAR)
    schooling = Schooling(epochs, augment=(CropFlip(mode="reflect"),), seed=seed)
    seconds = school(encoder, inputs, labels, captions, schooling)
    save_open_clip(folder, encoder, CONFIG)
    export_hugging_face(folder.with_name(f"{folder.name}-hf"), encoder, CONFIG)
    used = Cifar10(per_class=PER_CLASS).load()
    return {"samples": len(inputs), "seconds": seconds} | judge(
        encoder, captions, concepts, hidden, used
    )


def hapt(folder: Path, epochs: int, seed: int) -> dict[str, Any]:
    """Train and save the signal-text encoder."""
    whole = Hapt().load()
    concepts = open_concepts("hapt").for_classes(whole.class_names)
    hidden = held_out(concepts, seed)
    captions = captions_of(concepts, hidden, SIGNAL_TEMPLATES)
    inputs, labels = other_people()
    mean, std = inputs.mean(dim=(0, 2)), inputs.std(dim=(0, 2))
    torch.manual_seed(seed)
    encoder = SignalTextEncoder(
        Sizes(inputs.shape[1], inputs.shape[2]), mean.tolist(), std.tolist()
    )
    schooling = Schooling(epochs, augment=(Shift(0.1), Scaling(0.1)), seed=seed)
    seconds = school(encoder, inputs, labels, captions, schooling)
    about = f"stand-in trained on {len(inputs)} windows of subjects {', '.join(PEOPLE)} of HAPT"
    save_signal_text(folder, encoder, about)
    ids = np.flatnonzero(~np.isin(whole.subjects, PEOPLE))
    others = DataSet(
        whole.name, whole.modality, np.array(whole.inputs[ids]), whole.labels[ids], None,
        whole.class_names, whole.channel_names,
    )  # fmt: skip
    return {"samples": len(inputs), "seconds": seconds} | judge(
        encoder, captions, concepts, hidden, others
    )


def main() -> None:
    """Train one stand-in."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", choices=("cifar10", "hapt"))
    parser.add_argument("--out", type=Path, default=None, help="folder, stand-ins/<data>")
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    folder = options.out or Path("stand-ins", options.data)
    if options.data == "cifar10":
        found = cifar10(folder, options.images, options.epochs, options.seed)
    else:
        found = hapt(folder, options.epochs, options.seed)
    about = {"arguments": vars(options) | {"out": folder.name}, **found}
    (folder / "stand_in.log").write_text(json.dumps(about, indent=1) + "\n")
    print(json.dumps(about, indent=1))


if __name__ == "__main__":
    main()
