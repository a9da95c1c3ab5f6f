"""The features that a feature avoids are those of lowest phi among all, whatever is tried first."""

import numpy as np
import pytest

from scoring.published_cases import occurrences
from sfal import _core
from sfal.report import opposites as module
from sfal.report.opposites import N_OPPOSITES, opposites


@pytest.mark.parametrize("frequent", [6, 20, 2048])
def test_the_most_negative_phi_of_all_features_is_found(monkeypatch, frequent):
    rng = np.random.default_rng(0)
    n_features, n_windows = 60, 400
    fired = rng.random((n_features, n_windows)) < rng.uniform(0.01, 0.5, n_features)[:, None]
    fired[0], fired[1] = False, True
    counted = occurrences(fired)
    phi = _core.phi(counted.histogram(), n_windows).astype(np.float32)
    np.fill_diagonal(phi, 1)
    monkeypatch.setattr(module, "_FREQUENT", frequent)
    monkeypatch.setattr(module, "_ROWS", 7)
    lists = opposites(counted)
    for feature in range(n_features):
        order = np.argsort(phi[feature], kind="stable")
        expected = [i for i in order if phi[feature, i] <= -0.0005][:N_OPPOSITES]
        n = lists.n[feature]
        assert n == len(expected)
        np.testing.assert_array_equal(lists.value[feature, :n], phi[feature, expected])
        found = lists.feature[feature, :n]
        np.testing.assert_array_equal(phi[feature, found], lists.value[feature, :n])
        assert len(set(found.tolist())) == n
    assert lists.n[:2].tolist() == [0, 0]


def test_a_source_with_few_features_has_short_lists():
    lists = opposites(occurrences(np.array([[1, 0, 1], [0, 1, 0], [1, 1, 1]], bool)))
    assert lists.n.tolist() == [1, 1, 0]
    assert lists.feature[:2, 0].tolist() == [1, 0]
