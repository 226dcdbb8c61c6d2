"""From the answer of a language model to phrases: lines of the answer, and phrases of a sentence."""

import json
import re
from collections.abc import Callable, Iterable, Sequence

from tutelage.concepts.names import Names

Splitter = Callable[[str], Sequence[str]]

_MARK = re.compile(r"^\s*(?:(\d+)\s*[.):]\s*|[-*•–]\s+)")
_PREAMBLE = re.compile(
    r"^(sure|certainly|of course|okay|here (are|is)|below (are|is)|i hope|let me)\b", re.IGNORECASE
)

_STARTS = (
    "the a an its their his her it they he she there this these those some each both one two three four five "
    "six eight ten several many most"
).split()
_SUBJECT = re.compile(
    r"^(?:and|but|or|while|whereas|with|also|often|usually|typically|generally|sometimes"
    r"|a(?! (?:little|few|lot|bit)\b)|an|the|its|their|his|her|this|these|those|most|many|some"
    r"|it|they|he|she|there|which|that)\s+"
    r"|^(?:it['’]s|they['’]re|he['’]s|she['’]s|there['’]s)\s+"
)
_VERB = re.compile(
    r"^(?:(?:can|may|will|might)\s+)?(?:also\s+|often\s+|usually\s+|typically\s+|generally\s+|sometimes\s+)?"
    r"(?:is|are|was|were|be|has|have|had|having|features?)\s+"
)
_COPULA = re.compile(r"\b(?:is|are|was|were|looks?|appears?|seems?)\b")
# Words that belong together although "and" or "with" stands between them.
_PAIRS = re.compile(
    r"\b(?:(?:up|back|in|left|forwards?|upwards?|on|over|more|again|here|first|now) and "
    r"(?:down|forth|out|right|backwards?|downwards?|off|over|more|again|there|then|last)"
    r"|(?:between|both) (?:\w+ ){1,4}?and"
    r"|(?:\w+ed|along|together|level|even|compared|contrast|in line|begins?|ends?) with)\b"
)
_GLUE = "\N{WORD JOINER}"


def lines_of(answer: str) -> list[str]:
    """Return the lines of an answer that say something: items of a list where there is one, else all.

    Reasoning of the model, code fences, list marks, bold type, headings and opening words ("Sure! Here are
    ten sentences:") are taken off. A JSON array of strings is read as such.

    Args:
        answer: what a model said.
    """
    text = re.sub(r"<think>.*?(?:</think>|\Z)", "", answer, flags=re.DOTALL)
    text = re.sub(r"^\s*```.*$", "", text, flags=re.MULTILINE)
    listed = _array(text)
    if listed is not None:
        return [" ".join(line.split()) for line in listed if line.strip()]
    lines = [
        line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")
    ]
    marks = [_MARK.match(line) for line in lines]
    if sum(mark is not None for mark in marks) >= 2:
        lines = _items(lines, marks)
    found = [_bare(line) for line in lines]
    return [line for line in found if line and not line.endswith(":") and not _PREAMBLE.match(line)]


