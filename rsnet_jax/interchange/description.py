"""What an exported network says about itself: for programs as JSON, for people in plain words."""

import json
from collections.abc import Mapping
from typing import Annotated, Any

import pydantic

from rsnet_jax.checkpoints.about import FORMAT, Origin
from rsnet_jax.errors import CheckpointError
from rsnet_jax.files.json_text import parse_json
from rsnet_jax.files.plain_data import read_fields
from rsnet_jax.pose.layouts import LAYOUTS
from rsnet_jax.pose.skeleton import Skeleton

METADATA_KEY = "rsnet_jax"
"""The name under which the JSON text stands in the metadata."""
INPUT, POSES, ERRORS = "keypoints", "poses", "errors"
"""The names of the input and the outputs."""

Side = Annotated[int, pydantic.Field(ge=1, le=999_999)]
Pixels = Annotated[tuple[Side, Side], pydantic.Field(strict=False)]


class Exported(Origin):
    """The description of an exported network."""

    format: int
    flip_test: bool
    """Whether the network lifts the mirror image, too, and takes the mean."""
    pixels: Pixels | None
    """Width and height of the image whose pixels the keypoints are; None: normalized."""

    @property
    def predicts_errors(self) -> bool:
        return getattr(self.config.model, "joint_errors", False)

    @property
    def row_shape(self) -> tuple[int, int]:
        """The shape of the input without the batch: keypoints, numbers per keypoint."""
        _, keypoint_skeleton = self.skeletons
        return keypoint_skeleton.num_joints, 3 if self.config.model.takes_confidence else 2


def read_exported(text: str, *, name: str) -> Exported:
    """The description of an exported network, from the JSON in its metadata.

    Raises:
        CheckpointError: it is no such description, or of a later version.
    """
    values = parse_json(text, name=name, error=CheckpointError)
    found = values.get("format") if isinstance(values, dict) else None
    if isinstance(found, int) and found > FORMAT:
        raise CheckpointError(
            f"{name}: written by a newer rsnet_jax (format {found}, this one reads up to {FORMAT})"
        )
    return read_fields(Exported, values, name=name, error=CheckpointError)


def metadata_of(
    values: Mapping[str, Any], *, license_text: str, version: str, **facts: str
) -> dict[str, str]:
    """The metadata of an exported network.

    Args:
        values: the fields of `Exported`, plain.
        license_text: under which the weights may be used.
        version: that of this package.
        facts: more to say, such as the version of a format.
    """
    text = json.dumps(values)
    about = read_exported(text, name="the description to be written")
    skeleton, keypoint_skeleton = about.skeletons
    model = about.config.model
    words = {
        "title": f"{model.title}, {model.sizes}",
        "task": "lifting of the 2D keypoints of a person to 3D joints, frame by frame",
        **_words(about, skeleton, keypoint_skeleton),
        "flip_test": "inside: each pose is the mean of its own and its mirror image's lifting"
        if about.flip_test
        else "none",
        "source": about.source,
        "license": license_text,
        "written_by": f"rsnet_jax {version}",
        **facts,
    }
    return words | {METADATA_KEY: text}


def _words(about: Exported, skeleton: Skeleton, keypoint_skeleton: Skeleton) -> dict[str, str]:
    """Shapes, units, axes and joints of the input and the outputs."""
    keypoints, channels = about.row_shape
    where = "normalized image coordinates: x = 2 u / w - 1, y = 2 v / w - h / w of the pixel (u, v)"
    where += " in an image of w x h"
    if about.pixels is not None:
        where = "pixels of an image of {} x {}, from its upper left corner".format(*about.pixels)
    third = ", and a confidence; x, y and confidence are 0 where a keypoint is missing"
    words = {
        f"input.{INPUT}": f"(batch, {keypoints}, {channels}) float32: x and y, {where}"
        + (third if channels == 3 else ""),
        f"output.{POSES}": f"(batch, {skeleton.num_joints}, 3) float32: x, y and z in meters, "
        "relative to joint 0",
    }
    if about.predicts_errors:
        words[f"output.{ERRORS}"] = (
            f"(batch, {skeleton.num_joints}) float32: the expected error of each joint in meters"
        )
    camera = "the camera"
    if about.config.model.in_person_frame:
        camera = "a camera that looks straight at the person"  # see pose.sight
    return words | {
        "units": "meters",
        "axes": f"those of {camera}: x right, y down, z forward",
        "root_joint": skeleton.joints[0],
        "keypoint_layout": layout_name(keypoint_skeleton),
        "keypoint_names": ", ".join(keypoint_skeleton.joints),
        "layout": layout_name(skeleton),
        "joints": ", ".join(skeleton.joints),
    }


def layout_name(skeleton: Skeleton) -> str:
    """The name of the layout with these joints, or of the skeleton if there is none."""
    names = (layout.name for layout in LAYOUTS.values() if layout.joints == skeleton.joints)
    return next(names, skeleton.name)
