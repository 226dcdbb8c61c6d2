"""What a language model is asked for each class."""

import string
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import yaml

from tutelage.concepts.files import text_of
from tutelage.errors import UserError, unknown


@dataclass(frozen=True)
class Prompt:
    """A question with gaps.

    Args:
        name: short name.
        template: the question; ``{name}`` is the class, ``{count}`` how many lines, other gaps are filled by
            the caller (``{place}``, ``{superclass}``).
        answer: ``sentences`` are split into phrases, ``phrases`` are taken line by line.

    Raises:
        UserError: a template without ``{name}``, or with a gap that cannot be read.
    """

    name: str
    template: str
    answer: Literal["sentences", "phrases"] = "phrases"

    def __post_init__(self) -> None:
        if self.answer not in ("sentences", "phrases"):
            raise UserError(
                f"prompt {self.name!r}.answer: found {self.answer!r}, allowed are sentences and phrases"
            )
        if "name" not in self.gaps:
            raise UserError(f"prompt {self.name!r}: found no gap {{name}} for the class in it")

    @property
    def gaps(self) -> frozenset[str]:
        """The names of the gaps."""
        try:
            parts = list(string.Formatter().parse(self.template))
        except ValueError as error:
            raise UserError(f"prompt {self.name!r}: gaps not readable ({error})") from error
        return frozenset(gap for _, gap, _, _ in parts if gap is not None)

    def fill(self, values: Mapping[str, str]) -> str:
        """Return the question for one class.

        Raises:
            UserError: a gap has no value.
        """
        for gap in sorted(self.gaps):
            if gap not in values:
                raise unknown(f"prompt {self.name!r}", "gap", gap, values)
        return self.template.format_map(dict(values))


_LABO = {
    "looks": "how the {name} looks",
    "appearance": "the appearance of the {name}",
    "color": "the color of the {name}",
    "pattern": "the pattern of the {name}",
    "shape": "the shape of the {name}",
}
_ONE_A_LINE = (
    "One phrase per line, at most eight words each, without the word {name} and without numbering."
)

PROMPTS: Mapping[str, tuple[Prompt, ...]] = {
    # The five questions of LaBo (repository YueYANG1996/LaBo, issue 12), each asked for ten sentences.
    "labo": tuple(
        Prompt(name, "Use {count} sentences to describe " + what + ".\n1)", "sentences")
        for name, what in _LABO.items()
    ),
    "images": (
        Prompt(
            "parts",
            "List {count} short phrases that name visible parts of a {name} and how each part looks. "
            + _ONE_A_LINE,
        ),
        Prompt(
            "surface",
            "List {count} short phrases about the colors, textures and patterns that can be seen on a {name}. "
            + _ONE_A_LINE,
        ),
        Prompt(
            "outline",
            "List {count} short phrases about the outline, proportions and pose of a {name} in a photograph. "
            + _ONE_A_LINE,
        ),
        Prompt(
            "surroundings",
            "List {count} short phrases about what is usually seen around a {name} in a photograph. "
            + _ONE_A_LINE,
        ),
    ),
    "wearable": (
        Prompt(
            "body",
            "A person is doing this: {name}. List {count} short phrases about what the trunk, legs, arms and feet "
            "do in these few seconds, so that somebody who watches can check each. " + _ONE_A_LINE,
        ),
        Prompt(
            "signal",
            "A person wears {sensor} at the {place} and is doing this: {name}. List {count} short phrases about "
            "what the signal shows in these few seconds: how strong, how regular, how fast it repeats, which "
            "direction gravity lies in, where peaks stand. " + _ONE_A_LINE,
        ),
    ),
}


def open_prompts(name: str) -> tuple[Prompt, ...]:
    """Return a list of questions that comes with Tutelage, or one from a YAML file.

    Args:
        name: ``labo``, ``images``, ``wearable``, or a path of a file ``[{name, template, answer}, ...]``.

    Raises:
        UserError: there is no such list, or the file is none.
    """
    if name in PROMPTS:
        return PROMPTS[name]
    path = Path(name)
    if path.suffix not in (".yaml", ".yml"):
        raise unknown("prompts", "list", name, [*PROMPTS, "<file>.yaml"])
    try:
        content = yaml.safe_load(text_of(path))
    except yaml.YAMLError as error:
        raise UserError(f"{path}: not readable as YAML: {' '.join(str(error).split())}") from error
    if not isinstance(content, list) or not content:
        raise UserError(f"{path}: found no list of questions with name, template and answer")
    return tuple(_prompt(path, number, one) for number, one in enumerate(content))


def _prompt(path: Path, number: int, content: object) -> Prompt:
    place = f"{path}: question {number}"
    if not isinstance(content, dict) or not all(isinstance(one, str) for one in content.values()):
        raise UserError(f"{place}: found no name and template")
    for key in content:
        if key not in ("name", "template", "answer"):
            raise unknown(place, "key", str(key), ["name", "template", "answer"])
    if not {"name", "template"} <= set(content):
        raise UserError(f"{place}: found no name and template")
    return Prompt(**content)
