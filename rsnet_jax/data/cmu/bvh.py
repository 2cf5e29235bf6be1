"""Reads BVH motion capture with pybvh."""

import tempfile
import warnings
from pathlib import Path

import numpy as np

from rsnet_jax.data.cmu.motion import Motion
from rsnet_jax.errors import DataError, quote
from rsnet_jax.files.libraries import optional_library


def read_bvh(content: bytes, *, source: str) -> Motion:
    """Reads the content of a .bvh; lengths are left in the unit of the file, which it does not say.

    End sites are named after their parent, "EndSite" and its name. A constant offset of the root is
    left out.

    Raises:
        ConfigError: pybvh is not installed.
        DataError: it is not a .bvh, is cut short, or has values that are not finite.
    """
    pybvh = optional_library("pybvh", extra="data", use=f"{source}: reading BVH files")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "take.bvh"
        path.write_bytes(content)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")  # an empty table of values is a warning of numpy
                bvh = pybvh.read_bvh_file(path, world_up="+y")
                root, local = bvh.to_rotmat()
                topology = bvh.fk_topology
        except Exception as error:  # a damaged file can make any step of the reading fail
            text = str(error).replace(f" in file {path}", "").replace(f" in {path}", "")
            raise DataError(f"{source}: {quote(text.replace(str(path), 'the file'))}") from None
    for what, values in (("offsets", topology.offsets), ("root", root), ("angles", local)):
        if not np.isfinite(values).all():
            raise DataError(f"{source}: {_first_not_finite(what, values, bvh.joint_names)}")
    joints = np.asarray(topology.joint_idx)
    turns = local[:, np.maximum(joints, 0)]
    turns[:, joints < 0] = np.eye(3)  # end sites
    return Motion(
        source=source,
        nodes=tuple(node.name for node in bvh.nodes),
        parents=tuple(int(parent) for parent in topology.parent_idx),
        offsets=np.asarray(topology.offsets, np.float64),
        root=np.asarray(root, np.float64),
        rotations=np.asarray(turns, np.float64),
        rate=1 / bvh.frame_time,
    )


def _first_not_finite(what: str, values: np.ndarray, joints: list[str]) -> str:
    first = np.argwhere(~np.isfinite(values))[0]
    if what == "offsets":
        return f"OFFSET number {first[0] + 1} is not finite"
    name = joints[0] if what == "root" else joints[first[1]]
    return f"frame {first[0] + 1}: a value of joint {quote(name, limit=60)} is not finite"
