"""Modulated GCN against the golden files of the official modules, in both published variants."""

import math
import os
from pathlib import Path

import jax
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
    output_of,
    residual_activations,
    run_quickly,
)

from rsnet_jax.checkpoints.load import load_checkpoint
from rsnet_jax.checkpoints.published import load_torch_checkpoint, to_published
from rsnet_jax.config import Config, ModulatedGCNConfig, ModulatedGCNDetectedConfig
from rsnet_jax.errors import CheckpointError
from rsnet_jax.models.flip_test import lift
from rsnet_jax.pose.camera import backproject
from rsnet_jax.pose.metrics import mpjpe, pa_mpjpe
from rsnet_jax.pose.skeleton import H36M_16, H36M_17
from rsnet_jax.pose.transforms import recenter, zero_root
from rsnet_jax.training.losses import mpjpe_l1, mse, refinement_loss, symmetry_penalty

GROUND_TRUTH = ["modulated_gt", "modulated_gt_nonlocal"]
CASES = ["modulated_cpn", *(pytest.param(name, marks=pytest.mark.slow) for name in GROUND_TRUTH)]
NAMES = {"modulated_cpn": "modulated_gcn_detected"} | dict.fromkeys(GROUND_TRUTH, "modulated_gcn")


@pytest.fixture(scope="module", params=CASES)
def case(request, golden):
    return load_case(golden / "peers" / request.param, name=NAMES[request.param])


def test_outputs_and_activations_match_the_official_modules(case):
    activations = residual_activations(case)
    if case.checkpoint.config.model.name == "modulated_gcn_detected":
        attended = output_of(case, "attention").T  # chan joint batch -> batch joint chan
        activations["non_local"] = attended.swapaxes(1, 2)[:, :, None]
    check_outputs(case, activations)


def test_training_step_matches_the_official_modules(case):
    check_training(case)


def test_conversion_accounts_for_every_tensor(case):
    check_conversion(case)
    about = case.about
    sizes = dict(width=about["hid_dim"], blocks=about["num_layers"])
    model, skeleton = ModulatedGCNDetectedConfig(**sizes, dropout=0), H36M_17
    if about["joints"] == 16:
        model = ModulatedGCNConfig(**sizes, non_local=about["non_local"])
        skeleton = H36M_16
    assert case.checkpoint.config == Config(model=model)
    assert case.checkpoint.skeleton == skeleton


def test_first_layer_of_the_variant_for_true_keypoints(golden):
    """The constant graph is what tells it from Weight Unsharing; the rest is in the slow lane."""
    folder = golden / "peers/modulated_gt"
    checkpoint, data = (
        load_torch_checkpoint(folder / "state_dict.pth", name="modulated_gcn"),
        np.load(folder / "golden.npz"),
    )
    layer = checkpoint.model.graph_conv("input")(checkpoint.config.model.width, name=None)
    np.testing.assert_allclose(layer.adjacency, data["adj"], rtol=1e-6)
    params = checkpoint.variables["params"]["input"]["conv"]
    close(
        layer.apply({"params": params}, jnp.asarray(data["x"]), train=False),
        data["act/gconv_input.0.gconv"],
    )


@pytest.fixture
def pair(golden):
    folder = golden / "peers/modulated_cpn"
    return load_torch_checkpoint(folder / "state_dict.pth", folder / "state_dict_refine.pth")


def test_evaluation_with_refinement_matches_the_official_one(golden, pair):
    """Flip test, back-projection, refinement and losses of 17 joints."""
    data = np.load(golden / "peers/modulated_cpn/golden.npz")
    pipe = {name.removeprefix("pipe/"): data[name] for name in data if name.startswith("pipe/")}
    target = zero_root(jnp.asarray(pipe["gt3d"]))

    def run(keypoints, cameras, root_depth):
        pose = lift(pair.model, pair.variables, keypoints, flip_test=True)
        alone = lift(pair.model, pair.variables, keypoints, flip_test=False)
        placed = backproject(pose, keypoints, root_depth=root_depth, cameras=cameras)

        def refine(params, pose, placed):
            refined = pair.refinement.apply({"params": params}, pose, placed)
            return mse(refined, target), refined

        params = pair.refine_variables["params"]
        differentiate = jax.value_and_grad(refine, argnums=(0, 1, 2), has_aux=True)
        return alone, pose, placed, *differentiate(params, pose, placed)

    root_depth = pipe["gt3d"][:, 0, 2]
    alone, pose, placed, (loss, refined), (params, pose_grad, placed_grad) = run_quickly(
        run, pipe["x2d"], pipe["cam"], root_depth
    )
    close(alone, pipe["y_plain"])
    close(pose, pipe["y_avg"])
    close(placed, pipe["xyz"])
    close(refined, pipe["refined"])
    np.testing.assert_allclose(loss, pipe["refine_loss"], rtol=1e-5)
    grads = [
        (pose_grad, "refine_in"),
        (placed_grad, "refine_xyz"),
        (params["weights_layer"]["kernel"].T, "post_refine.3.weight"),
    ]
    for got, name in grads:
        want = data[f"grad/{name}"]
        np.testing.assert_allclose(got, want, rtol=0, atol=1e-4 * np.abs(want).max())
    close(symmetry_penalty(refined, skeleton=H36M_17), pipe["sym_penalty"])
    close(mpjpe_l1(pose, target), pipe["loss_gt"])
    close(refinement_loss(refined, target, skeleton=H36M_17), pipe["loss_refine"])


