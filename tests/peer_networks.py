"""Networks beside golden files of the official modules: what both make of the same weights."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
import pytest

from rsnet_jax.checkpoints import key_tables
from rsnet_jax.checkpoints.checkpoint import Checkpoint
from rsnet_jax.checkpoints.published import load_torch_checkpoint, tables_of, to_published
from rsnet_jax.models.build import init_variables
from rsnet_jax.training.losses import mse

QUICKLY = {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}
"""Options of the compiler that halve its time; the programs run once."""
BUFFERS = ("running_mean", "running_var", "num_batches_tracked")


class Case(NamedTuple):
    """Weights, the golden numbers, and ours."""

    checkpoint: Checkpoint
    data: Any
    about: dict[str, Any]
    got: dict[str, Any]


def load_case(folder: Path, **settings: Any) -> Case:
    """Reads a folder of golden files and runs our network once in evaluation, once in training."""
    settings = {"dropout": 0} | settings  # the golden files have none
    checkpoint = load_torch_checkpoint(folder / "state_dict.pth", **settings)
    data = np.load(folder / "golden.npz")
    model, stats = checkpoint.model, checkpoint.variables["batch_stats"]

    def run(params, x, target):
        def objective(params, x):
            variables = {"params": params, "batch_stats": stats}
            pose, updated = model.apply(variables, x, train=True, mutable=["batch_stats"])
            return mse(pose, target), (pose, updated["batch_stats"])

        variables = {"params": params, "batch_stats": stats}
        pose, state = model.apply(variables, x, capture_intermediates=True)
        passed = jax.value_and_grad(objective, argnums=(0, 1), has_aux=True)(params, x)
        return pose, state["intermediates"], passed

    made = run_quickly(run, checkpoint.variables["params"], data["x"], data["train_target"])
    pose, inner, ((loss, (train_pose, after)), (grads, grad_x)) = jax.tree.map(np.asarray, made)
    got = dict(pose=pose, inner=inner, loss=loss, train_pose=train_pose, after=after)
    about = json.loads((folder / "meta.json").read_text())
    return Case(checkpoint, data, about, got | dict(grads=grads, grad_x=grad_x))


def run_quickly(function: Callable[..., Any], *args: Any) -> Any:
    """The function's result; compiled with little optimization."""
    return jax.jit(function).lower(*args).compile(compiler_options=QUICKLY)(*args)


def close(got, want, *, name=""):
    """Within 1e-5 of the largest number, as the golden files suggest for float32."""
    tolerance = 1e-5 * (1 + np.abs(want).max())
    np.testing.assert_allclose(got, want, rtol=0, atol=tolerance, err_msg=name)


def output_of(case: Case, *path: str):
    """The output of the module of ours at a path, in evaluation."""
    tree = case.got["inner"]
    for name in path:
        tree = tree[name]
    return tree["__call__"][0]


def residual_activations(case: Case) -> dict[str, np.ndarray]:
    """The outputs of the modules of a `ResidualGraphNetwork`, by published name."""
    model = case.checkpoint.config.model
    non_local = getattr(model, "non_local", False)
    x = output_of(case, "input")
    acts = {"gconv_input.0.gconv": output_of(case, "input", "conv")}
    if non_local:
        acts["gconv_input.0"], x = x, output_of(case, "non_local_0")
    acts["gconv_input"] = x
    for i in range(model.blocks):
        x = x + output_of(case, f"second_{i}")
        acts[f"gconv_layers.{2 * i if non_local else i}"] = x
        if non_local:
            x = acts[f"gconv_layers.{2 * i + 1}"] = output_of(case, f"non_local_{i + 1}")
    acts["gconv_layers"] = x
    return acts


def check_outputs(case: Case, activations: dict[str, np.ndarray]) -> None:
    """Output and every activation of evaluation."""
    data = case.data
    close(case.got["pose"], data["y_eval"])
    close(case.got["pose"], data["y_eval_f64"])
    wanted = {key.removeprefix("act/") for key in data.files if key.startswith("act/")}
    assert len(wanted) >= 4 and wanted <= set(activations)
    for name in wanted:
        close(activations[name], data[f"act/{name}"], name=name)


