"""scikit-learn's own checks, and its manners where several objects meet."""

import numpy as np
import pytest
from scipy.sparse import csr_matrix
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.utils.estimator_checks import parametrize_with_checks

from tutelage.errors import UserError
from tutelage.modalities import (
    GramianField,
    PersistenceImage,
    Scaled,
    SublevelPersistence,
    TransitionField,
)

X = np.random.default_rng(0).normal(size=(20, 2, 40)).cumsum(axis=2)
OTHER = 100 * X[::-1] + 7


class Flat:
    """Rows [N, features], as scikit-learn's checks make them, read as signals of one channel."""

    def fit(self, X, y=None):
        return super().fit(self._signals(X))

    def transform(self, X, out=None):
        images = super().transform(self._signals(X))
        return images.reshape(len(images), -1)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = True
        return tags

    def _signals(self, X):
        if not hasattr(X, "__array__") and not isinstance(X, list):
            return X
        X = np.asarray(X)
        return X[:, None] if X.ndim == 2 else X


class FlatImage(Flat, PersistenceImage):
    pass


class FlatGramian(Flat, GramianField):
    pass


class FlatTransition(Flat, TransitionField):
    pass


class FlatScaled(Flat, Scaled):
    pass


# What is excluded, and why.
EXCLUDED = {
    "check_n_features_in": "samples have channels, and n_channels_in_ says how many",
    "check_n_features_in_after_fitting": "as above",
    "check_dtype_object": "objects are not numbers; nothing is converted",
    "check_complex_data": "refused in our words: 'found values of type complex128'",
    "check_estimators_empty_data_messages": "refused in our words: 'none of them 0'",
    "check_fit2d_predict1d": "refused in our words, which name shapes of signals",
}
ANY_LENGTH = {
    **EXCLUDED,
    "check_transformer_general": "images of signals of another length are the same size",
}


def excluded(estimator):
    return ANY_LENGTH if isinstance(estimator, PersistenceImage | Scaled) else EXCLUDED


@parametrize_with_checks(
    [
        FlatImage(resolution=4),
        FlatGramian(size=None),
        FlatTransition(size=None),
        FlatScaled(PersistenceImage(resolution=4)),
    ],
    expected_failed_checks=excluded,
)
def test_checks_with_data(estimator, check):
    check(estimator)


@parametrize_with_checks(
    [
        PersistenceImage(),
        GramianField(),
        TransitionField(),
        Scaled(PersistenceImage()),
        SublevelPersistence(),
    ]
)
def test_checks_without_data(estimator, check):
    check(estimator)


def test_two_that_share_an_inner_object_do_not_disturb_each_other():
    inner = PersistenceImage(resolution=8)
    first, second = Scaled(inner), Scaled(inner, width=2.0)
    first.fit(X)
    expected = first.transform(X)
    second.fit(OTHER)
    np.testing.assert_array_equal(first.transform(X), expected)
    np.testing.assert_array_equal(
        second.transform(X), Scaled(clone(inner), width=2.0).fit(OTHER).transform(X)
    )
    assert "kind_" not in vars(inner)
    third = Scaled(inner).restore(first.fitted())
    inner.fit(OTHER)
    np.testing.assert_array_equal(third.transform(X), expected)
    assert third.diagnostics == {} and first.diagnostics["points_per_diagram"] > 0


@pytest.mark.parametrize(
    ("estimator", "change"),
    [
        (PersistenceImage(resolution=8), {"sigma": 3.0}),
        (PersistenceImage(resolution=8), {"dtype": "uint8"}),
        (GramianField(size=8), {"size": 5}),
        (TransitionField(size=8), {"bins": 3}),
        (Scaled(PersistenceImage(resolution=8)), {"modality__sigma": 0.3}),
        (Scaled(PersistenceImage(resolution=8)), {"width": 1.0}),
        (Scaled(PersistenceImage(resolution=8)), {"modality": GramianField(size=8)}),
    ],
)
def test_parameters_set_after_fit_are_learned_anew_or_refused(estimator, change):
    fitted = clone(estimator).fit(X)
    fitted.set_params(**change)
    with pytest.raises(NotFittedError):
        fitted.transform(X)
    expected = clone(estimator).set_params(**change).fit(X).transform(X)
    np.testing.assert_array_equal(fitted.fit(X).transform(X), expected)


def test_the_inner_object_of_a_fitted_one_may_be_changed():
    inner = PersistenceImage(resolution=8)
    scaled = Scaled(inner).fit(X)
    expected = scaled.transform(X)
    inner.set_params(sigma=9.0, dtype="uint8")
    np.testing.assert_array_equal(scaled.transform(X), expected)


def test_threads_are_no_part_of_what_was_learned():
    image = PersistenceImage(resolution=8).fit(X)
    expected = image.transform(X)
    np.testing.assert_array_equal(image.set_params(n_jobs=2).transform(X), expected)


@pytest.mark.parametrize(
    "estimator", [PersistenceImage(), GramianField(size=4), Scaled(PersistenceImage())]
)
def test_what_is_no_array_of_samples_is_refused_with_a_sentence(estimator):
    for wrong in (csr_matrix(np.eye(3)), 3.0, np.zeros(5), np.zeros((5, 3)), np.zeros((5, 0, 4))):
        with pytest.raises(UserError, match="allowed: "):
            clone(estimator).fit(wrong)
