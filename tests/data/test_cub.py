"""CUB-200-2011 on generated files of the official arrangement, against the authors' numbers and a slow way."""

import shutil
import tarfile

import numpy as np
import pytest
from PIL import Image

from tutelage.data import Cub
from tutelage.data import cub as module
from tutelage.data.cub_tables import read
from tutelage.errors import UserError

# Categories of attributes.txt, with how many values each has: 312 in all.
CATEGORIES = [
    ("bill_shape", 9), ("wing_color", 15), ("upperparts_color", 15), ("underparts_color", 15),
    ("breast_pattern", 4), ("back_color", 15), ("tail_shape", 6), ("upper_tail_color", 15),
    ("head_pattern", 11), ("breast_color", 15), ("throat_color", 15), ("eye_color", 14),
    ("bill_length", 3), ("forehead_color", 15), ("under_tail_color", 15), ("nape_color", 15),
    ("belly_color", 15), ("wing_shape", 5), ("size", 5), ("shape", 14), ("back_pattern", 4),
    ("tail_pattern", 4), ("belly_pattern", 4), ("primary_color", 15), ("leg_color", 15),
    ("bill_color", 15), ("crown_color", 15), ("wing_pattern", 4),
]  # fmt: skip
NAMES = [f"has_{name}::value_{n}_(a_b)" for name, count in CATEGORIES for n in range(count)]
SPECIES = ["001.Black_footed_Albatross", "002.Laysan_Albatross", "010.Red_winged_Blackbird"]


def write_cub(root, images=4, seed=0):
    """Write a tree of three species as CUB_200_2011.tgz unpacks; return its tables."""
    rng = np.random.default_rng(seed)
    base = root / "CUB_200_2011"
    tables = {"images": [], "labels": [], "split": [], "boxes": [], "parts": [], "attributes": []}
    number = 0
    for label, folder in enumerate(SPECIES, 1):
        for one in range(images):
            number += 1
            width, height = (int(n) for n in rng.integers(60, 120, 2))
            name = f"{folder}/{folder[4:]}_{one:04d}_{label}.jpg"
            path = base / "images" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            pixels = rng.integers(0, 256, (6, 6, 3), dtype=np.uint8)
            Image.fromarray(pixels).resize((width, height)).save(path, quality=95)
            left, top = (int(n) for n in rng.integers(0, 15, 2))
            wide, tall = int(rng.integers(30, width - left)), int(rng.integers(30, height - top))
            tables["images"].append(f"{number} {name}")
            tables["labels"].append(f"{number} {label}")
            tables["split"].append(f"{number} {int(one % 2 == 0)}")
            tables["boxes"].append(f"{number} {left}.0 {top}.0 {wide}.0 {tall}.0")
            for part in range(1, 16):
                seen = int(rng.random() < 0.7)
                x, y = left + rng.integers(-4, wide + 4), top + rng.integers(-4, tall + 4)
                where = f"{x}.0 {y}.0" if seen else "0.0 0.0"
                tables["parts"].append(f"{number} {part} {where} {seen}")
            chance = 0.02 if number == 3 else 0.25
            for attribute in range(1, len(NAMES) + 1):
                there = int(rng.random() < chance)
                if number == 3 and 218 <= attribute <= 263:
                    there = 0  # nothing is known of the whole bird
                more = (
                    " 0" if number == 2 and attribute == 5 else ""
                )  # a few lines have six columns
                tables["attributes"].append(f"{number} {attribute} {there} 3 {more}7.5")
    text = {
        "images.txt": tables["images"],
        "image_class_labels.txt": tables["labels"],
        "train_test_split.txt": tables["split"],
        "bounding_boxes.txt": tables["boxes"],
        "classes.txt": [f"{n} {name}" for n, name in enumerate(SPECIES, 1)],
        "parts/part_locs.txt": tables["parts"],
        "attributes/image_attribute_labels.txt": tables["attributes"],
    }
    for name, lines in text.items():
        (base / name).parent.mkdir(exist_ok=True)
        (base / name).write_text("\n".join(lines) + "\n")
    lines = [f"{n} {name}" for n, name in enumerate(NAMES, 1)]
    (root / "attributes.txt").write_text("\n".join(lines) + "\n")
    return text


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """Return the folder of a small tree that counts as published, and its tables."""
    text = write_cub(tmp_path / "raw")
    monkeypatch.setattr(module, "CLASSES", 3)
    monkeypatch.setattr(module, "COUNTS", {"train": (6, None), "test": (6, None)})
    return tmp_path / "raw", text