def test_network_and_refinement_are_paired_by_the_published_names(golden, tmp_path, pair):
    for file, copy in (
        ("state_dict.pth", "model_module_gcn_7_eva_post_4939.pth"),
        ("state_dict_refine.pth", "model_post_refine_7_eva_post_4939.pth"),
        ("state_dict_refine.pth", "model_post_refine_3_eva_post_5073.pth"),
    ):
        (tmp_path / copy).write_bytes((golden / "peers/modulated_cpn" / file).read_bytes())
    assert load_checkpoint(tmp_path).fingerprint == pair.fingerprint
    network, refinement = to_published(pair)
    assert {"non_local.theta.weight", "gconv_output.M"} < set(network)
    assert refinement["post_refine.3.weight"].shape == (34, 1024)


def test_the_graph_cannot_be_told_from_the_tensors(golden):
    path = golden / "peers/modulated_gt/state_dict.pth"
    models = "--model weight_unsharing or --model modulated_gcn$"
    with pytest.raises(CheckpointError, match=models):
        load_torch_checkpoint(path)
    other = load_torch_checkpoint(path, name="weight_unsharing")
    assert other.config.model.sharing == "modulated"
    message = "not a published Modulated GCN for detected keypoints: it has no non_local.theta.weig"
    with pytest.raises(CheckpointError, match=message):
        load_torch_checkpoint(path, name="modulated_gcn_detected")


@pytest.mark.slow
@pytest.mark.parametrize("case_name", ["modulated_gt", "modulated_cpn"])
def test_fresh_tensors_are_drawn_as_torch_draws_them(golden, case_name):
    def bound(name, shape):
        if name.endswith("gconv.W") or name == "gconv_output.W":
            _, chan, out = shape
            return 1.414 * math.sqrt(6 / ((2 + chan) * out))
        if name.endswith(".M"):
            return 1.414 * math.sqrt(6 / sum(shape))
        if name.startswith("non_local"):
            return (192 if ".W." in name else 384) ** -0.5
        return shape[0] ** -0.5

    detected = case_name == "modulated_cpn"
    model = ModulatedGCNDetectedConfig() if detected else ModulatedGCNConfig()
    skeleton = H36M_17 if detected else H36M_16
    path = golden / f"peers/init_stats/{case_name}.json"
    check_fresh(path, Config(model=model), skeleton, bounds=bound)


@pytest.fixture
def released():
    """The folder of the released weights, which may not be shared."""
    folder = os.environ.get("RSNET_MODULATED_GCN")
    if folder is None:
        pytest.skip("RSNET_MODULATED_GCN is not set")
    return Path(folder)


def test_released_network_gives_the_outputs_of_the_official_code(released):
    """Older container, the dictionary of a training script, tensors of a GPU."""
    path = released / "ckpt_Modulated_GCN_128_38.25_30.06.pth.tar"
    checkpoint, data = (
        load_torch_checkpoint(path, name="modulated_gcn"),
        np.load(released / "golden_gt.npz"),
    )
    assert checkpoint.config.model == ModulatedGCNConfig()
    pose = run_quickly(lambda x: checkpoint.model.apply(checkpoint.variables, x), data["x"])
    close(pose, data["y_eval"])
    centered = recenter(pose)
    for got, name in (
        (mpjpe(centered, data["target"]), "mpjpe_mm"),
        (pa_mpjpe(centered, data["target"]), "pa_mpjpe_mm"),
        (mpjpe(zero_root(pose), data["target"]), "mpjpe_zeroed_root_mm"),
    ):
        np.testing.assert_allclose(1000 * np.mean(got), np.mean(data[name]), atol=1e-2)


def test_released_refinement_gives_the_outputs_of_the_official_code(released, pair, golden):
    path = released / "model_post_refine_7_eva_post_4939.pth"
    checkpoint = load_torch_checkpoint(golden / "peers/modulated_cpn/state_dict.pth", path)
    data = np.load(released / "golden_refine.npz")
    got = checkpoint.refinement.apply(checkpoint.refine_variables, data["x3d"], data["xyz"])
    close(got, data["y_eval"])
