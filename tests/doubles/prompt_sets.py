"""Small sets of prompt learning, in exactly the arrangement of their publishers and of CoOp."""

import json
from pathlib import Path

import numpy as np
from PIL import Image

KINDS = 4
LISTED = {
    "Caltech101": ("caltech-101", "101_ObjectCategories", "Caltech101"),
    "OxfordPets": ("oxford_pets", "images", "OxfordPets"),
    "StanfordCars": ("stanford_cars", "", "StanfordCars"),
    "Flowers102": ("oxford_flowers", "jpg", "OxfordFlowers"),
    "Food101": ("food-101", "images", "Food101"),
    "SUN397": ("sun397", "SUN397", "SUN397"),
    "DTD": ("dtd", "images", "DescribableTextures"),
    "EuroSAT": ("eurosat", "2750", "EuroSAT"),
    "UCF101": ("ucf101", "UCF-101-midframes", "UCF101"),
}
SHIFTS = {
    "ImageNetV2": ("imagenetv2", "imagenetv2-matched-frequency-format-val"),
    "ImageNetSketch": ("imagenet-sketch", "images"),
    "ImageNetA": ("imagenet-adversarial", "imagenet-a"),
    "ImageNetR": ("imagenet-rendition", "imagenet-r"),
}
_EACH = {"train": 6, "val": 1, "test": 2}


def write_set(name: str, root: Path) -> None:
    """Write a set of four classes below the folder of all sets; its name is that of its loader."""
    if name == "ImageNet":
        _imagenet(root / "imagenet")
    elif name == "FGVCAircraft":
        _aircraft(root / "fgvc_aircraft")
    elif name in SHIFTS:
        place, folder = SHIFTS[name]
        _words(root / place)
        for kind in range(KINDS):
            for number in range(4):
                own = str(kind) if name == "ImageNetV2" else f"n0000000{kind}"
                _picture(root / place / folder / own / f"{number}.jpeg", 10 * kind + number)
    else:
        _listed(name, root)


def _picture(path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng([seed, *path.name.encode()]).integers(
        0, 256, (20, 24, 3), np.uint8
    )
    Image.fromarray(pixels).save(path, "JPEG")


def _listed(name: str, root: Path) -> None:
    place, images, stem = LISTED[name]
    lists: dict[str, list[list[object]]] = {part: [] for part in _EACH}
    for part, each in _EACH.items():
        for number in range(each):
            for kind in reversed(range(KINDS)):
                top = (
                    f"cars_{'test' if part == 'test' else 'train'}/"
                    if name == "StanfordCars"
                    else ""
                )
                path = f"{top}{part}_{kind}_{number}.jpg"
                _picture(root / place / images / path, 100 * kind + number)
                lists[part].append([path, kind, f"kind_{kind}"])
    (root / place / f"split_zhou_{stem}.json").write_text(json.dumps(lists))


def _aircraft(root: Path) -> None:
    for part, each in _EACH.items():
        lines = []
        for number in range(each):
            for kind in range(KINDS):
                name = f"{len(part)}{part.encode()[0]}{number}{kind}"
                _picture(root / "images" / f"{name}.jpg", 100 * kind + number)
                lines.append(f"{name} kind-{kind}")
        (root / f"images_variant_{part}.txt").write_text("\n".join(lines) + "\n")
    (root / "variants.txt").write_text("".join(f"kind-{kind}\n" for kind in range(KINDS)))


def _imagenet(root: Path) -> None:
    for part, each in (("train", 6), ("val", 2)):
        for kind in range(KINDS):
            for number in range(each):
                path = root / "images" / part / f"n0000000{kind}" / f"{part}_{kind}_{number}.JPEG"
                _picture(path, 100 * kind + number)
    _words(root)
    (root / "LOC_synset_mapping.txt").write_text("n00000000 Carassius auratus\n")


def _words(root: Path) -> None:
    root.mkdir(parents=True, exist_ok=True)
    lines = (f"n0000000{kind} kind {kind}\n" for kind in range(KINDS))
    (root / "classnames.txt").write_text("".join(lines))
