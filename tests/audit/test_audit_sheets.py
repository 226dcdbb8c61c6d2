"""Every defect that was really seen is planted in a workbook and found; a clean one raises no alarm."""

import pytest

from tests.audit import sheets
from tutelage.audit.checks import OF_CLAIMS
from tutelage.audit.findings import collect
from tutelage.audit.imports.grid import Grid
from tutelage.audit.imports.tables import claims_of


def found(book):
    grids = [Grid(f"results.xlsx!{name}", [[float(one) if isinstance(one, int) else one for one in row]
             for row in rows]) for name, rows in book.items()]  # fmt: skip
    return collect(OF_CLAIMS, [claim for grid in grids for claim in claims_of(grid)])


def plant(name):
    """Return the clean workbook with one defect in it."""
    book = sheets.book()
    PLANTS[name](book)
    return book


def swapped_blocks(book):
    rows = book["Summary"]
    for a, b in zip(range(3, 6), range(6, 9), strict=True):
        rows[a][2:], rows[b][2:] = rows[b][2:], rows[a][2:]


def swapped_tables(book):
    for name, (group, other) in {"A": sheets.GROUPS, "B": sheets.GROUPS[::-1]}.items():
        rows = [row for row in book["Runs"][1:] if row[:3] == [other, row[1], "WRN16-1"]]
        table = [[group], ["method", "WRN16-1"]]
        for method in sheets.METHODS:
            values = [row[4] for row in rows if row[1] == method]
            table.append([method, round(sum(values) / len(values), 2)])
        book[name] = table


def shifted_rows(book):
    rows = book["Summary"]
    values = [row[2:] for row in rows[3:9]]
    for row, moved in zip(rows[4:9], values, strict=False):
        row[2:] = moved


def moved_labels(book):
    book["Summary"][5][1] = None


def duplicated_row(book):
    book["Alone"].append(list(book["Alone"][3]))


def duplicated_method(book):
    book["Alone"][4][1:] = book["Alone"][3][1:]


def duplicated_run(book):
    book["Runs"].append(list(book["Runs"][7]))


def out_of_range(book):
    book["Runs"][9][4] = 199.0
    book["Folds"][3][2] = -3.0


def mixed_units(book):
    book["Runs"][9][4] = 0.8551


def standard_error_of_26(book):
    row = book["Summary"][4]
    row[3] = round(row[3] / 26**0.5, 3)


def best_three_of_five(book):
    values = sorted((row[4] for row in book["Runs"][1:6]), reverse=True)[:3]
    mean = sum(values) / 3
    book["Summary"][3][3] = round((sum((v - mean) ** 2 for v in values) / 2) ** 0.5, 2)


def three_meanings(book):
    standard_error_of_26(book)
    best_three_of_five(book)


def words_of_spread(book):
    book["Alone"] = [["network", "a", "SD", "b", "SD/sqrt(26)"], ["Sig", 85.27, 2.5, 86.44, 0.49],
                     ["PI", 86.93, 2.1, 87.23, 0.41]]  # fmt: skip


def scaled_spreads(book):
    book["Alone"] = [["network", *"abcdefgh"]]
    for row, size in (("Sig", 1.0), ("PI", 0.9), ("GAF", 1.1), ("Two", 0.19), ("All", 1.2)):
        book["Alone"].append(
            [row, *(f"{84 + i + size} ± {size * (1 + 0.1 * (i % 3)):.2f}" for i in range(8))]
        )


def unexplained_spread(book):
    book["Summary"][3][3] = 7.77


def best_of_runs(book):
    rows = [row[4] for row in book["Runs"][6:11]]
    book["Summary"][3][4] = max(rows)


def best_by_name(book):
    book["Alone"][3][0] = "GAF (best of 3)"


def unequal_n(book):
    book["Alone"] = [["network", "accuracy", "n"], ["Sig", 85.27, 3], ["PI", 86.93, 5]]


def contradiction(book):
    book["Summary"][5][2] = 88.88


def mixed_weights(book):
    book["Weights"][2:] = [["Base", 0.7, 69.1], ["Ann", 0.9, 70.3], ["Annsp", 0.9, 70.5]]


