"""The calibration of Human3.6M: four cameras, positioned anew for each of the seven subjects."""

import functools
import json
from importlib import resources

from rsnet_jax.pose.camera import Camera


@functools.cache
def h36m_cameras() -> dict[str, tuple[Camera, ...]]:
    """The four cameras of each subject, in the order of the data files."""
    stored = json.loads(resources.files("rsnet_jax.data.h36m").joinpath("cameras.json").read_text())
    return {
        subject: tuple(
            Camera(
                name=lens["id"],
                orientation=tuple(place["orientation"]),
                translation=tuple(value / 1000 for value in place["translation"]),
                focal_length=tuple(lens["focal_length"]),
                center=tuple(lens["center"]),
                radial_distortion=tuple(lens["radial_distortion"]),
                tangential_distortion=tuple(lens["tangential_distortion"]),
                width=lens["res_w"],
                height=lens["res_h"],
            )
            for lens, place in zip(stored["intrinsics"], places, strict=True)
        )
        for subject, places in stored["extrinsics"].items()
    }
