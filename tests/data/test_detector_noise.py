import numpy as np
import pytest

from rsnet_jax.data.detector_noise import (
    ARM,
    LEG,
    correlated_noise,
    detect,
    limb_joints,
    noise_std,
    outliers,
    swap_sides,
)
from rsnet_jax.pose.skeleton import H36M_16, HALPE_26

J = {name: index for index, name in enumerate(H36M_16.joints)}
# pelvis, right leg, left leg, spine, thorax, head, left arm, right arm
STD = [3, 3.5, 4.5, 6.5, 3.5, 4.5, 6.5, 3.5, 3, 4, 3.5, 5.5, 8, 3.5, 5.5, 8]


def test_noise_is_correlated_as_stated():
    rng = np.random.default_rng(0)
    noise = np.stack([correlated_noise(rng, (41, 16, 2)) for _ in range(1500)])
    start = noise[:, 0]
    for lag in (0, 1, 5, 40):
        want = 0.25 + 0.55 * 0.85**lag + (0.20 if lag == 0 else 0)
        # 48,000 products: a standard error of 0.006
        assert np.mean(start * noise[:, lag]) == pytest.approx(want, abs=0.03)


def test_outliers_are_rare_bounded_and_come_in_bursts():
    stray = outliers(np.random.default_rng(0), (40_000, 16, 2))
    hit = (stray != 0).any(axis=-1)
    assert hit.mean() == pytest.approx(0.012, rel=0.05)
    assert np.abs(stray).max() == 150
    # half of Student's t with two degrees of freedom lies within 0.8165
    assert np.median(np.abs(stray[hit])) == pytest.approx(20 * 0.8165, rel=0.05)
    stays = (hit[1:] & hit[:-1]).sum() / hit.sum()
    assert stays == pytest.approx(2 / 3, abs=0.03)  # bursts of 2, 3 and 4 frames


def test_limbs_are_swapped_rarely_and_whole():
    pixels = np.random.default_rng(0).normal(size=(200_000, 16, 2))
    moved = (swap_sides(pixels, np.random.default_rng(1), H36M_16) != pixels).any(axis=-1)
    arms, legs = moved[:, 10:], moved[:, 1:7]
    for limb in (arms, legs):
        assert (limb.all(axis=1) == limb.any(axis=1)).all()
        assert limb.any(axis=1).mean() == pytest.approx(0.002, rel=0.2)  # two thirds of 0.003
    assert moved.any(axis=1).mean() == pytest.approx(0.003, rel=0.2)
    assert not moved[:, [0, 7, 8, 9]].any()
    frame = np.flatnonzero(arms.any(axis=1))[0]
    swapped = swap_sides(pixels, np.random.default_rng(1), H36M_16)
    np.testing.assert_array_equal(swapped[frame, J["left_wrist"]], pixels[frame, J["right_wrist"]])


def test_noise_of_each_joint():
    np.testing.assert_array_equal(noise_std(H36M_16), STD)
    halpe = dict(zip(HALPE_26.joints, noise_std(HALPE_26).tolist(), strict=True))
    assert halpe["hip"] == halpe["left_hip"] == 3.5
    assert halpe["right_small_toe"] == halpe["left_big_toe"] == 7.5


def test_limbs_of_halpe_have_feet():
    legs = [HALPE_26.joints[joint] for joint in limb_joints(HALPE_26, LEG)]
    assert len(legs) == 12 and "hip" not in legs and "left_heel" in legs
    assert len(limb_joints(HALPE_26, ARM)) == 6


@pytest.fixture(scope="module")
def detections():
    pixels = np.full((20_000, 26, 2), 500.0)
    rng = np.random.default_rng(0)
    seen = detect(pixels, rng, skeleton=HALPE_26, size=(1000, 900), scale=2.0)
    return seen, np.linalg.norm(seen.keypoints - pixels, axis=-1)


def test_noise_grows_with_the_person(detections):
    _, distance = detections
    # the median of a Rayleigh distribution; the constant share of a single clip is one draw
    ratio = np.median(distance, axis=0) / (2 * noise_std(HALPE_26) * np.sqrt(2 * np.log(2)))
    assert ratio.mean() == pytest.approx(1, abs=0.1)


def test_confidence_falls_with_the_error(detections):
    seen, distance = detections
    off = distance / (2 * noise_std(HALPE_26))  # in standard deviations
    for near, want in ((0, 1), (3, np.exp(-0.5)), (6, np.exp(-2))):
        some = seen.confidence[np.abs(off - near) < 0.05]
        assert len(some) > 20
        # times 0.9 to 1 at random
        assert some.max() == pytest.approx(want, rel=0.06) and some.min() > 0.85 * want
    assert seen.confidence.min() >= 0 and seen.confidence.max() <= 1
    assert seen.confidence[off > 20].max() < 1e-6


def test_detections_stay_in_the_image():
    pixels = np.zeros((200, 16, 2))
    pixels[:, 8:] = (640, 480)
    rng = np.random.default_rng(0)
    seen = detect(pixels, rng, skeleton=H36M_16, size=(640, 480)).keypoints
    assert seen.min() == 0 and (seen.max(axis=(0, 1)) == (640, 480)).all()
