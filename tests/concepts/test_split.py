import pytest

from tutelage.concepts.split import SplitSentences, lines_of, split_nothing

SPLIT = SplitSentences(["axolotl", "cat", "airplane"])


@pytest.mark.parametrize(
    ("sentence", "phrases"),
    [
        # The example of the paper's figure.
        (
            "The axolotl's limbs are delicate, and the tail is long and thin.",
            ["limbs are delicate", "tail is long and thin"],
        ),
        (
            "It is a small animal with pointed ears and a long tail.",
            ["small animal", "pointed ears", "long tail"],
        ),
        (
            "Cats have soft fur, sharp claws and long whiskers.",
            ["soft fur", "sharp claws", "long whiskers"],
        ),
        ("It has short, soft, and fluffy fur.", ["short, soft, and fluffy fur"]),
        ("The color of the cat is black and white.", ["color is black and white"]),
        ("Its body is covered with down; its beak is red.", ["body is covered with down", "beak is red"]),
        ("A body that is covered with feathers.", ["body covered with feathers"]),
        ("An animal that has a bushy tail, but its ears are bare.", ["animal", "bushy tail", "ears are bare"]),
        ("The arm swings back and forth.", ["arm swings back and forth"]),
        ("The signal goes up and down twice per second.", ["signal goes up and down twice per second"]),
        ("The line between the nose and the tail is short.", ["line between the nose and the tail is short"]),
        ("The head is round and the ears are small.", ["head is round", "ears are small"]),
        ("White fuselage — blue stripe", ["white fuselage", "blue stripe"]),
        ("They usually have a white belly.", ["white belly"]),
        ("There are two engines on each wing.", ["two engines on each wing"]),
        ("It lasts a little longer, e.g. a second", ["lasts a little longer, such as a second"]),
        ("2.5 steps per second", ["2.5 steps per second"]),
        ("delicate", ["delicate"]),
        ("It has fur. It has fur.", ["fur"]),
        ("  ...  ", []),
        ("", []),
    ],
)  # fmt: skip
def test_sentences_become_phrases(sentence, phrases):
    assert SPLIT(sentence) == phrases


def test_a_name_inside_a_phrase_is_not_hidden_from_the_filter():
    assert SPLIT("Cat ears are pointed.") == ["cat ears are pointed"]


@pytest.mark.parametrize(
    ("answer", "lines"),
    [
        ("Sure! Here are 2:\n\n1. **big ears**\n2) \"soft fur\"\n\nI hope this helps!", ["big ears", "soft fur"]),
        # A prompt that ends in "1)" is answered by a first item without its mark.
        (" It has fur.\n2) It is small.\n3) It purrs.", ["It has fur.", "It is small.", "It purrs."]),
        ("- soft fur\n* long tail\n• green eyes", ["soft fur", "long tail", "green eyes"]),
        ("soft fur\nlong tail\n", ["soft fur", "long tail"]),
        ("<think>1. no\n2. no</think>\nsoft fur", ["soft fur"]),
        ("<think>never ends\n1. no", []),
        ('```json\n["soft  fur", "long tail", " "]\n```', ["soft fur", "long tail"]),
        ("# Ears\npointed ears", ["pointed ears"]),
        ('{"a": 1}', ['{"a": 1}']),
        ("", []),
    ],
)  # fmt: skip
def test_answers_become_lines(answer, lines):
    assert lines_of(answer) == lines


def test_phrases_that_were_asked_for_stay_whole():
    assert split_nothing("fur, short and soft") == ["fur, short and soft"]