def one_tried_more(book):
    book["Weights"] = [row for row in book["Weights"] if row[:2] != ["Base", 0.7]]


def mixed_training(book):
    book["Alone"] = [["network", "accuracy"], ["Sig, epochs=200", 85.27], ["PI, epochs=100", 86.93]]


def other_window(book):
    book["Alone"] = [["network", "accuracy"], ["Sig w1000", 85.27], ["PI w500", 86.93]]


def other_counts(book):
    book["Alone"] = [["network", "fold", "test windows", "accuracy"], ["Sig", 1, 3062, 85.27],
                     ["PI", 1, 2882, 86.93]]  # fmt: skip


def selected_on_test(book):
    book["Alone"][4][0] = "Two, best test epoch"


def inherited(book):
    book["Old"] = [
        ["PAMAP2, w100, lambda=0.7"],
        ["method", "a", "b"],
        ["Sig", 85.21, 84.97],
        ["PI", 86.2, 87.31],
    ]
    book["New"] = [
        ["PAMAP2, w100, lambda=0.99"],
        ["method", "a", "b"],
        ["Sig", 85.21, 84.97],
        ["PI", 86.7, 87.93],
    ]


def inherited_by_name(book):
    book["Alone"][2][0] = "PI (taken from the old table)"


def missing_run(book):
    del book["Runs"][8]


def fewer_runs(book):
    book["Folds"][0].append("n")
    for row in book["Folds"][2:]:
        row.append(9)


def unequal_folds(book):
    book["Folds"][1][1:6] = [92, 4065, 3447, 3925, 3726]


def diverged(book):
    book["Runs"][4][4] = "nan"


def at_chance(book):
    book["Alone"][0] = ["Single networks, 14 classes (mean of 3)"]
    book["Alone"][3][2] = "7.21 ± 0.40"


def never_predicted(book):
    for row in book["Classes"][1:]:
        row[2], row[1] = 0, row[1] + row[2]


def zero_recall(book):
    book["Recall"] = [["class", "recall"], ["lying", 91.5], ["sitting", 0], ["walking", 88.1]]


def corrupted_level_zero(book):
    book["Corruption"][2][2] = 81.25


def corrupted_loader(book):
    book["Corruption"] = [["method", "clean", "noise"], ["Base", 71.3, 61.2], ["Ann", 72.5, 10.8]]


def two_numbers(book):
    book["Alone"][3][2] = "85.91 / 86.09"


PLANTS = {plant.__name__: plant for plant in (
    swapped_blocks, swapped_tables, shifted_rows, moved_labels, duplicated_row, duplicated_method, duplicated_run,
    out_of_range, mixed_units, standard_error_of_26, best_three_of_five, three_meanings, words_of_spread,
    scaled_spreads, unexplained_spread, best_of_runs, best_by_name, unequal_n, contradiction, mixed_weights,
    one_tried_more, mixed_training, other_window, other_counts, selected_on_test, inherited, inherited_by_name,
    missing_run, fewer_runs, unequal_folds, diverged, at_chance, never_predicted, zero_recall,
    corrupted_level_zero, corrupted_loader, two_numbers)}  # fmt: skip

