"""The analysis of measured landscapes, on one that is known."""

from __future__ import annotations

import numpy as np

from benchmarks.search_quality.table_shape import degrees, walsh


def test_a_sum_of_a_gene_and_a_pair_is_found_as_that() -> None:
    bits = (np.arange(16)[:, None] >> np.arange(4)) & 1
    spins = 1.0 - 2.0 * bits
    values = np.asarray(0.5 + 2.0 * spins[:, 1] - 3.0 * spins[:, 0] * spins[:, 3], np.float64)
    found = walsh(values)
    assert dict(enumerate(found.tolist())) == {
        place: {0: 0.5, 0b10: 2.0, 0b1001: -3.0}.get(place, 0.0) for place in range(16)
    }
    assert degrees(4)[[0, 0b10, 0b1001, 0b1111]].tolist() == [0, 1, 2, 4]


def test_the_transform_of_the_coefficients_gives_the_values_back() -> None:
    values = np.random.default_rng(0).standard_normal(32)
    np.testing.assert_allclose(walsh(walsh(values)) * 32, values)
