"""The video or the pictures that are drawn behind keypoints."""

import dataclasses
from pathlib import PurePath

from rsnet_jax.errors import DataError
from rsnet_jax.export.poses import Poses
from rsnet_jax.export.settings import OutputSettings
from rsnet_jax.files.footage import Footage, open_footage

SAME_ASPECT = 0.02
"""Relative difference up to which two pictures have the same ratio of width to height."""


@dataclasses.dataclass(frozen=True)
class Behind:
    """A video, and how its frames are matched with those of poses."""

    footage: Footage
    same_frames: bool  # whether the keypoints were found in it, so that frames have one number


def with_video(poses: Poses, settings: OutputSettings) -> tuple[Poses, Behind | None]:
    """The table with the size of the image, if the video tells it, and the video, if there is one.

    Raises:
        DataError: the video does not go with the keypoints.
    """
    path = settings.video
    if path is None:
        return poses, None
    footage, header = open_footage(path), poses.header
    behind = Behind(footage, same_frames=PurePath(header.source).name == path.name)
    if header.image_size is None:
        header = header.model_copy(update={"image_size": footage.size})
        return dataclasses.replace(poses, header=header), behind
    (width, height), (image_width, image_height) = footage.size, header.image_size
    if abs(width * image_height / (height * image_width) - 1) > SAME_ASPECT:
        raise DataError(
            f"{path}: its frames are {width}x{height}, but the keypoints are of images of "
            f"{image_width}x{image_height}; a video of the same pictures was wanted"
        )
    return poses, behind