def check_training(case: Case) -> None:
    """Output, loss, gradients and running statistics of one pass in training mode."""
    data, got = case.data, case.got
    close(got["train_pose"], data["train_y"])
    np.testing.assert_allclose(got["loss"], data["train_loss"], rtol=1e-5)
    checkpoint = case.checkpoint
    table, _ = tables_of(checkpoint.config.model, checkpoint.skeleton, checkpoint.skeleton)
    grads = key_tables.to_published(
        {"params": got["grads"]}, [entry for entry in table if entry.path[0] == "params"]
    )
    wanted = {k.removeprefix("grad/") for k in data.files if k.startswith("grad/")} & set(grads)
    assert len(wanted) >= 3
    for name, grad in [("x", got["grad_x"]), *((name, grads[name]) for name in wanted)]:
        want = data[f"grad/{name}"]
        tolerance = 1e-4 * np.abs(want).max()
        np.testing.assert_allclose(grad, want, rtol=0, atol=tolerance, err_msg=name)
    for kind in ("params_without_gradient", "params_with_zero_gradient"):
        assert all((grads[name] == 0).all() for name in case.about[kind])
    after = key_tables.to_published(
        {"batch_stats": got["after"]}, [entry for entry in table if entry.path[0] != "params"]
    )
    names = [key for key in data.files if key.startswith("bn_after/")]
    assert len(names) == 4
    for name in names:
        close(after[name.removeprefix("bn_after/")], data[name], name=name)


def check_conversion(case: Case) -> None:
    """Every tensor of the file has a place, and its name and shape when written back."""
    parameters = sum(leaf.size for leaf in jax.tree.leaves(case.checkpoint.variables["params"]))
    assert parameters == case.about["num_params"]
    network, refinement = to_published(case.checkpoint)
    shapes = {name: list(array.shape) for name, array in network.items()}
    assert (shapes, refinement) == (case.about["tensors"], {})


def check_fresh(path: Path, config: Any, skeleton: Any, *, bounds: Any) -> None:
    """Fresh tensors have the distributions of the official ones.

    Args:
        path: statistics of fresh official tensors at the published width.
        config: of that network.
        skeleton: its joints.
        bounds: `bounds(name, shape)` by the formula: the bound of a uniform distribution, or None
            for a normal one with fan-in `shape[1]`.
    """
    reference = json.loads(path.read_text())
    variables = init_variables(config, skeleton)
    assert (
        sum(leaf.size for leaf in jax.tree.leaves(variables["params"])) == (reference["parameters"])
    )
    table, _ = tables_of(config.model, skeleton, skeleton)
    network = key_tables.to_published(variables, table)
    assert set(reference["stats"]) == {name for name in network if not name.endswith(BUFFERS)}
    for name, (shape, low, high, _, std) in reference["stats"].items():
        got = network[name]
        assert list(got.shape) == shape, name
        if low == high:
            np.testing.assert_array_equal(got, np.float32(low), err_msg=name)
            continue
        bound = bounds(name, got.shape)
        if bound is None:
            fan_in = got.size if "concat" in name else got.shape[1]
            wanted, tolerance = math.sqrt(2 / fan_in), 4 / math.sqrt(2 * got.size)
            assert std == pytest.approx(wanted, rel=tolerance), name
        else:
            bound *= 1 + 1e-6
            wanted, tolerance = bound / math.sqrt(3), 5 * 0.45 / math.sqrt(got.size)
            assert -bound <= low < high <= bound, f"the formula is not that of {name}"
            assert max(-low, high) > 0.5 * bound or got.size < 20, f"{name}: the formula is loose"
            assert np.abs(got).max() <= bound, name
        assert got.std() == pytest.approx(wanted, rel=tolerance), name
