import jax
import numpy as np
import pytest

from rsnet_jax.config import Config, RSNetConfig, TrainConfig
from rsnet_jax.errors import ConfigError
from rsnet_jax.pose.skeleton import HALPE_26
from rsnet_jax.training.occlusion import joints_given, joints_of_limbs, make_hide

FEET = {f"{side}_{joint}" for side in ("left", "right") for joint in ("heel", "big_toe")}
FEET |= {"left_small_toe", "right_small_toe"}
FACE = {"nose", "left_eye", "right_eye", "left_ear", "right_ear"}


def names(row):
    return {joint for joint, there in zip(HALPE_26.joints, row, strict=True) if there}


def test_what_each_layout_lacks():
    layouts = ("halpe26", "coco17", "body25", "mpii16", "mediapipe33", "h36m17")
    lacking = [names(~row) for row in joints_given(HALPE_26, layouts)]
    assert lacking[0] == set()
    assert lacking[1] == FEET | {"head"}  # hip and neck are middles of hips and shoulders
    assert lacking[2] == {"head"}
    assert lacking[3] == lacking[5] == FEET | FACE
    assert lacking[4] == {"left_small_toe", "right_small_toe", "head"}


def test_limbs():
    limbs = [names(row) for row in joints_of_limbs(HALPE_26)]
    assert {"left_elbow", "left_wrist"} in limbs and {"right_elbow", "right_wrist"} in limbs
    assert FACE | {"head"} in limbs
    assert all(limbs)


@pytest.fixture(scope="module")
def keypoints():
    return np.random.default_rng(0).uniform(0.5, 1, (4096, 26, 3)).astype(np.float32)


def test_each_sample_keeps_the_joints_of_one_layout(keypoints):
    layouts = ("halpe26", "coco17", "mpii16")
    hide = make_hide(HALPE_26, layouts=layouts)
    assert hide is not None
    hidden = np.asarray(hide(keypoints, jax.random.key(3)))
    seen = hidden[..., 2] > 0
    np.testing.assert_array_equal(hidden[seen], keypoints[seen])
    assert (hidden[~seen] == 0).all()
    given = joints_given(HALPE_26, layouts)
    which = (seen[:, None] == given[None]).all(axis=-1)  # sample layout
    assert (which.sum(axis=1) == 1).all()
    # Binomial: a third of 4,096, standard deviation 30.
    np.testing.assert_allclose(which.sum(axis=0), 4096 / 3, atol=120)


def test_share_of_the_samples_with_hidden_parts(keypoints):
    hide = make_hide(HALPE_26, occlusion=0.5)
    assert hide is not None
    seen = np.asarray(hide(keypoints, jax.random.key(4)))[..., 2] > 0
    # A chosen sample stays whole if no limb (8 of them) and no joint (26) is drawn.
    whole = 0.5 + 0.5 * (1 - 26 / 256) ** 8 * (1 - 8 / 256) ** 26
    assert seen.all(axis=1).mean() == pytest.approx(whole, abs=0.03)
    always = make_hide(HALPE_26, occlusion=1.0)
    assert always is not None
    seen = np.asarray(always(keypoints, jax.random.key(4)))[..., 2] > 0
    # A wrist goes with its arm or alone.
    wrist = (1 - 26 / 256) * (1 - 8 / 256)
    column = seen[:, HALPE_26.joints.index("left_wrist")]
    assert column.mean() == pytest.approx(wrist, abs=0.03)


def test_what_is_hidden_does_not_depend_on_the_devices(keypoints):
    one = make_hide(HALPE_26, layouts=("coco17", "halpe26"), occlusion=0.5)
    several = make_hide(HALPE_26, layouts=("coco17", "halpe26"), occlusion=0.5, axis_name="devices")
    assert one is not None and several is not None
    key = jax.random.key(5)
    split = jax.vmap(lambda rows: several(rows, key), axis_name="devices")
    got = split(keypoints[:64].reshape(4, 16, 26, 3))
    np.testing.assert_array_equal(np.asarray(got).reshape(64, 26, 3), one(keypoints[:64], key))


def test_nothing_is_hidden_by_default():
    assert make_hide(HALPE_26) is None


@pytest.mark.parametrize("train", [{"occlusion": 0.1}, {"layouts": ("coco17",)}])
def test_hiding_needs_confidences(train):
    with pytest.raises(ConfigError, match=r"need model\.input_channels 3"):
        Config(train=TrainConfig(**train))
    Config(train=TrainConfig(**train), model=RSNetConfig(input_channels=3))


def test_unknown_layouts_are_refused():
    with pytest.raises(ConfigError, match=r"train\.layouts: .*halpe26.* were wanted, not coco71"):
        TrainConfig(layouts=("coco71",))