def by_image(found, text):
    """Return the row of each image number: the store is ordered by part, class and file name."""
    split = {line.split()[0]: int(line.split()[1]) for line in text["train_test_split.txt"]}
    names = dict(line.split() for line in text["images.txt"])
    order = sorted(names, key=lambda n: (1 - split[n], names[n]))
    assert len(order) == len(found)
    return {int(number): row for row, number in enumerate(order)}


# Class, global attributes, marks, places without annotation, and two weighted sums over the marks (place,
# attribute) of each image: jyhong0304/concept_centric_transformers@90a2875, data/cub2011parts.py on this tree.
GOLDEN = {
    1: (0, [221, 226, 250], 19, 189, 261831, 7801),
    2: (0, [221, 228, 236, 249, 260, 263], 7, 192, 172295, 4858),
    3: (0, None, 3, 193, 55070, 1565),
    4: (0, [219, 228], 27, 186, 376017, 11707),
    5: (1, [219, 221, 222, 226], 16, 192, 83484, 4038),
    6: (1, [222, 228, 254, 261], 24, 190, 325988, 11744),
    7: (1, [221, 249], 16, 191, 158144, 5640),
    8: (1, [222, 250, 261, 263], 18, 187, 190133, 9044),
    9: (2, [222, 226, 228, 249, 260, 263], 28, 188, 277226, 9262),
    10: (2, [219, 263], 13, 189, 121156, 4274),
    11: (2, [222, 228, 255, 260, 261], 12, 191, 96098, 2952),
    12: (2, [249, 260, 261], 21, 188, 391182, 12695),
}


def ids(found, scope):
    """Return the number of the attribute behind each concept."""
    known = {name: n for n, name in enumerate((readable(name) for name in NAMES), 1)}
    return [known[name] for name in found.concept_names[scope]]


def readable(name):
    category, value = name.removeprefix("has_").split("::")
    return f"{category.replace('_', ' ')}: {value.replace('_', ' ')}"


def test_annotations_are_those_of_the_released_code(tree, tmp_path, monkeypatch):
    root, text = tree
    # It searches "head" inside "has_forehead_color", too, and so marks the crown for the forehead.
    monkeypatch.setitem(module.PARTS, "forehead", (5, 6))
    found = Cub(str(root)).load(tmp_path / "cache")
    whole, local = ids(found, "global"), ids(found, "spatial")
    assert (len(whole), len(local)) == (13, 95)
    assert whole == sorted(whole)
    assert local == sorted(local)
    for number, row in by_image(found, text).items():
        of_bird = found.concepts["global"][row]
        places = found.concepts["spatial"][row].reshape(196, 95).astype(np.float32)
        empty = np.isnan(places).all(axis=1)
        assert (empty == np.isnan(places).any(axis=1)).all()
        marks = [(int(place), local[concept]) for place, concept in np.argwhere(places == 1)]
        present = None if np.isnan(of_bird).any() else [whole[i] for i in np.flatnonzero(of_bird)]
        assert GOLDEN[number] == (
            found.labels[row],
            present,
            len(marks),
            empty.sum(),
            sum((place + 1) * one for place, one in marks),
            sum((place + 1) * (one % 7 + 1) for place, one in marks),
        )


