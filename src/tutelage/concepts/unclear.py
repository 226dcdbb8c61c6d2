"""Phrases that say nothing one could look for: vague, negated, or cut off."""

import re
from typing import Literal

Unclear = Literal["vague", "negated", "cut"]

_NEGATED = re.compile(
    r"\b(?:no|not(?! only\b)|never|none|neither|nor|nothing|without|lacks?|lacking|absence of|absent|cannot"
    r"|instead of|rather than|unlike)\b|n['’]t\b"
)
_VARIES = re.compile(
    r"\b(?:can|may|might|will) vary\b|\bvar(?:y|ies) (?:from|in|with|depending|greatly|widely)\b|\bvarying\b"
    r"|\bvariety of\b|\bvarious\b|\bdepend(?:s|ing)?\b|\bmany different\b|\betc\b"
    r"|\bdifferent (?:colou?rs?|shapes?|sizes?|patterns?|shades?|types?|kinds?|styles?|materials?)\b"
    r"|\b(?:any|some|a certain) (?:colou?r|shape|size|kind|type|sort)\b"
    r"|\bknown for\b|\bhard to (?:describe|say)\b"
)
# Words of which a phrase cannot be made: they praise, compare with nothing, or name what is not said.
_EMPTY = frozenset(
    """a an the its their of in on with and or for to by is are has have it that this very quite rather
    really so most often usually generally typically sometimes overall also can be look looks looking
    appear appears appearing seem seems unique distinctive distinct interesting beautiful attractive
    pretty nice good great special typical common normal usual general certain particular specific
    characteristic recognizable recognisable remarkable impressive noticeable different other similar
    same appearance colour colours color colors coloring shape shapes shaped form pattern patterns
    texture size sizes feature features characteristics design style thing things kind kinds type types
    sort part parts way body object objects""".split()
)
# Words that a phrase does not end with; "lights on" and "legs to stand on" are whole.
_OPEN = re.compile(
    r"(?:^|\s)(?:a|an|the|and|or|but|of|with|from|into|than|as|which|because|when|is|are|was|were|has|have"
    r"|its|their|his|her|very|such)$"
)


def unclear(said: str, text: str) -> Unclear | Literal[""]:
    """Return what is wrong with a phrase, empty if nothing is.

    Args:
        said: as it came, with its marks.
        text: as it is spelled after cleaning.

    Examples:
        >>> unclear("no visible tail", "no visible tail"), unclear("long legs and the", "long legs and the")
        ('negated', 'cut')
        >>> unclear("a unique shape", "unique shape"), unclear("not only red", "not only red")
        ('vague', '')
    """
    if (
        _OPEN.search(text)
        or said.rstrip().endswith(("...", "…", ",", "-"))
        or said.count("(") != said.count(")")
    ):
        return "cut"
    if _NEGATED.search(text):
        return "negated"
    if _VARIES.search(text) or not set(re.findall(r"[^\W_]+", text)) - _EMPTY:
        return "vague"
    return ""
