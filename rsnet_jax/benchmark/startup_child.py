"""The script that `startup.py` runs in a fresh interpreter; prints seconds per phase as JSON."""

import json
import sys
import time


def start_ours(model: str, width: int, batch: int, precision: str) -> dict[str, float]:
    """Times import, first prediction and first training step, with zero weights made beforehand."""
    from rsnet_jax import RSNet  # noqa: F401

    times = {"import": time.time() - BEGAN}
    import jax
    import numpy as np

    from rsnet_jax.benchmark.steps import batch_shapes, predict_step, train_step
    from rsnet_jax.config import Config, settings_class
    from rsnet_jax.models.build import init_variables

    network = settings_class(model)(width=width)  # pyright: ignore
    config = Config(model=network, precision=precision)  # pyright: ignore

    def zeros(shapes):
        return jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), shapes)

    variables = zeros(jax.eval_shape(lambda: init_variables(config)))
    rows, key = zeros(batch_shapes(batch)), jax.random.key(0)
    step, init = train_step(config)
    state = zeros(jax.eval_shape(init, variables))
    with jax.default_matmul_precision(precision):
        start = time.perf_counter()
        jax.block_until_ready(jax.jit(predict_step(config))(variables, rows.keypoints_2d))
        times["prediction"] = time.perf_counter() - start
        start = time.perf_counter()
        jax.block_until_ready(jax.jit(step)(state, rows, key))
        times["training"] = time.perf_counter() - start
    return times


def start_torch(width: int, batch: int, precision: str, *, compiled: bool) -> dict[str, float]:
    """Times the same phases for the PyTorch twin, with fresh weights."""
    import torch

    times = {"import": time.time() - BEGAN}
    from rsnet_jax.benchmark import torch_twin
    from rsnet_jax.benchmark.rival_torch import prepare_torch

    prepare_torch(precision)  # pyright: ignore[reportArgumentType]
    device = "cuda" if torch.cuda.is_available() else "cpu"
    plain = torch_twin.RSNet(width).to(device)
    network = torch.compile(plain, dynamic=False) if compiled else plain
    keypoints, joints = torch.zeros(batch, 16, 2), torch.zeros(batch, 16, 3)
    start = time.perf_counter()
    plain.eval()
    with torch.inference_mode():
        network(keypoints.to(device)).cpu()
    times["prediction"] = time.perf_counter() - start
    step = torch_twin.make_train_step(network)  # pyright: ignore[reportArgumentType]
    start = time.perf_counter()
    step(keypoints.to(device), joints.to(device)).cpu()
    times["training"] = time.perf_counter() - start
    return times


if __name__ == "__main__":
    name, model, width, batch, precision, began = sys.argv[1:]
    BEGAN = float(began)
    sizes = int(width), int(batch), precision
    if name == "ours":
        found = start_ours(model, *sizes)
    else:
        found = start_torch(*sizes, compiled=name == "torch.compile")
    print(json.dumps(found))
