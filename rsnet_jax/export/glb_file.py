"""Poses as .glb: balls and rods that move, for viewers of 3D models and for Blender."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from rsnet_jax.export.bones import filled
from rsnet_jax.export.gltf import Buffer
from rsnet_jax.export.poses import Poses
from rsnet_jax.export.settings import OutputSettings
from rsnet_jax.export.shapes import Shape, ball, rod
from rsnet_jax.export.timeline import Timeline, Track, names_in, timeline_of

SIDES = ("middle", "left", "right")
COLORS = {"middle": (0.35, 0.35, 0.35), "left": (0.84, 0.15, 0.16), "right": (0.12, 0.47, 0.71)}
"""Red, green, blue of the sides of the body, in sRGB: those of the pictures in this project."""
JOINT_RADIUS, BONE_RADIUS = 0.03, 0.016  # meters


def save_glb(path: Path, poses: Poses, settings: OutputSettings) -> None:
    """Writes the motion of all people: meters, axes of `Scene`, which are those of glTF.

    Each joint is a ball that moves, each bone a rod that hangs on the joint at its start. Between
    frames, viewers go straight from place to place. What is missing is hidden (it has no size); it
    waits where it was.

    Raises:
        ConfigError: the frames per second are not known, or the file would be too large.
        DataError: nobody is there.
    """
    timeline = timeline_of(poses, settings)
    models = _Models(timeline)
    for track in timeline.tracks:
        models.add(track, poses.bones)
    models.buffer.write(path, models.document(), progress=settings.share_of(timeline.frames))


class _Models:
    """The nodes, meshes and movements of a file."""

    def __init__(self, timeline: Timeline):
        self.timeline = timeline
        self.buffer = Buffer()
        self.nodes: list[dict[str, Any]] = []
        self.people: list[int] = []
        self.channels: list[dict[str, Any]] = []
        self.samplers: list[dict[str, Any]] = []
        balls, rods = (self._meshes(shape) for shape in (ball(JOINT_RADIUS), rod(BONE_RADIUS)))
        self.meshes = [*balls, *rods]  # by shape, then by side
        if timeline.frames > 1:
            times = np.arange(timeline.frames) / timeline.rate
            last = float(np.float32(times[-1]))
            self.times = self.buffer.add(len(times), 1, lambda: times, min=[0.0], max=[last])

    def document(self) -> dict[str, Any]:
        """The JSON without the description of the numbers."""
        document: dict[str, Any] = {
            "asset": {"version": "2.0", "generator": "rsnet_jax"},
            "extras": {
                "units": "meters",
                "axes": "x right, y up, z towards the camera; the floor is y = 0",
                "frames_per_second": self.timeline.rate,
            },
            "scene": 0,
            "scenes": [{"nodes": self.people}],
            "nodes": self.nodes,
            "meshes": self.meshes,
            "materials": [
                {
                    "name": side,
                    "pbrMetallicRoughness": {
                        "baseColorFactor": [*(_linear(part) for part in COLORS[side]), 1.0],
                        "metallicFactor": 0.0,
                        "roughnessFactor": 0.6,
                    },
                }
                for side in SIDES
            ],
        }
        if self.channels:
            motion = {"name": "motion", "channels": self.channels, "samplers": self.samplers}
            document["animations"] = [motion]
        return document

    def add(self, track: Track, bones: tuple[tuple[int, int], ...]) -> None:
        """Adds a person: a node for each joint, and in it one for each bone that begins there."""
        names = names_in(self.timeline, track)
        seen = np.isfinite(track.points[..., 0])
        first = int(seen.any(axis=1).argmax())  # of the frame that files show at rest
        start = len(self.nodes) + 1
        joints = range(start, start + len(names))
        self.people.append(self._node({"name": f"person{track.person}", "children": [*joints]}))
        for joint, name in enumerate(names):
            places = functools.partial(_held, track.points[:, joint], seen[:, joint])
            node = self._node(
                {"name": name, "mesh": SIDES.index(_side(self.timeline.joints[joint]))}
            )
            self._move(node, "translation", 3, places, first)
            if not seen[:, joint].all():
                sizes = functools.partial(_sizes, seen[:, joint])
                self._move(node, "scale", 3, sizes, first, steps=True)
        for bone in bones:
            self._add_bone(bone, track, first_joint=start, first=first)

    def _add_bone(
        self, bone: tuple[int, int], track: Track, *, first_joint: int, first: int
    ) -> None:
        one, other = bone
        name = f"{names_in(self.timeline, track)[one]} - {self.timeline.joints[other]}"
        sides = {_side(self.timeline.joints[end]) for end in bone} - {"middle"}
        side = sides.pop() if len(sides) == 1 else "middle"
        node = self._node({"name": name, "mesh": len(SIDES) + SIDES.index(side)})
        self.nodes[first_joint + one].setdefault("children", []).append(node)
        vectors = functools.partial(_bone_vectors, track, one, other)
        hidden = not np.isfinite(track.points[:, bone, 0]).all()
        self._move(node, "rotation", 4, lambda: _rotations(vectors()), first)
        self._move(node, "scale", 3, lambda: _lengths(vectors()), first, steps=hidden)

    def _node(self, node: dict[str, Any]) -> int:
        self.nodes.append(node)
        return len(self.nodes) - 1

    def _move(
        self,
        node: int,
        path: str,
        width: int,
        make: Callable[[], np.ndarray],
        first: int,
        *,
        steps: bool = False,
    ) -> None:
        """Moves a node; `steps` is for what appears and vanishes."""
        self.nodes[node][path] = np.float32(make()[first]).tolist()
        if self.timeline.frames == 1:
            return
        output = self.buffer.add(self.timeline.frames, width, make)
        kind = "STEP" if steps else "LINEAR"
        self.samplers.append({"input": self.times, "output": output, "interpolation": kind})
        target = {"node": node, "path": path}
        self.channels.append({"sampler": len(self.samplers) - 1, "target": target})

    def _meshes(self, shape: Shape) -> list[dict[str, Any]]:
        """A mesh of this shape for each side of the body."""
        limits = {
            "min": shape.points.min(axis=0).tolist(),
            "max": shape.points.max(axis=0).tolist(),
        }
        points = self.buffer.add(len(shape.points), 3, lambda: shape.points, **limits)
        normals = self.buffer.add(len(shape.normals), 3, lambda: shape.normals)
        corners = shape.triangles.reshape(-1)
        indices = self.buffer.add(len(corners), 1, lambda: corners, short=True)
        attributes = {"POSITION": points, "NORMAL": normals}
        return [
            {"primitives": [{"attributes": attributes, "indices": indices, "material": material}]}
            for material in range(len(SIDES))
        ]


def _side(joint: str) -> str:
    side = joint.partition("_")[0]
    return side if side in SIDES else "middle"


def _linear(part: float) -> float:
    """A part of an sRGB color on the linear scale that glTF has (IEC 61966-2-1)."""
    return part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4


def _held(points: Float[np.ndarray, "frame 3"], seen: np.ndarray) -> Float[np.ndarray, "frame 3"]:
    """The points, and those that are missing where they last were, or first will be."""
    return filled(points, seen, points[seen][0] if seen.any() else np.zeros(3, points.dtype))


def _sizes(seen: np.ndarray) -> Float[np.ndarray, "frame 3"]:
    return np.repeat(seen[:, None], 3, axis=1).astype(np.float32)


def _bone_vectors(track: Track, start: int, end: int) -> Float[np.ndarray, "frame 3"]:
    """From one end of a bone to the other; NaN where one is missing."""
    return track.points[:, end].astype(np.float64) - track.points[:, start]


def _rotations(vectors: Float[np.ndarray, "frame 3"]) -> Float[np.ndarray, "frame 4"]:
    """The quaternions (x, y, z, w) that turn y towards vectors; the last, where there is none.

    Of the two that are one rotation, that closer to the frame before, so that none turns around.
    """
    length = np.linalg.norm(vectors, axis=-1)
    seen = np.isfinite(length) & (length > 0)
    x, y, z = (vectors / np.where(seen, length, 1)[:, None]).T
    turns = np.stack([z, np.zeros_like(x), -x, 1 + y], axis=1)  # y cross direction, 1 + cosine
    turns[seen & (y < -1 + 1e-12)] = (1, 0, 0, 0)
    turns = filled(turns, seen, np.array([0.0, 0.0, 0.0, 1.0]))
    turns /= np.linalg.norm(turns, axis=-1, keepdims=True)
    opposed = np.einsum("fi,fi->f", turns[1:], turns[:-1]) < 0
    turns[1:] *= np.where(np.cumsum(opposed) % 2, -1, 1)[:, None]
    return turns


def _lengths(vectors: Float[np.ndarray, "frame 3"]) -> Float[np.ndarray, "frame 3"]:
    """The sizes of a rod of length 1 that make it as long as the vectors; 0 where it is hidden."""
    length = np.linalg.norm(vectors, axis=-1)
    seen = np.isfinite(length) & (length > 0)
    return np.where(seen[:, None], np.stack([seen, np.nan_to_num(length), seen], axis=1), 0)
