"""The tables that come with CUB-200-2011: images, boxes, parts, attributes."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO, TextIOWrapper

from tutelage.data.sources import Source
from tutelage.errors import UserError

FOLDER = "CUB_200_2011"
TEXTS = {
    name: f"{FOLDER}/{name}"
    for name in (
        "images.txt", "image_class_labels.txt", "train_test_split.txt", "bounding_boxes.txt", "classes.txt",
        "parts/part_locs.txt", "attributes/image_attribute_labels.txt",
    )
}  # fmt: skip
ATTRIBUTES = "attributes.txt"  # in the archive beside the folder, not in it; others have moved it

Box = tuple[int, int, int, int]


@dataclass(frozen=True, eq=False)
class Birds:
    """The tables of the data set; images are known by the numbers of ``images.txt``.

    Args:
        classes: folder of each class -> readable name, in the order of the class numbers.
        number: ``<class folder>/<file>`` -> number of the image.
        tested: numbers of the images of the official test part.
        box: what is cut out of each image: left, top, right, bottom in pixels.
        attributes: number of each attribute -> category and value, such as ("has_wing_color", "blue").
        present: image -> numbers of the attributes that are present.
        parts: image -> part -> place in pixels of the whole image; visible parts only.
    """

    classes: Mapping[str, str]
    number: Mapping[str, int]
    tested: frozenset[int]
    box: Mapping[int, Box]
    attributes: Mapping[int, tuple[str, str]]
    present: Mapping[int, frozenset[int]]
    parts: Mapping[int, Mapping[int, tuple[float, float]]]

    def place(self, path: Sequence[str]) -> tuple[str, str] | None:
        """Return part and class of the image at this path, split at the slashes."""
        number = self.number.get("/".join(path[-2:]))
        if number is None:
            return None
        return ("test" if number in self.tested else "train"), path[-2]


def read(source: Source) -> Birds:
    """Return the tables of a source.

    Raises:
        UserError: a table is missing, or a line of it is not as published.
    """
    # An archive is read once for all tables.
    there = set(source.names)
    beside = next((n for n in (f"{FOLDER}/{ATTRIBUTES}", ATTRIBUTES) if n in there), None)
    wanted = [*TEXTS.values(), beside or ATTRIBUTES]
    missing = next((name for name in wanted if name not in there), None)
    if missing is not None:
        raise UserError(f"{source.path}: found no {missing} in it, which the official files have")
    raw = {name: content() for name, content in source.contents(wanted)}

    def rows(name: str, columns: int) -> Iterator[list[str]]:
        path = TEXTS.get(name, beside) or name
        for text in TextIOWrapper(BytesIO(raw[path]), "utf-8", "replace"):
            line = text.split()
            if line and len(line) < columns:
                raise UserError(
                    f"{source.path}: {path}: found the line {text.strip()!r}, allowed are {columns} columns"
                )
            if line:
                yield line

    try:
        return _tables(rows)
    except (ValueError, KeyError) as error:
        raise UserError(
            f"{source.path}: found a table that is not as published ({error})"
        ) from error


def _tables(rows: Callable[[str, int], Iterator[list[str]]]) -> Birds:
    """Return the tables from the columns of the files.

    Raises:
        ValueError: a column holds no number, or an image is in the folder of another class.
    """
    tokens = {number: token for number, token, *_ in rows("classes.txt", 2)}
    number = {name: int(image) for image, name, *_ in rows("images.txt", 2)}
    folders = {str(one): name.split("/")[0] for name, one in number.items()}
    for image, label, *_ in rows("image_class_labels.txt", 2):
        if folders[image] != tokens[label]:
            raise ValueError(f"image {image} of class {tokens[label]} lies in {folders[image]}")
    tested = frozenset(int(i) for i, train, *_ in rows("train_test_split.txt", 2) if train == "0")
    box = {}
    for image, *corner in rows("bounding_boxes.txt", 5):
        x, y, width, height = (float(value) for value in corner[:4])
        box[int(image)] = (round(x), round(y), round(x + width), round(y + height))
    parts: dict[int, dict[int, tuple[float, float]]] = {}
    for image, part, across, down, visible, *_ in rows("parts/part_locs.txt", 5):
        if visible == "1":
            parts.setdefault(int(image), {})[int(part)] = (float(across), float(down))
    attributes = {}
    for one, text, *_ in rows(ATTRIBUTES, 2):
        category, _, value = text.partition("::")
        attributes[int(one)] = (category, value)
    present: dict[int, set[int]] = {}
    # Some lines have more columns than five; the first three are sound.
    for image, one, is_present, *_ in rows("attributes/image_attribute_labels.txt", 3):
        if is_present == "1":
            present.setdefault(int(image), set()).add(int(one))
    names = {token: token.partition(".")[2].replace("_", " ") or token for token in tokens.values()}
    return Birds(
        names, number, tested, box, attributes,
        {image: frozenset(found) for image, found in present.items()}, parts,
    )  # fmt: skip
