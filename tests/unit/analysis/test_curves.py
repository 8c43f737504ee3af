"""Log normalisers as curves: they are what they stand for, at any margin and bet."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from analysis.stats.counting import canary_share, log_evalues
from analysis.stats.curves import curves, segments


@example([(0.001, 6)], [7.25])
@given(
    st.lists(st.tuples(st.floats(0.001, 0.999), st.integers(0, 1000)), min_size=1, max_size=8),
    st.lists(st.floats(-8, 8), min_size=1, max_size=8),
)
def test_curves_are_the_sum_of_log_normalisers(cells, at):
    share, bad = np.array([q for q, _ in cells]), np.array([[float(k)] for _, k in cells])
    exact = (bad * np.log1p(share[:, None] * np.expm1(np.array(at))[None, :])).sum(axis=0)
    read = curves(bad, share).at(np.array([at]))[0]
    assert read == pytest.approx(exact, abs=7e-5 * (1 + bad.sum()))


@given(st.floats(0.2, 5.0), st.floats(-3.0, 3.0))
def test_a_margin_only_shifts_the_argument(ratio, tilt):
    n_c, n_b, k_c, k_b = (np.array([v]) for v in (30.0, 200.0, 4.0, 11.0))
    exact = log_evalues(k_c[:, None], k_b[:, None], n_c, n_b, np.array([[tilt]]), ratio=ratio)[0, 0]
    found = curves((k_c + k_b)[:, None], canary_share(n_c, n_b))
    price = found.at(np.array([[tilt + np.log(ratio), np.log(ratio)]]))[0]
    assert k_c[0] * tilt - (price[0] - price[1]) == pytest.approx(exact, abs=5e-5 * 16)


def test_tails_are_sums_from_each_segment_on():
    parts = [curves(np.array([[float(k)]]), np.array([0.3])) for k in (1, 2, 4)]
    stacked = type(parts[0])(np.stack([p.values for p in parts]), np.stack([p.slopes for p in parts]))
    at = np.array([[1.5]])
    sums = stacked.tails().at(at)[:, 0, 0]
    unit = parts[0].at(at)[0, 0]
    assert sums == pytest.approx([7 * unit, 6 * unit, 4 * unit])


def test_segments_are_the_curves_of_their_cells():
    rng = np.random.default_rng(1)
    bad, share = rng.poisson(3.0, (9, 2)).astype(float), np.where(np.arange(9) < 3, 0.0, rng.random(9))
    found = segments(bad, share, [0, 2, 3, 7])
    at = np.array([[-2.0, 0.5], [0.1, 3.0]])
    for number, rows in enumerate([slice(0, 2), slice(2, 3), slice(3, 7), slice(7, 9)]):
        assert found.since(number).at(at) == pytest.approx(curves(bad[rows], share[rows]).at(at))
    assert not found.since(0).at(at).any()  # nothing but the baseline's requests
