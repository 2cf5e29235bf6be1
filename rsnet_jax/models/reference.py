"""RS-Net and its refinement in plain jnp: the equations of the paper, without tricks.

The functions take the variables of the modules beside this file (`RSNet`, `PostRefine`) and compute
the same: nothing fused, no Flax, no hand-written gradient, no dropout. They are there to be read,
to hold the fast network to account, and to be exported to formats that know plain operations only.
They compute in the type of the variables and keypoints they are given, float64 included.

Arrays are (batch, joint, chan), so that X W is written as in the paper. The letters are those of
the table in `graph_conv.py`; D and N are the two parts of the regular splitting.
"""

from collections.abc import Mapping
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from rsnet_jax.pose.skeleton import Skeleton

Params = Mapping[str, Any]  # of one layer, by name
EPSILON = 1e-5  # of both normalizations
MOMENTUM = 0.1  # the share of a new batch in the running statistics


def rsnet(
    variables: Params,
    keypoints: Float[Array, "batch joint channel"],
    *,
    skeleton: Skeleton,
    double_gelu: bool = True,
) -> Float[Array, "batch joint out"]:
    """Lifts 2D joints to 3D with the running statistics, as `RSNet` does in evaluation.

    Where the network has `joint_errors`, the logarithm of the expected error is the fourth number
    of each joint. Keypoints are not brought into the frame of the person.
    """
    pose, _ = forward(variables, keypoints, skeleton=skeleton, double_gelu=double_gelu, train=False)
    return pose


def forward(
    variables: Params,
    keypoints: Float[Array, "batch joint channel"],
    *,
    skeleton: Skeleton,
    double_gelu: bool,
    train: bool,
) -> tuple[Float[Array, "batch joint out"], dict[str, Any]]:
    """Returns the pose and the batch statistics, which `train` takes from the batch and updates."""
    params, batch_stats = variables["params"], variables["batch_stats"]
    x = gelu_block(params["input"], keypoints, keypoints, skeleton, double_gelu=double_gelu)
    x0 = x  # the initial residual
    for i in range(sum(name.startswith("norm_") for name in params)):
        y = norm_block(params[f"norm_{i}"], x, x0, skeleton)
        x = x + gelu_block(params[f"gelu_{i}"], y, x0, skeleton, double_gelu=double_gelu)
    x, stats = non_local(params["non_local"], batch_stats["non_local"], x, train=train)
    pose = graph_conv(params["output"], x, x0, skeleton, merge="sum")
    return pose, {"non_local": stats}


def norm_block(
    params: Params,
    x: Float[Array, "batch joint chan"],
    x0: Float[Array, "batch joint chan"],
    skeleton: Skeleton,
) -> Float[Array, "batch joint out"]:
    """Block I: LayerNorm(GC(x, x0))."""
    return layer_norm(params["norm"], graph_conv(params["conv"], x, x0, skeleton, merge="concat"))


def gelu_block(
    params: Params,
    x: Float[Array, "batch joint chan"],
    x0: Float[Array, "batch joint chan"],
    skeleton: Skeleton,
    *,
    double_gelu: bool,
) -> Float[Array, "batch joint out"]:
    """Block II: gelu(gelu(GC(x, x0))), or gelu(GC(x, x0)) without `double_gelu`."""
    y = gelu(graph_conv(params["conv"], x, x0, skeleton, merge="concat"))
    return gelu(y) if double_gelu else y


def graph_conv(
    params: Params,
    x: Float[Array, "batch joint chan"],
    x0: Float[Array, "batch joint chan0"],
    skeleton: Skeleton,
    *,
    merge: Literal["concat", "sum"],
) -> Float[Array, "batch joint out"]:
    """Graph convolution with regular splitting, hop by hop.

    O_k = D_k (M_k * (X W_k,self)) + N_k (M_k * (X W_k,neighbors)) + X0 V_k
    """
    identity = jnp.eye(skeleton.num_joints, dtype=x.dtype)
    outputs = []
    for k in range(len(params["weight"])):
        S = jnp.asarray(np.linalg.matrix_power(skeleton.adjacency, k), x.dtype)  # joint joint
        Q = params["adjacency_modulation"][k]  # joint joint
        M = params["weight_modulation"][k][None]  # 1 joint out
        W_self, W_neighbors = params["weight"][k, :, 0].T, params["weight"][k, :, 1].T  # chan out
        V = params["weight_skip"][k].T  # chan0 out
        modulated = ((S + Q) + (S + Q).T) / 2
        D, N = modulated * identity, modulated * (1 - identity)
        outputs.append(D @ (M * (x @ W_self)) + N @ (M * (x @ W_neighbors)) + x0 @ V)
    if merge == "sum":
        return sum(outputs) + params["bias_sum"][None, None]
    return jnp.concatenate(outputs, axis=-1) + params["bias_concat"][None, None]


