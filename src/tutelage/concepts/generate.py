"""From classes and prompts to concepts: ask, split, clean, and keep where everything came from."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from tutelage.concepts.answers import Answer, Answers
from tutelage.concepts.clean import Cleaned, Rules, clean
from tutelage.concepts.concept import Concept, ConceptSet, Provenance
from tutelage.concepts.prompts import Prompt
from tutelage.concepts.split import SplitSentences, Splitter, lines_of, split_nothing
from tutelage.errors import UserError

Progress = Callable[[str, float], None]


@dataclass(frozen=True)
class Asking:
    """How often and for how much is asked.

    Args:
        count: lines in one answer, the gap ``{count}`` of a prompt.
        repeats: how often the same question is asked; LaBo asks until there are about 500 sentences a class.
        values: values of other gaps: ``{"place": "waist", "sensor": "an accelerometer and a gyroscope"}``.
        parallel: questions that are out at the same time.

    Raises:
        UserError: a number below 1.
    """

    count: int = 10
    repeats: int = 1
    values: Mapping[str, str] | None = None
    parallel: int = 1

    def __post_init__(self) -> None:
        if min(self.count, self.repeats, self.parallel) < 1:
            raise UserError(
                f"count, repeats, parallel: found {self.count}, {self.repeats} and {self.parallel}, "
                "allowed is 1 or more"
            )


def generate(
    name: str,
    classes: Sequence[str],
    prompts: Sequence[Prompt],
    answers: Answers,
    *,
    asking: Asking | None = None,
    split: Splitter | None = None,
    rules: Rules | None = None,
    progress: Progress | None = None,
) -> Cleaned:
    """Ask for every class, and return the phrases that stay.

    The result depends on the answers alone, not on the order in which they come.

    Args:
        name: of the set.
        classes: class names, in the order of the data set.
        prompts: the questions.
        answers: who answers.
        asking: how much is asked, default :class:`Asking`.
        split: from a sentence to phrases, for prompts that ask for sentences; default
            :class:`SplitSentences`.
        rules: which phrases stay, default :class:`Rules`.
        progress: called with a text and the fraction done.

    Raises:
        UserError: no class, no prompt, a gap without a value, or no answer.
    """
    asking = asking or Asking()
    if not classes or not prompts:
        raise UserError(
            f"generate: found {len(classes)} classes and {len(prompts)} prompts, allowed is 1 or more"
        )
    split = split or SplitSentences(classes)
    questions = [
        (class_name, prompt, prompt.fill(_values(class_name, asking)), repeat)
        for class_name in classes
        for prompt in prompts
        for repeat in range(asking.repeats)
    ]
    said: list[Concept] = []
    with ThreadPoolExecutor(asking.parallel) as pool:
        found = pool.map(lambda one: answers.ask(one[2], one[3]), questions)
        try:
            for number, ((class_name, prompt, _, _), answer) in enumerate(
                zip(questions, found, strict=True)
            ):
                said += _phrases(class_name, prompt, answer, split)
                if progress is not None:
                    progress(f"asking about {class_name}", (number + 1) / len(questions))
        except BaseException:
            # Without this the questions that wait would all be asked before the error is shown.
            pool.shutdown(cancel_futures=True)
            raise
    models = ", ".join(dict.fromkeys(one.model for concept in said for one in concept.origins))
    about = f"said by {models}, split and filtered" if said else ""
    return clean(ConceptSet.join(name, classes, said, about=about), rules)


def _values(class_name: str, asking: Asking) -> dict[str, str]:
    given = dict(asking.values or {})
    for gap in ("name", "count"):
        if gap in given:
            raise UserError(f"values: found {gap!r}, which is filled for every question anyway")
    return {"name": class_name, "count": str(asking.count), **given}


def _phrases(class_name: str, prompt: Prompt, answer: Answer, split: Splitter) -> list[Concept]:
    cut = split if prompt.answer == "sentences" else split_nothing
    return [
        Concept(
            " ".join(phrase.split()),
            (class_name,),
            (Provenance(class_name, "model", answer.model, answer.prompt, line, answer.when),),
        )
        for line in lines_of(answer.text)
        for phrase in cut(line)
        if phrase.strip()
    ]
