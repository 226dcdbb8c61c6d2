"""From classes and prompts to concepts: ask, split, clean, and keep where everything came from."""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass

from tutelage.concepts.answers import Answer, AnswerBook
from tutelage.concepts.clean import Cleaned, Rules, Sieve
from tutelage.concepts.concept import Concept, Provenance
from tutelage.concepts.prompts import Prompt
from tutelage.concepts.split import SplitSentences, Splitter, lines_of, split_nothing
from tutelage.errors import UserError

Progress = Callable[[str, float], None]


@dataclass(frozen=True)
class Asking:
    """How often and for how much is asked.

    Args:
        count: lines in one answer, the gap ``{count}`` of a prompt.
        repeats: how often the same question is asked.
        sentences: lines of each class in all, LaBo's 500: as many repeats as that takes, instead of ``repeats``.
        values: values of other gaps: ``{"place": "waist", "sensor": "an accelerometer and a gyroscope"}``.
        parallel: questions that are out at the same time.

    Raises:
        UserError: a number below 1.
    """

    count: int = 10
    repeats: int = 1
    values: Mapping[str, str] | None = None
    parallel: int = 1
    sentences: int | None = None

    def __post_init__(self) -> None:
        lines = 1 if self.sentences is None else self.sentences
        if min(self.count, self.repeats, self.parallel, lines) < 1:
            raise UserError(
                f"count, repeats, parallel, sentences: found {self.count}, {self.repeats}, {self.parallel} and "
                f"{lines}, allowed is 1 or more"
            )

    def times(self, prompts: int) -> int:
        """Return how often each of so many questions is asked."""
        return (
            self.repeats if self.sentences is None else -(-self.sentences // (self.count * prompts))
        )


def generate(
    name: str,
    classes: Sequence[str],
    prompts: Sequence[Prompt],
    answers: AnswerBook,
    *,
    asking: Asking | None = None,
    split: Splitter | None = None,
    rules: Rules | None = None,
    progress: Progress | None = None,
) -> Cleaned:
    """Ask for every class, and return the phrases that stay.

    The result depends on the answers alone, not on the order in which they come. Answers are split and sifted as
    they come: in memory are those that are out, and what stays.

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
    times, number, models = asking.times(len(prompts)), 0, dict[str, None]()
    total = len(classes) * len(prompts) * times
    sieve = Sieve(classes, rules)
    questions = (
        _Question(class_name, prompt, prompt.fill(_values(class_name, asking)), repeat)
        for class_name in classes
        for prompt in prompts
        for repeat in range(times)
    )
    with closing(_asked(questions, answers, asking.parallel)) as found:
        for number, (question, answer) in enumerate(found, 1):
            for concept in _phrases(question, answer, split):
                models[answer.model] = None
                sieve.take(concept)
            if progress is not None:
                progress(f"asking about {question.class_name}", number / total)
    about = f"said by {', '.join(models)}, split and filtered" if models else ""
    return sieve.cleaned(name, about=about)


@dataclass(frozen=True)
class _Question:
    class_name: str
    prompt: Prompt
    text: str
    repeat: int


def _asked(
    questions: Iterable[_Question], answers: AnswerBook, parallel: int
) -> Generator[tuple[_Question, Answer], None, None]:
    """Yield questions with their answers, in order; no more than a few wait."""
    waiting: deque[tuple[_Question, Future[Answer]]] = deque()
    with ThreadPoolExecutor(parallel) as pool:
        try:
            for question in questions:
                waiting.append((question, pool.submit(answers.ask, question.text, question.repeat)))
                if len(waiting) >= 2 * parallel:
                    first, told = waiting.popleft()
                    yield first, told.result()
            for first, told in waiting:
                yield first, told.result()
        except BaseException:
            # Without this the questions that wait would all be asked before the error is shown.
            pool.shutdown(cancel_futures=True)
            raise


def _values(class_name: str, asking: Asking) -> dict[str, str]:
    given = dict(asking.values or {})
    for gap in ("name", "count"):
        if gap in given:
            raise UserError(f"values: found {gap!r}, which is filled for every question anyway")
    return {"name": class_name, "count": str(asking.count), **given}


def _phrases(question: _Question, answer: Answer, split: Splitter) -> Iterator[Concept]:
    cut = split if question.prompt.answer == "sentences" else split_nothing
    name = question.class_name
    for line in lines_of(answer.text):
        origin = Provenance(name, "model", answer.model, question.text, line, answer.when)
        for phrase in cut(line):
            if phrase.strip():
                yield Concept(" ".join(phrase.split()), (name,), (origin,))