def test_every_mark_by_the_slow_way(tree, tmp_path):
    root, text = tree
    found = Cub(str(root), grid=5).load(tmp_path / "cache")
    boxes = {
        int(n): [float(v) for v in rest] for n, *rest in map(str.split, text["bounding_boxes.txt"])
    }
    lines = [line.split() for line in text["attributes/image_attribute_labels.txt"]]
    present = {(int(line[0]), int(line[1])) for line in lines if line[2] == "1"}
    names = found.concept_names["spatial"]
    for number, row in by_image(found, text).items():
        wanted = np.full((5, 5, len(names)), np.nan)
        for line in text["parts/part_locs.txt"]:
            image, part, x, y, visible = line.split()
            if int(image) != number or visible == "0":
                continue
            left, top, wide, tall = boxes[number]
            across, down = (float(x) - left) / wide, (float(y) - top) / tall
            if not (0 <= across < 1 and 0 <= down < 1):
                continue
            for concept, attribute in enumerate(ids(found, "spatial")):
                words = NAMES[attribute - 1].split("::")[0].split("_")
                parts = [p for word in words for p in module.PARTS.get(word, ())]
                if (number, attribute) in present and int(part) in parts:
                    cell = wanted[int(down * 5), int(across * 5)]
                    cell[np.isnan(cell)] = 0
                    cell[concept] = 1
        np.testing.assert_array_equal(found.concepts["spatial"][row], wanted)


def test_images_are_cut_to_the_bird_and_squeezed(tree, tmp_path):
    root, text = tree
    found = Cub(str(root), stored=20).load(tmp_path / "cache")
    assert found.inputs.shape == (12, 3, 20, 20)
    boxes = {
        int(n): [int(float(v)) for v in rest]
        for n, *rest in map(str.split, text["bounding_boxes.txt"])
    }
    names = {int(n): name for n, name in map(str.split, text["images.txt"])}
    for number, row in by_image(found, text).items():
        left, top, wide, tall = boxes[number]
        with Image.open(root / "CUB_200_2011" / "images" / names[number]) as image:
            bird = image.convert("RGB").crop((left, top, left + wide, top + tall))
        pixels = np.asarray(bird.resize((20, 20), Image.Resampling.BILINEAR))
        np.testing.assert_array_equal(found.inputs[row], pixels.transpose(2, 0, 1))
    assert found.class_names == (
        "Black footed Albatross",
        "Laysan Albatross",
        "Red winged Blackbird",
    )
    assert found.official_test.tolist() == [False] * 6 + [True] * 6
    assert found.name == "cub"
    assert found.concept_names["global"][0] == "size: value 1 (a b)"


def test_archive_and_folders_give_the_same_data(tree, tmp_path):
    root, _ = tree
    archive = tmp_path / "CUB_200_2011.tgz"
    with tarfile.open(archive, "w:gz") as opened:
        for path in sorted(root.rglob("*"), key=lambda one: one.name[::-1]):
            opened.add(path, f"./{path.relative_to(root).as_posix()}", recursive=False)
        hidden = root / "attributes.txt"
        opened.add(hidden, "./CUB_200_2011/images/001.Black_footed_Albatross/._a.jpg")
    one = Cub(str(archive)).load(tmp_path / "one")
    (tmp_path / "two" / "cub").mkdir(parents=True)
    shutil.copy(archive, tmp_path / "two" / "cub")
    two = Cub().load(tmp_path / "two")
    around, inside = (
        Cub(str(root)).load(tmp_path / "3"),
        Cub(str(root / "CUB_200_2011")).load(tmp_path / "4"),
    )
    moved = tmp_path / "moved"
    shutil.copytree(root, moved)
    (moved / "attributes.txt").rename(moved / "CUB_200_2011" / "attributes.txt")
    five = Cub(str(moved)).load(tmp_path / "5")
    prints = {found.fingerprint for found in (one, two, around, inside, five)}
    assert len(prints) == 1
    again = Cub(str(root)).load(tmp_path / "3")
    assert isinstance(again.concepts["spatial"], np.memmap)
    np.testing.assert_array_equal(again.concepts["spatial"], around.concepts["spatial"])