FOUND = {
    # planted: (defect, part of the place, part of the sentence)
    "swapped_blocks": ("swapped_blocks", "Summary!C4", "the block 'PI+Sig' and the block 'GAF+Sig'"),
    "swapped_tables": ("swapped_blocks", "A!B3", "the table 'PI+Sig' and the table 'GAF+Sig'"),
    "shifted_rows": ("shifted_rows", "Summary!C5 to results.xlsx!Summary!C9", "5 rows stand 1 line too low"),
    "moved_labels": ("unlabelled_rows", "Summary!C6", "no label"),
    "duplicated_row": ("duplicated_rows", "Alone!B4 and results.xlsx!Alone!B7", "stands here again"),
    "duplicated_method": ("duplicated_rows", "Alone!B4", "exactly the numbers of 'GAF'"),
    "duplicated_run": ("duplicated_rows", "Runs!E8 and results.xlsx!Runs!E62", "listed twice, with the same"),
    "out_of_range": ("out_of_range", "Runs!E10", "199"),
    "mixed_units": ("mixed_units", "Runs!E10", "0.8551"),
    "standard_error_of_26": ("mixed_spreads", "Summary", "SD/√26 at results.xlsx!Summary!C5"),
    "best_three_of_five": ("mixed_spreads", "Summary", "SD of the best 3 of 5 at results.xlsx!Summary!C4"),
    "three_meanings": ("mixed_spreads", "Summary", "± has 3 meanings"),
    "words_of_spread": ("mixed_spreads", "Alone", "SD/√26 at results.xlsx!Alone!D2"),
    "scaled_spreads": ("mixed_spreads", "Alone!B5", "as if divided by √26"),
    "unexplained_spread": ("unexplained_spread", "Summary!C4", "is no spread of its 5 runs"),
    "best_of_runs": ("best_of_n", "Summary!E4", "best of 5"),
    "best_by_name": ("best_of_n", "Alone!B4", "of GAF (best of 3)"),
    "unequal_n": ("unequal_n", "Alone!B2", "n = 3 (Sig, accuracy) and n = 5"),
    "contradiction": ("contradiction", "Summary!C6", "is 88.88, but the mean of its 5 runs is"),
    "mixed_weights": ("mixed_weights", "Weights!C", "lambda 0.7: accuracy of Base; lambda 0.9: Ann and Annsp"),
    "one_tried_more": ("mixed_weights", "Weights!C", "lambda 0.3: accuracy of Base"),
    "mixed_training": ("mixed_training", "Alone!B", "epochs 200: accuracy of Sig, epochs=200"),
    "other_window": ("other_window", "Alone!B", "window 1000: accuracy of Sig w1000"),
    "other_counts": ("other_window", "Alone!D3", "3062 (Sig, accuracy) and 2882 (PI, accuracy)"),
    "selected_on_test": ("selected_on_test", "Alone!B5", "chosen on the test split, beside Sig"),
    "inherited": ("inherited_rows", "Old!B3 and results.xlsx!New!B3", "lambda 0.7 and 0.99"),
    "inherited_by_name": ("inherited_rows", "Alone!B3", "not run again"),
    "missing_run": ("missing_runs", "Runs!", "PI+Sig, Base, WRN16-3, accuracy: 1 of 5 runs are missing (seed 2)"),
    "fewer_runs": ("missing_runs", "Folds!G3", "a mean of 9 runs, of which 5"),
    "unequal_folds": ("unequal_folds", "Folds!B3", "folds of 92 (1) and 4065 windows (2)"),
    "diverged": ("diverged_run", "Runs!E5", "'nan'"),
    "at_chance": ("diverged_run", "Alone!C4", "chance for 14 classes"),
    "never_predicted": ("never_predicted", "Classes!C2", "never predicts sitting"),
    "zero_recall": ("never_predicted", "Recall!B3", "sitting"),
    "corrupted_level_zero": ("corrupted_test", "Corruption!C3", "without corruption it is 87.5"),
    "corrupted_loader": ("corrupted_test", "Corruption!C3", "10.8 at its mildest, but 72.5"),
    "two_numbers": ("unread_cell", "Alone!C4", "not one number"),
}  # fmt: skip


# What one mistake also is: numbers that were moved stand in two places, a mean over a lost run is of fewer runs.
ALSO = {
    "shifted_rows": {"duplicated_rows"},
    "out_of_range": {"contradiction"},
    "mixed_units": {"contradiction"},
    "missing_run": {"contradiction"},
    "diverged": {"contradiction", "missing_runs"},
    "duplicated_run": {"contradiction"},
}


def test_a_clean_workbook_raises_no_alarm():
    assert found(sheets.book()) == ()


@pytest.mark.parametrize("name", PLANTS)
def test_a_planted_defect_is_found_with_its_place_and_nothing_else(name):
    defect, place, words = FOUND[name]
    findings = found(plant(name))
    mine = [one for one in findings if one.defect == defect]
    assert any(place in one.place and words in one.sentence for one in mine), findings
    assert all("\n" not in one.sentence for one in findings)
    assert {one.defect for one in findings} <= {defect} | ALSO.get(name, set()), findings
