"""Concepts in words: phrases by class with their origin, made, cleaned, read and rated.

Nothing here is a slot of a recipe; a recipe names a file of concepts or one that is shipped.
"""

from tutelage.concepts.answers import LanguageModel, RecordedAnswers
from tutelage.concepts.clean import Cleaned, Rules, clean
from tutelage.concepts.concept import Concept, ConceptSet, Provenance
from tutelage.concepts.files import open_concepts, read, read_any, shipped, write
from tutelage.concepts.generate import Asking, generate
from tutelage.concepts.prompts import PROMPTS, Prompt, open_prompts
from tutelage.concepts.ratings import (
    questions,
    read_ratings,
    summarise,
    well_rated,
    write_questions,
)
from tutelage.concepts.seq2seq import Seq2SeqSplitter
from tutelage.concepts.split import SplitSentences

__all__ = [
    "Concept",
    "ConceptSet",
    "Provenance",
    "open_concepts",
    "shipped",
    "read",
    "read_any",
    "write",
    "PROMPTS",
    "Prompt",
    "open_prompts",
    "LanguageModel",
    "RecordedAnswers",
    "Asking",
    "generate",
    "SplitSentences",
    "Seq2SeqSplitter",
    "Rules",
    "Cleaned",
    "clean",
    "questions",
    "write_questions",
    "read_ratings",
    "summarise",
    "well_rated",
]
