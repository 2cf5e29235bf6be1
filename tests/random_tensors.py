"""Random weights of a network of any size, under the published names."""

import numpy as np


def random_tensors(rng, *, width, hops, blocks, joints):
    """Published tensors of an RS-Net; none is zero or one, which would hide a missed transpose."""

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