def gelu(x: Float[Array, "..."]) -> Float[Array, "..."]:
    """The exact GELU, x * (1 + erf(x / sqrt(2))) / 2."""
    return x * (1 + jax.lax.erf(x / 2**0.5)) / 2


def layer_norm(
    params: Params, x: Float[Array, "batch joint chan"]
) -> Float[Array, "batch joint chan"]:
    """(x - mean) / sqrt(var + epsilon) * scale + bias, over the channels of each joint."""
    mean, var = x.mean(axis=-1, keepdims=True), x.var(axis=-1, keepdims=True)
    normalized = (x - mean) / jnp.sqrt(var + EPSILON)
    return normalized * params["scale"][None, None] + params["bias"][None, None]


def non_local(
    params: Params, batch_stats: Params, x: Float[Array, "batch joint chan"], *, train: bool
) -> tuple[Float[Array, "batch joint chan"], dict[str, Any]]:
    """x + BatchNorm(softmax(theta(x) phi(x)^T) g(x) W + b), and the batch statistics."""
    theta, phi, g = (linear(params[name], x) for name in ("theta", "phi", "g"))
    attention = jax.nn.softmax(theta @ phi.swapaxes(1, 2), axis=-1)  # batch joint joint
    y = linear(params["out"], attention @ g)
    y, stats = batch_norm(params["norm"], batch_stats["norm"], y, train=train)
    return x + y, {"norm": stats}


def linear(params: Params, x: Float[Array, "batch joint chan"]) -> Float[Array, "batch joint out"]:
    """X W + b; the kernel is stored as (out, chan)."""
    return x @ params["kernel"].T + params["bias"][None, None]


def batch_norm(
    params: Params, batch_stats: Params, x: Float[Array, "batch joint chan"], *, train: bool
) -> tuple[Float[Array, "batch joint chan"], dict[str, Any]]:
    """(x - mean) / sqrt(var + epsilon) * scale + bias, and the running statistics.

    In training, mean and biased variance are over batch and joints, and the running statistics
    become 0.9 * old + 0.1 * new, with the unbiased variance, as torch keeps them.
    """
    mean, var, stats = batch_stats["mean"], batch_stats["var"], dict(batch_stats)
    if train:
        mean, var = x.mean(axis=(0, 1)), x.var(axis=(0, 1))
        samples = x.shape[0] * x.shape[1]
        unbiased = var * samples / (samples - 1)
        stats["mean"] = (1 - MOMENTUM) * batch_stats["mean"] + MOMENTUM * mean
        stats["var"] = (1 - MOMENTUM) * batch_stats["var"] + MOMENTUM * unbiased
        stats["count"] = batch_stats["count"] + 1
    normalized = (x - mean[None, None]) / jnp.sqrt(var + EPSILON)[None, None]
    return normalized * params["scale"][None, None] + params["bias"][None, None], stats


def post_refine(
    variables: Params,
    pose: Float[Array, "batch joint 3"],
    backprojected: Float[Array, "batch joint 3"],
) -> Float[Array, "batch joint 3"]:
    """The refined pose, as `PostRefine` gives it in evaluation: s * P.xy + (1 - s) * R.xy, P.z."""
    hidden, weights = variables["params"]["hidden_layer"], variables["params"]["weights_layer"]
    batch, joints, _ = pose.shape
    x = jnp.concatenate([pose, backprojected], axis=-1).reshape(batch, joints * 6)
    x = jax.nn.relu(x @ hidden["kernel"] + hidden["bias"][None])
    x = x @ weights["kernel"] + weights["bias"][None]
    share = jax.nn.sigmoid(x).reshape(batch, joints, 2)
    xy = share * pose[..., :2] + (1 - share) * backprojected[..., :2]
    return jnp.concatenate([xy, pose[..., 2:]], axis=-1)
