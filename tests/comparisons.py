"""Tiny networks with fresh weights, and a small Human3.6M folder to compare them on."""

import h36m_files
import jax
import jax.numpy as jnp
import numpy as np

from rsnet_jax.checkpoints.checkpoint import Checkpoint
from rsnet_jax.config import Config, RSNetConfig, SemGCNConfig
from rsnet_jax.models.build import init_refinement_variables, init_variables
from rsnet_jax.pose.skeleton import H36M_16

RSNET = RSNetConfig(width=4, blocks=1, hops=2, refine_hidden=8)
SEMGCN = SemGCNConfig(width=6, blocks=1)


def tiny(model=RSNET, *, seed=0, skeleton=H36M_16, refine=False, step=7) -> Checkpoint:
    """A network that no training has touched, as a run of that seed would save it."""
    config = Config(model=model, seed=seed)
    refinement = None
    if refine:  # the published initialization has zeros, which would hide that it runs
        fresh = init_refinement_variables(config, skeleton)
        refinement = jax.tree.map(lambda leaf: leaf + jnp.float32(0.01), fresh)
    return Checkpoint(
        init_variables(config, skeleton),
        refinement,
        config,
        skeleton,
        source=f"{model.name}-{seed}-{skeleton.num_joints}",
        step=step,
    )


def write_h36m(folder):
    """100 views of five clips, with neck/nose; 2D points called hr."""
    folder.mkdir(exist_ok=True)
    return h36m_files.write(folder, h36m_files.make(neck=True))


def save(path, **members):
    """Writes an .npz; what is no array is stored as an object."""
    arrays = {}
    for name, value in members.items():
        if isinstance(value, dict):
            arrays[name] = np.empty((), dtype=object)
            arrays[name][()] = value
        else:
            arrays[name] = value
    np.savez(path, allow_pickle=True, **arrays)
    return path
