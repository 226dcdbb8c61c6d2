"""Every check of an audit: pure functions with the name of the defect they look for."""

from tutelage.audit.checks import study_cells, study_design, study_runs
from tutelage.audit.checks.classes import corrupted_test, never_predicted
from tutelage.audit.checks.folds import missing_runs, unequal_folds
from tutelage.audit.checks.numbers import diverged_run, mixed_units, out_of_range, unread_cell
from tutelage.audit.checks.rows import duplicated_rows, inherited_rows, unlabelled_rows
from tutelage.audit.checks.rules import (
    best_of_n,
    mixed_spreads,
    spread_scale,
    unequal_n,
    unexplained_spread,
)
from tutelage.audit.checks.settings import (
    mixed_training,
    mixed_weights,
    other_window,
    selected_on_test,
)
from tutelage.audit.checks.sources import misplaced

OF_CLAIMS = (
    out_of_range, mixed_units, diverged_run, unread_cell,
    misplaced, duplicated_rows, inherited_rows, unlabelled_rows,
    mixed_spreads, spread_scale, unexplained_spread, best_of_n, unequal_n,
    mixed_weights, mixed_training, other_window, selected_on_test,
    missing_runs, unequal_folds, never_predicted, corrupted_test,
)  # fmt: skip
"""Checks of tables, logs and names."""

OF_STUDIES = (
    study_cells.refused, study_cells.missing_runs, study_cells.duplicated_entries,
    study_cells.other_settings, study_runs.duplicated_runs, study_runs.shifted_results,
    study_runs.diverged_run, study_runs.lost_files, study_runs.never_predicted, study_design.unequal_folds,
    study_design.selected_on_test, study_design.mixed_weights, study_design.other_window,
    study_design.inherited_rows, study_design.seen_in_training,
)  # fmt: skip
"""Checks of the folder of a study."""

__all__ = ["OF_CLAIMS", "OF_STUDIES"]
