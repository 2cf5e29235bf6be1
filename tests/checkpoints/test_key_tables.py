import jax
import numpy as np
import pytest
from flax import traverse_util
from random_tensors import random_tensors

from rsnet_jax.checkpoints import key_tables
from rsnet_jax.config import Config, RSNetConfig
from rsnet_jax.errors import CheckpointError
from rsnet_jax.models.build import init_variables
from rsnet_jax.pose.skeleton import Skeleton

MODEL = RSNetConfig(width=6, hops=3, blocks=2)
JOINTS = 5


@pytest.fixture
def tensors(rng):
    return random_tensors(rng, width=6, hops=3, blocks=2, joints=JOINTS)


@pytest.fixture
def table():
    return key_tables.rsnet_table(MODEL, JOINTS)


def test_round_trip_is_exact(tensors, table):
    again = key_tables.to_published(key_tables.to_ours(tensors, table, source="made up"), table)
    assert set(again) == set(tensors)
    for name, want in tensors.items():
        assert again[name].dtype == want.dtype, name
        assert again[name].flags.c_contiguous, name
        np.testing.assert_array_equal(again[name], want, err_msg=name)


def test_table_has_every_variable_of_the_network(table):
    star = Skeleton("star", tuple("abcde"), (-1, 0, 0, 1, 1), (1,), (2,))
    shapes = jax.eval_shape(lambda: init_variables(Config(model=MODEL), star))
    paths = list(traverse_util.flatten_dict(shapes))
    assert sorted(paths) == sorted(entry.path for entry in table)


def test_sizes_are_read_off_the_shapes(tensors):
    sizes = key_tables.infer_model(tensors, source="made up")
    published = {"input_channels": 2, "joint_errors": False}
    wanted = {"name": "rsnet", "width": 6, "hops": 3, "blocks": 2, "joints": JOINTS}
    assert sizes == wanted | published


def test_half_precision_is_widened(tensors, table):
    half = {k: v.astype(np.float16) if v.dtype == np.float32 else v for k, v in tensors.items()}
    variables = key_tables.to_ours(half, table, source="made up")
    weight = variables["params"]["output"]["bias_sum"]
    assert weight.dtype == np.float32
    np.testing.assert_array_equal(weight, half["gconv_output.bias_2"].astype(np.float32))


def drop(tensors):
    del tensors["gconv_layers.gconv3.ln.bias"]


def add(tensors):
    tensors["optimizer.step"] = np.zeros(3)


def add_hostile(tensors):
    tensors["\x1b[31mred\n"] = np.zeros(3)


def misshape(tensors):
    tensors["gconv_layers.gconv2.gconv.M"] = np.zeros((3, 4, 6), np.float32)


@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        (drop, r"made up: 1 tensors are missing: gconv_layers\.gconv3\.ln\.bias"),
        (add, r"made up: 1 tensors have no place: optimizer\.step"),
        (add_hostile, r"made up: 1 tensors have no place: \?\[31mred$"),
        (misshape, r"gconv2\.gconv\.M has shape \(3, 4, 6\), wanted \(3, 5, 6\)"),
    ],
)
def test_every_tensor_is_accounted_for(tensors, table, break_it, message):
    break_it(tensors)
    with pytest.raises(CheckpointError, match=message):
        key_tables.to_ours(tensors, table, source="made up")


def test_alien_weights_are_refused():
    with pytest.raises(CheckpointError, match=r"not a published RS-Net.*found conv1\.weight"):
        key_tables.infer_model({"conv1.weight": np.zeros((3, 3))}, source="alien.pth")
    with pytest.raises(CheckpointError, match=r"not a refinement.*found nothing"):
        key_tables.infer_hidden({}, source="alien.pth")
