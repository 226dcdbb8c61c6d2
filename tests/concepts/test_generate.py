import time
import tracemalloc

import pytest

from tutelage.concepts import PROMPTS, Asking, Prompt, Rules, generate, open_prompts
from tutelage.concepts.answers import Answer
from tutelage.errors import UserError

SENTENCES = Prompt(
    "looks", "Use {count} sentences to describe how the {name} looks.\n1)", "sentences"
)
PHRASES = Prompt("parts", "List {count} phrases about a {name} with {place}.")


class Said:
    """Answers from a table: (part of the prompt, repeat) -> text."""

    def __init__(self, table):
        self.table, self.asked = table, []

    def ask(self, prompt, repeat=0):
        self.asked.append((prompt, repeat))
        for (part, number), text in self.table.items():
            if part in prompt and number == repeat:
                return Answer(prompt, repeat, text, "table", "2020-02-02")
        return Answer(prompt, repeat, "", "table", "2020-02-02")


def test_sentences_are_split_and_where_they_came_from_is_kept():
    table = {
        ("axolotl", 0): "The axolotl's limbs are delicate, and the tail is long and thin.\n"
        "2) Axolotls have feathery gills.",
        ("newt", 0): "The newt has a long, flat tail.\n2) Its limbs are delicate.",
    }
    found = generate("pond", ["axolotl", "newt"], [SENTENCES], Said(table))
    assert found.concepts.texts == (
        "limbs are delicate",
        "tail is long and thin",
        "feathery gills",
        "long, flat tail",
    )
    shared = found.concepts.concepts[0]
    assert shared.owners == ("axolotl", "newt")
    assert shared.origins[1].sentence == "Its limbs are delicate."
    assert shared.origins[1].prompt == "Use 10 sentences to describe how the newt looks.\n1)"
    assert (shared.origins[0].model, shared.origins[0].when) == ("table", "2020-02-02")
    assert "table" in found.concepts.about


def test_phrases_are_taken_line_by_line_and_gaps_are_filled():
    said = Said({("cat", 0): "fur, short and soft", ("cat", 1): "long tail"})
    asking = Asking(count=3, repeats=2, values={"place": "fur"})
    found = generate("x", ["cat"], [PHRASES], said, asking=asking)
    assert said.asked == [("List 3 phrases about a cat with fur.", number) for number in (0, 1)]
    assert found.concepts.texts == ("fur, short and soft", "long tail")


def test_answers_may_come_in_any_order():
    table = {("cat", 0): "a\nb", ("cat", 1): "b\nc", ("dog", 0): "c\nd", ("dog", 1): "e"}
    asking = {"repeats": 2, "values": {"place": "fur"}}
    one, many = (
        generate("x", ["cat", "dog"], [PHRASES], Said(table), asking=Asking(parallel=n, **asking))
        for n in (1, 4)
    )
    assert one == many
    assert one.concepts.texts == ("b", "c", "d", "e")


def test_the_splitter_and_the_rules_are_the_callers():
    said = Said({("cat", 0): "The cat is loyal."})
    found = generate(
        "x", ["cat"], [SENTENCES], said, split=lambda line: [line, "tail"], rules=Rules("remove")
    )
    assert found.concepts.texts == ("is loyal", "tail")


def test_progress_is_told_and_a_failure_stops_what_waits():
    class Fails(Said):
        def ask(self, prompt, repeat=0):
            super().ask(prompt, repeat)
            if "dog" in prompt:
                raise UserError("no answer")
            if "cat" not in prompt:
                time.sleep(0.2)
            return Answer(prompt, repeat, "tail", "x", "")

    told, said = [], Fails({})
    with pytest.raises(UserError, match="no answer"):
        generate(
            "x",
            ["cat", "dog", *"abcdefghij"],
            [SENTENCES],
            said,
            progress=lambda text, done: told.append((text, done)),
        )
    assert told == [("asking about cat", 1 / 12)]
    assert len(said.asked) <= 4  # the one under way is the last


def test_five_hundred_sentences_of_a_class_are_asked_for_in_batches_and_few_are_out():
    said = Said({})
    out: list[int] = []  # asked and not looked at yet, at every look

    def split(line):
        out.append(len(said.asked) - len(out))
        return ["tail"]

    said.table = {("cat", number): "one line" for number in range(100)} | {
        ("dog", n): "one line" for n in range(100)
    }
    asking = Asking(count=10, sentences=500, parallel=3)
    found = generate("x", ["cat", "dog"], PROMPTS["labo"], said, asking=asking, split=split)
    assert (
        len(said.asked) == len(set(said.asked)) == 2 * 50
    )  # five questions, ten sentences, ten times, two classes
    assert max(out) <= 2 * 3
    assert found.concepts.texts == ("tail",)
    assert Asking(count=10, sentences=501).times(5) == 11 and Asking(repeats=4).times(5) == 4
    with pytest.raises(UserError, match="sentences: found"):
        Asking(sentences=0)


def test_equal_answers_take_no_more_memory_the_more_there_are():
    def peak(sentences):
        said = Said({})
        said.ask = lambda prompt, repeat=0: Answer(
            prompt, repeat, "round ears\n" * 200, "x", "2020"
        )
        tracemalloc.start()
        generate("x", ["cat"], [SENTENCES], said, asking=Asking(sentences=sentences))
        held = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return held

    peak(100)
    assert peak(5000) < 1.5 * peak(500)


def test_every_shipped_question_can_be_filled():
    values = {"name": "walking", "count": "5", "place": "waist", "sensor": "an accelerometer"}
    for questions in PROMPTS.values():
        for one in questions:
            assert "walking" in one.fill(values)
    assert [one.answer for one in PROMPTS["labo"]] == ["sentences"] * 5
    assert (
        PROMPTS["labo"][0].fill({"name": "cat", "count": "10"})
        == "Use 10 sentences to describe how the cat looks.\n1)"
    )


def test_questions_of_the_user(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("- {name: parts, template: 'Parts of {name}?'}\n")
    assert open_prompts(str(path)) == (Prompt("parts", "Parts of {name}?"),)
    for content, sentence in {
        "{": "not readable as YAML",
        "[]": "no list of questions",
        "[3]": "question 0: found no name",
        "[{name: a}]": "question 0: found no name and template",
        "[{name: a, template: b, kind: c}]": "unknown key 'kind'",
        "[{name: a, template: b}]": "no gap",
        "[{name: a, template: '{name'}]": "gaps not readable",
        "[{name: a, template: '{name}', answer: words}]": "allowed are sentences",
    }.items():
        path.write_text(content)
        with pytest.raises(UserError, match=sentence):
            open_prompts(str(path))
    with pytest.raises(UserError, match="did you mean 'images'"):
        open_prompts("image")


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: generate("x", [], [SENTENCES], Said({})), "found 0 classes"),
        (lambda: generate("x", ["cat"], [PHRASES], Said({})), "unknown gap 'place'"),
        (
            lambda: generate(
                "x", ["cat"], [SENTENCES], Said({}), asking=Asking(values={"name": "x"})
            ),
            "found 'name'",
        ),
        (lambda: Asking(repeats=0), "allowed is 1 or more"),
    ],
)
def test_one_sentence_for_each_mistake(make, sentence):
    with pytest.raises(UserError, match=sentence):
        make()