def test_frequent_attributes_by_the_slow_way(tree, tmp_path):
    root, text = tree
    birds = read(module.Folder(root, ["CUB_200_2011", "attributes.txt"]))
    images = np.arange(1, 13)
    lines = [line.split() for line in text["attributes/image_attribute_labels.txt"]]
    present = {(int(line[0]), int(line[1])) for line in lines if line[2] == "1"}
    for share, classes in ((0.45, 0), (0.5, 1), (1.0, 0), (0.3, 2)):
        wanted = []
        for attribute in range(1, 313):
            count = 0
            for label in range(3):
                mine = [4 * label + 1, 4 * label + 3]  # the training images
                having = sum((number, attribute) in present for number in mine)
                count += having / len(mine) >= share
            if count > classes:
                wanted.append(attribute)
        assert module.frequent(birds, images, share, classes) == wanted
        assert wanted
    with pytest.raises(UserError, match="found 0 attributes of the whole bird and 0 of its parts"):
        Cub(str(root), attributes="frequent").load(
            tmp_path / "cache"
        )  # three classes are not more than eight


def test_every_published_attribute_has_its_parts():
    assert len(module.PUBLISHED) == 108 == len(set(module.PUBLISHED))
    categories = [NAMES[one - 1].split("::")[0] for one in module.PUBLISHED]
    assert sum(one in module.GLOBAL for one in categories) == 13
    assert all(one in module.GLOBAL or module.candidates(one) for one in categories)
    for name, parts in {
        "has_upper_tail_color": (14,), "has_forehead_color": (6,), "has_head_pattern": (5,),
        "has_upperparts_color": (1, 10), "has_bill_length": (2,), "has_eye_color": (7, 11), "has_size": (),
    }.items():  # fmt: skip
        assert module.candidates(name) == parts
    assert module.COUNTS == {"train": (5_994, None), "test": (5_794, None)}
    assert module.CLASSES == 200


def test_what_is_not_as_published_is_refused(tree, tmp_path, monkeypatch):
    root, _ = tree
    base, cache = root / "CUB_200_2011", tmp_path / "cache"

    def refused(match, **arguments):
        with pytest.raises(UserError, match=match) as told:
            Cub(str(root), **arguments).load(cache)
        assert "\n" not in str(told.value)

    refused(r"Cub.grid: found 0", grid=0)
    refused(r"Cub.stored: found 0", stored=0)
    refused(r"Cub.attributes: found 'all', allowed are published, frequent", attributes="all")
    with monkeypatch.context() as patch:
        patch.setattr(module, "CLASSES", 200)
        refused("found 3 classes, the published one has 200")
    with monkeypatch.context() as patch:
        patch.setattr(module, "COUNTS", {"train": (5_994, None), "test": (5_794, None)})
        refused("train part in .*: found 6 images, the published one has 5,994")
    whole = (root / "attributes.txt").read_text()
    (root / "attributes.txt").write_text("\n".join(whole.splitlines()[:300]))
    refused("found no attribute 305, which is among the concepts")
    (root / "attributes.txt").unlink()
    refused(r"found no attributes.txt in it, which the official files have")
    (root / "attributes.txt").write_text(whole)
    parts = base / "parts" / "part_locs.txt"
    kept = parts.read_text()
    parts.write_text(kept + "1 2 3.0\n")
    refused(r"part_locs.txt: found the line '1 2 3.0', allowed are 5 columns")
    parts.write_text(kept.replace("1 1 ", "one 1 ", 1))
    refused("found a table that is not as published")
    parts.write_text(kept)
    labels = base / "image_class_labels.txt"
    labels.write_text(labels.read_text().replace("1 1\n", "1 2\n", 1))
    refused("image 1 of class 002.Laysan_Albatross lies in 001.Black_footed_Albatross")
    with pytest.raises(
        UserError, match=r"Cub.folder: found no CUB_200_2011.tgz and no folder .* get CUB"
    ):
        Cub().load(tmp_path / "nothing")