class SplitSentences:
    """Cuts sentences into phrases by fixed rules, the same ones every time.

    Cuts at ends of sentences, at ", and the", ", but it" and the like, at "with" and "that has", and at the
    commas of a list whose parts have two words or more; takes off what opens a part: article, pronoun, class
    name, "has", "is". "Up and down" or "covered with" stay whole.

    Args:
        class_names: names that may open a sentence, "The axolotl has ...".

    Examples:
        >>> SplitSentences(["axolotl"])("The axolotl's limbs are delicate, and the tail is long and thin.")
        ['limbs are delicate', 'tail is long and thin']
    """

    def __init__(self, class_names: Iterable[str] = ()) -> None:
        self._names = Names(class_names)

    def __call__(self, sentence: str) -> list[str]:
        """Return the phrases of one or more sentences, in order, in lower case."""
        text = " ".join(sentence.lower().replace("e.g.", "such as").replace("i.e.", "so").split())
        found: list[str] = []
        for one in re.split(r"(?<=[.!?])\s+|\s*[;\n]\s*|\s+[-–—]+\s+", text):
            for clause in _clauses(one.strip(" .!?,")):
                found += [bare for bare in map(self._bare, _members(self._bare(clause))) if bare]
        return list(dict.fromkeys(one.replace(_GLUE, " ") for one in found))

    def _bare(self, part: str) -> str:
        """Take off what opens a part until nothing more comes off: "it also has a" tail."""
        text = part.strip(" .,!?:")
        text = self._without_owner(text)
        before = None
        while text != before:
            before = text
            text = _SUBJECT.sub("", text)
            text = self._without_name(text)
            text = _VERB.sub("", text)
        return text.strip(" .,!?:")

    def _without_name(self, text: str) -> str:
        name = self._names.found(text)
        if name is None or not text.startswith(name):
            return text
        rest = text[len(name) :].lstrip()
        # "The cat's ears are", "cats have": a subject. "Cat ears": the name is part of the phrase, and stays.
        return rest if re.search(r"['’]s?$", name) or _VERB.match(rest) else text

    def _without_owner(self, text: str) -> str:
        """Return "color is black" for "color of the cat is black"."""
        name = self._names.found(text)
        if name is None:
            return text
        return re.sub(
            rf"\s+(?:of|on) (?:(?:a|an|the|this|most) )?{re.escape(name)}(?!\w)", "", text
        )


def split_nothing(line: str) -> list[str]:
    """Return a line as the one phrase it is, for models that were asked for phrases."""
    return [line]


def _array(text: str) -> list[str] | None:
    try:
        content = json.loads(text)
    except ValueError:
        return None
    if isinstance(content, list) and all(isinstance(one, str) for one in content):
        return content
    return None


def _items(lines: list[str], marks: Sequence[re.Match[str] | None]) -> list[str]:
    """Keep the items; a prompt that ends in "1)" is answered by a first item without its mark."""
    first = next(number for number, mark in enumerate(marks) if mark)
    mark = marks[first]
    assert mark is not None
    opened = [lines[first - 1]] if first and mark[1] == "2" else []
    return opened + [line for line, found in zip(lines, marks, strict=True) if found]


def _bare(line: str) -> str:
    text = _MARK.sub("", line, count=1)
    text = re.sub(r"\*\*|__|`", "", text)
    return " ".join(text.split()).strip("\"'“”‘’ ")


def _clauses(text: str) -> list[str]:
    """Cut where something new is said of something else."""
    text = re.sub(r"\b(?:which|that) (?:is|are) ", "", text)
    text = _PAIRS.sub(lambda match: match[0].replace(" ", _GLUE), text)
    starts = "|".join(_STARTS)
    boundary = (
        rf",? (?:and|but|while|whereas) (?=(?:{starts})\b)|,? but |,? (?:and )?(?:which|that) (?:has|have) "
        rf"|,? (?:and )?with |, (?=(?:it|they|there|its|their|the) )"
    )
    return [part for part in re.split(boundary, text) if part.strip()]


def _members(clause: str) -> list[str]:
    """Cut a list: "sharp claws and pointed teeth", but not "long and thin" nor "is black and white"."""
    parts = re.split(r",(?!\s*such as\b)\s*(?:and\s+)?|\s+and\s+", clause)
    parts = [part for part in parts if part.strip()]
    verbs = [bool(_COPULA.search(part)) for part in parts]
    if all(verbs):
        return parts
    whole = verbs[0] or any(len(_opened(part).split()) < 2 for part in parts)
    return [clause] if whole else parts


def _opened(part: str) -> str:
    text, before = part.strip(), None
    while text != before:
        before = text
        text = _VERB.sub("", _SUBJECT.sub("", text))
    return text
