"""RS-Net stated once more, from the paper's formulas, on published tensors, in float64 loops.

Independent of the code under test: hop by hop, nothing fused, no Flax.
"""

import numpy as np
from scipy.special import erf, softmax


def gelu(x):
    return x * (1 + erf(x / np.sqrt(2))) / 2


def normalized_adjacency(parents):
    graph = np.zeros((len(parents), len(parents)))
    for child, parent in enumerate(parents):
        if parent >= 0:
            graph[child, parent] = graph[parent, child] = 1
    degree = np.diag(graph.sum(axis=1))
    inverse_root = np.linalg.inv(np.sqrt(degree))
    return inverse_root @ graph @ inverse_root


def graph_conv(tensors, key, x, x0, parents, merge="concat"):
    adjacency = normalized_adjacency(parents)
    identity = np.eye(len(parents))
    power, hops = identity, []
    for hop in range(len(tensors[f"{key}.W2"])):
        modulated = power + tensors[f"{key}.adj2_{hop}"]
        modulated = (modulated + modulated.T) / 2
        own, others = modulated * identity, modulated * (1 - identity)
        gain = tensors[f"{key}.M"][hop]
        out = own @ (gain * (x @ tensors[f"{key}.W"][2 * hop]))
        out = out + others @ (gain * (x @ tensors[f"{key}.W"][2 * hop + 1]))
        hops.append(out + x0 @ tensors[f"{key}.W2"][hop])
        power = power @ adjacency
    if merge == "sum":
        return sum(hops) + tensors[f"{key}.bias_2"]
    return np.concatenate(hops, axis=-1) + tensors[f"{key}.bias"]


def layer_norm(tensors, key, x):
    mean, variance = x.mean(axis=-1, keepdims=True), x.var(axis=-1, keepdims=True)
    return (x - mean) / np.sqrt(variance + 1e-5) * tensors[f"{key}.weight"] + tensors[f"{key}.bias"]


def non_local(tensors, x):
    theta, phi, g = (
        x @ tensors[f"non_local.{name}.weight"][:, :, 0, 0].T + tensors[f"non_local.{name}.bias"]
        for name in ("theta", "phi", "g")
    )
    attention = softmax(theta @ phi.transpose(0, 2, 1), axis=-1)
    y = attention @ g @ tensors["non_local.W.0.weight"][:, :, 0, 0].T
    y = y + tensors["non_local.W.0.bias"]
    norm = {key: tensors[f"non_local.W.1.{key}"] for key in ("weight", "bias")}
    mean, variance = (tensors[f"non_local.W.1.running_{key}"] for key in ("mean", "var"))
    return x + (y - mean) / np.sqrt(variance + 1e-5) * norm["weight"] + norm["bias"]


def rsnet(tensors, keypoints, parents, *, double_gelu=True):
    """(batch, joint, 2) to (batch, joint, 3), in evaluation mode."""
    tensors = {key: np.asarray(array, np.float64) for key, array in tensors.items()}

    def gelu_block(key, x, x0):
        x = gelu(graph_conv(tensors, f"{key}.gconv", x, x0, parents))
        return gelu(x) if double_gelu else x

    x = np.asarray(keypoints, np.float64)
    x = x0 = gelu_block("gconv_input", x, x)
    blocks = sum(key.endswith(".ln.weight") for key in tensors)
    for i in range(blocks):
        first, second = f"gconv_layers.gconv{2 * i + 1}", f"gconv_layers.gconv{2 * i + 2}"
        y = graph_conv(tensors, f"{first}.gconv", x, x0, parents)
        x = x + gelu_block(second, layer_norm(tensors, f"{first}.ln", y), x0)
    x = non_local(tensors, x)
    return graph_conv(tensors, "gconv_output", x, x0, parents, merge="sum")


def random_tensors(rng, *, width, hops, blocks, joints):
    """Published tensors of a network of any size; none is zero or one."""

    def draw(*shape):
        return (0.5 * rng.normal(size=shape)).astype(np.float32)

    def conv(key, chan, out):
        tensors = {f"{key}.W": draw(2 * hops, chan, out), f"{key}.W2": draw(hops, chan, out)}
        tensors |= {f"{key}.M": draw(hops, joints, out), f"{key}.bias": draw(hops * out)}
        tensors |= {f"{key}.adj2_{hop}": draw(joints, joints) for hop in range(hops)}
        return tensors | {f"{key}.bias_2": draw(out)}

    chan, inner = hops * width, hops * width // 2
    tensors = conv("gconv_input.gconv", 2, width)
    for i in range(1, 2 * blocks + 1):
        tensors |= conv(f"gconv_layers.gconv{i}.gconv", chan, width)
        if i % 2:
            tensors[f"gconv_layers.gconv{i}.ln.weight"] = draw(chan)
            tensors[f"gconv_layers.gconv{i}.ln.bias"] = draw(chan)
    tensors |= conv("gconv_output", chan, 3)
    for name in ("theta", "phi", "g"):
        tensors[f"non_local.{name}.weight"] = draw(inner, chan, 1, 1)
        tensors[f"non_local.{name}.bias"] = draw(inner)
    tensors["non_local.W.0.weight"] = draw(chan, inner, 1, 1)
    for key in ("W.0.bias", "W.1.weight", "W.1.bias", "W.1.running_mean"):
        tensors[f"non_local.{key}"] = draw(chan)
    tensors["non_local.W.1.running_var"] = np.abs(draw(chan)) + np.float32(0.5)
    tensors["non_local.W.1.num_batches_tracked"] = np.asarray(7, np.int64)
    return tensors
