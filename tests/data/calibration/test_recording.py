import numpy as np
import pytest

from rsnet_jax.data.calibration.pairing import runs
from rsnet_jax.data.calibration.recording import distances, per_frame, quantile, spread, typical


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("share", [0.5, 0.2])
@pytest.mark.parametrize("missing", [0.0, 0.3])
def test_quantiles_are_those_of_numpy(rng, axis, share, missing):
    values = rng.normal(size=(5, 6, 7))
    values[rng.random(values.shape) < missing] = np.nan
    np.testing.assert_allclose(
        quantile(values, share, axis=axis), np.nanquantile(values, share, axis=axis), rtol=1e-12
    )


def test_distances_leave_out_what_was_not_detected():
    seen = np.array([[[3.0, 4.0], [0.0, 0.0], [0.0, 7.0]], np.zeros((3, 2))])
    where = np.zeros((2, 3, 2)) + [0.0, 0.0]
    np.testing.assert_array_equal(distances(seen, where), [[5, np.nan, 7], [np.nan] * 3])
    np.testing.assert_array_equal(per_frame(seen, where), [6, np.nan])
    assert typical(per_frame(seen, where)) == 6
    assert np.isnan(typical(np.array([np.nan])))


def test_spread_has_the_ends():
    np.testing.assert_array_equal(spread(5, 9), range(5))
    np.testing.assert_array_equal(spread(9, 5), [0, 2, 4, 6, 8])


def test_runs():
    far = np.zeros(20, bool)
    far[3:10], far[6] = True, False  # one frame within the run is right
    far[15] = True  # alone
    assert runs(far, least=5) == [(3, 9)]
    assert runs(far, least=8) == []
    assert runs(np.ones(4, bool), least=2) == [(0, 3)]
    far[14:] = True
    far[10:14] = False
    assert runs(far, least=5) == [(3, 9), (14, 19)]
