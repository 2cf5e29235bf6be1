"""Weight Unsharing against the golden files of the official modules."""

import json
import math

import jax.numpy as jnp
import numpy as np
import pytest
from peer_networks import (
    check_conversion,
    check_fresh,
    check_outputs,
    check_training,
    close,
    load_case,
    residual_activations,
)

from rsnet_jax.checkpoints.published import load_torch_checkpoint
from rsnet_jax.config import Config, WeightUnsharingConfig
from rsnet_jax.errors import CheckpointError, ConfigError
from rsnet_jax.models.graphs import EXTRA_EDGES, weighted_graph
from rsnet_jax.models.unshared_conv import UnsharedGraphConv
from rsnet_jax.pose.skeleton import H36M_16, Skeleton

PREFIX = "anygcn_"
SLOW = [
    *("convst", "dc_postagg", "dc_preagg", "dc_preagg_nonlocal", "dc_vanilla", "modulated"),
    *("modulated_experts_noskel", "nosharing", "nosharing_experts_mul", "preagg"),
    *("preagg_experts_ignored", "vanilla"),
]
CASES = ["dc_preagg_experts_add", *(pytest.param(name, marks=pytest.mark.slow) for name in SLOW)]


def settings_of(about):
    """What the tensors do not tell; golden files have no dropout."""
    return {
        "name": "weight_unsharing",
        "sharing": about["gcn_type"],
        "experts_merge": about["reg_type"],
        "expert_dropout": 0,
    }


@pytest.fixture(scope="module", params=CASES)
def case(request, golden):
    folder = golden / "peers" / f"{PREFIX}{request.param}"
    return load_case(folder, **settings_of(json.loads((folder / "meta.json").read_text())))


def test_outputs_and_activations_match_the_official_modules(case):
    check_outputs(case, residual_activations(case))


def test_training_step_matches_the_official_modules(case):
    check_training(case)


def test_conversion_accounts_for_every_tensor(case):
    check_conversion(case)
    about = case.about
    model = WeightUnsharingConfig(
        width=about["hid_dim"],
        blocks=about["num_layers"],
        non_local=about["non_local"],
        experts=about["num_experts"],
        **settings_of(about),
    )
    assert case.checkpoint.config == Config(model=model)
    assert case.checkpoint.skeleton == H36M_16


@pytest.mark.parametrize("name", [name for name in SLOW if "experts" not in name])
def test_first_layer_matches_the_official_one(golden, name):
    """Every kind of sharing, cheaply; the whole networks are in the slow lane."""
    folder = golden / "peers" / f"{PREFIX}{name}"
    settings = settings_of(json.loads((folder / "meta.json").read_text()))
    checkpoint = load_torch_checkpoint(folder / "state_dict.pth", **settings)
    data = np.load(folder / "golden.npz")
    layer = UnsharedGraphConv(
        checkpoint.config.model.width, weighted_graph(H36M_16), settings["sharing"]
    )
    params = checkpoint.variables["params"]["input"]["conv"]
    got = layer.apply({"params": params}, jnp.asarray(data["x"]), train=False)
    close(got, data["act/gconv_input.0.gconv"])


def test_post_aggregation_without_golden_files(rng):
    """The official code fails for "postagg"; what it means, by loops: out_j = (A X)_j W_j."""
    x, weight = rng.normal(size=(2, 3, 4)), rng.normal(size=(1, 3, 4, 5))
    graph, bias = rng.uniform(size=(3, 3)), rng.normal(size=5)
    layer = UnsharedGraphConv(5, tuple(map(tuple, graph.tolist())), "postagg")
    params = {"weight": jnp.asarray(weight, jnp.float32), "bias": jnp.asarray(bias, jnp.float32)}
    got = layer.apply({"params": params}, jnp.asarray(x, jnp.float32), train=False)
    for pose in range(2):
        for joint in range(3):
            gathered = sum(graph[joint, other] * x[pose, other] for other in range(3))
            want = gathered @ weight[0, joint] + bias
            np.testing.assert_allclose(got[pose, joint], want, rtol=1e-4, atol=1e-5)


def test_graphs_are_those_of_the_official_code(golden):
    wanted = np.load(golden / "peers/anygcn_graphs/golden.npz")
    assert {name.split("/")[0] for name in wanted} == set(EXTRA_EDGES)
    for name in wanted:
        graph, weights = name.split("/")
        got = weighted_graph(H36M_16, graph, weights)
        np.testing.assert_allclose(got, wanted[name], rtol=1e-6, err_msg=name)
    other = Skeleton("star", ("pelvis", "a", "b"), (-1, 0, 0), (1,), (2,))
    with pytest.raises(ConfigError, match="model.graph paired needs joint left_hip, which .*star"):
        weighted_graph(other, "paired")


def test_what_the_tensors_leave_open_is_asked_for(golden):
    path = golden / "peers" / f"{PREFIX}dc_preagg" / "state_dict.pth"
    with pytest.raises(CheckpointError) as caught:
        load_torch_checkpoint(path)
    assert str(caught.value) == (
        f"{path}: its tensors alone do not tell which network it is; say so:"
        " --model weight_unsharing:dc_preagg or --model weight_unsharing:dc_postagg"
    )
    for sharing in ("dc_preagg", "dc_postagg"):
        checkpoint = load_torch_checkpoint(path, sharing=sharing)
        assert checkpoint.config.model.sharing == sharing
    with pytest.raises(CheckpointError, match=r"of model\.sharing dc_preagg or dc_postagg, not pr"):
        load_torch_checkpoint(path, sharing="preagg")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["dc_preagg_experts6", "convst", "modulated"])
def test_fresh_tensors_are_drawn_as_torch_draws_them(golden, name):
    def bound(key, shape):
        if key.endswith("W"):
            stack, rows, *columns = shape
            return 1.414 * math.sqrt(6 / ((stack + rows) * math.prod(columns)))
        if key.endswith("experts"):
            return math.sqrt(6 / ((shape[0] + shape[1]) * shape[2]))
        if "_routing_fn" in key:
            return 128**-0.5
        # bias: 1 / sqrt of the third axis of W
        chan = 2 if key.startswith("gconv_input") else 128
        return (chan if "agg" in name else shape[0]) ** -0.5

    sharing = name.removesuffix("_experts6")
    experts = 6 if name.endswith("experts6") else 0
    config = Config(model=WeightUnsharingConfig(sharing=sharing, experts=experts))
    path = golden / f"peers/init_stats/{PREFIX}{name}.json"
    check_fresh(path, config, H36M_16, bounds=bound)
