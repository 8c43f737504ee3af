"""Tables merged and summed: no count is lost, and restarts sum what they say."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from analysis.judges.cells import sums_since
from analysis.judges.table import Table

WINDOWS = 12


def table(seed):
    rng = np.random.default_rng(seed)
    start = np.arange(WINDOWS, dtype=float)
    attempts, errors = rng.poisson(9.0, (2, WINDOWS, 3)).astype(float)
    latency = rng.poisson(2.0, (WINDOWS, 3, 4)).astype(float)
    return Table(
        start, start + 1.0, ("a", "b", ""), np.array([True, False, False]), attempts, errors, latency, ("",) * 3
    )


ROWS = st.sets(st.integers(1, WINDOWS - 1)).map(lambda rows: [0, *sorted(rows)])


@given(st.integers(0, 2**32), ROWS)
def test_merging_sums_each_run_of_windows(seed, firsts):
    whole = table(seed)
    merged = whole.grouped(np.array(firsts))
    for number, (first, end) in enumerate(zip(firsts, [*firsts[1:], WINDOWS], strict=True)):
        assert (merged.start[number], merged.end[number]) == (first, end)
        for name in ("attempts", "errors", "latency"):
            np.testing.assert_array_equal(getattr(merged, name)[number], getattr(whole, name)[first:end].sum(axis=0))


@given(st.integers(0, 2**32), ROWS)
def test_sums_since_see_the_windows_from_their_row_on(seed, rows):
    values = table(seed).latency.transpose(2, 0, 1)  # several tests at once
    found = sums_since(values, rows)
    for number, row in enumerate(rows):
        np.testing.assert_array_equal(found[:, number], values[:, row:].sum(axis=1))


def test_only_pods_columns_are_pods():
    whole = table(1)
    assert whole.named.tolist() == [0, 1]
    assert [columns.tolist() for columns, _ in (whole.owners[True], whole.owners[False])] == [[0], [1]]
