"""What holds for every network in the tables."""

import re
import typing
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import traverse_util
from peer_networks import run_quickly

from rsnet_jax.checkpoints import key_tables
from rsnet_jax.checkpoints.checkpoint import Checkpoint
from rsnet_jax.checkpoints.published import from_published, to_published
from rsnet_jax.config import SETTINGS, AnyModelConfig, Config, find_preset, load_preset
from rsnet_jax.errors import CheckpointError
from rsnet_jax.models.build import NETWORKS, build_model, init_variables
from rsnet_jax.pose.skeleton import H36M_17

REPOSITORY = Path(__file__).parents[2]
SKELETON = H36M_17  # golden files of 16 joints are in the tests of each network


def small(name, **settings):
    return Config(model=SETTINGS[name](width=6, blocks=2, **settings))


def shaken(variables, rng):
    """Zeros and ones would hide mistakes."""

    def shake(leaf):
        if not jnp.issubdtype(leaf.dtype, jnp.floating):
            return leaf + jnp.asarray(rng.integers(3, 99, leaf.shape), leaf.dtype)
        return leaf + jnp.asarray(rng.uniform(0.1, 0.2, leaf.shape), leaf.dtype)

    return jax.tree.map(shake, variables)


def test_tables_know_the_same_networks():
    assert list(NETWORKS) == list(key_tables.KEY_TABLES) == list(SETTINGS)
    classes = typing.get_args(typing.get_args(AnyModelConfig)[0])
    assert [kind.settings for kind in NETWORKS.values()] == list(classes)


@pytest.mark.parametrize("name", NETWORKS)
def test_settings_begin_with_the_name_and_have_the_common_fields(name):
    fields = list(SETTINGS[name].model_fields)
    assert fields[0] == "name"
    assert {"width", "dropout", "blocks"} < set(fields)
    settings = SETTINGS[name]()
    assert settings.title and str(settings.width) in settings.sizes and settings.facts


@pytest.mark.parametrize("name", NETWORKS)
def test_there_is_a_preset(name):
    presets = [load_preset(path) for path in (REPOSITORY / "configs").glob("*.yaml")]
    assert name in {preset.model.name for preset in presets}


@pytest.mark.parametrize("name", NETWORKS)
def test_network_does_what_the_protocol_says(name, rng):
    config = small(name)
    model = build_model(config, SKELETON, axis_name=None)
    assert model.skeleton == model.keypoint_skeleton == SKELETON
    assert model.axis_name is None
    variables = init_variables(config, SKELETON)
    assert set(variables) == {"params", "batch_stats"}
    keypoints = jnp.asarray(rng.normal(size=(5, SKELETON.num_joints, model.input_channels)))

    def run(keypoints):
        rngs = {"dropout": jax.random.key(0)}
        trained = model.apply(variables, keypoints, train=True, rngs=rngs, mutable=["batch_stats"])
        return trained, model.apply(variables, keypoints[:1]), model.apply(variables, keypoints)

    (pose, updated), one, all_ = run_quickly(run, keypoints)
    assert (pose.shape, pose.dtype) == ((5, SKELETON.num_joints, 3), jnp.float32)
    assert Checkpoint(variables | updated, None, config, SKELETON).batches_seen == 1
    np.testing.assert_allclose(one, all_[:1], rtol=1e-5, atol=1e-5)  # each pose by itself


ALIKE = {"modulated_gcn": ["weight_unsharing", "modulated_gcn"]}
"""Networks whose tensors are also those of others, of equal names and shapes."""


@pytest.mark.parametrize("name", NETWORKS)
def test_published_tensors_hold_every_variable_and_tell_the_network(name, rng):
    config = small(name)
    variables = shaken(init_variables(config, SKELETON), rng)
    table = key_tables.KEY_TABLES[name].entries(config.model, SKELETON)
    assert sorted(entry.path for entry in table) == sorted(traverse_util.flatten_dict(variables))
    tensors, refinement = to_published(Checkpoint(variables, None, config, SKELETON))
    assert refinement == {}
    differences = {other: t.difference(tensors) for other, t in key_tables.KEY_TABLES.items()}
    assert [other for other, key in differences.items() if key is None] == ALIKE.get(name, [name])
    for other, difference in differences.items():
        if difference is not None:  # given as another network, it is refused
            told = f"made up: not a published {SETTINGS[other].title}: {re.escape(difference)}"
            with pytest.raises(CheckpointError, match=told):
                from_published(tensors, source="made up", name=other)
    again = from_published(tensors, source="made up", **config.model.model_dump())
    assert (again.config, again.skeleton) == (config, SKELETON)
    jax.tree.map(np.testing.assert_array_equal, again.variables, variables)
    for key, array in to_published(again)[0].items():
        np.testing.assert_array_equal(array, tensors[key], err_msg=key)


def test_page_about_adding_a_network_names_files_that_exist():
    text = (REPOSITORY / "docs" / "add_a_model.md").read_text()
    named = set(re.findall(r"`((?:rsnet_jax|tests|configs)/[\w/.]+)`", text))
    assert len(named) > 10
    missing = [name for name in named if not (REPOSITORY / name).exists()]
    assert not missing
    for name in ("NetworkKind", "KeyTable", "AnyModelConfig", "LIFTING_LOSSES", "GraphNetwork"):
        assert name in text
    find_preset("semgcn_gt")
