"""Conversion of keypoints from one layout to another.

Every joint of the result is a weighted mean of joints that the source has, its weights adding up
to 1. The usual limb joints are the same point in all layouts. For the joints of the trunk and the
head tools differ, and there are three rules:

    own          the points that the source itself has: head, neck and hip of Halpe; head_top,
                 upper_neck, thorax and pelvis of MPII; spine = middle of pelvis and thorax. A
                 layout without a head gives none.
    eyes         head = middle of the eyes; neck/nose = nose; thorax = middle of the shoulders;
                 spine = middle of pelvis and thorax. The rule of mmpose.
    nose_third   thorax = middle of the shoulders moved a third of the way to the nose; head = the
                 nose mirrored at the middle of the eyes; neck/nose = nose moved a quarter of the
                 way to the middle of the shoulders; spine = middle of shoulders and hips. The rule
                 of the demos that follow VideoPose3D.

In all rules the pelvis is the source's own or the middle of the hips, a neck the source's own or
the middle of the shoulders, and a big toe that of the source or the tip of MediaPipe's foot. A
joint that cannot be made so is missing in the result.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np
from jaxtyping import Bool, Float

from rsnet_jax.errors import DataError
from rsnet_jax.pose.layouts import Layout

Weights = Mapping[str, float]
"""Source joint -> its weight; the weights add up to 1."""


def _middle(one: str, other: str) -> Weights:
    return {one: 0.5, other: 0.5}


_SHOULDERS, _HIPS, _EYES = (
    _middle(f"left_{joint}", f"right_{joint}") for joint in ("shoulder", "hip", "eye")
)
_CENTERS: Mapping[str, Sequence[Weights]] = {
    "pelvis": ({"mid_hip": 1}, {"hip": 1}, _HIPS),
    "mid_hip": ({"pelvis": 1}, {"hip": 1}, _HIPS),
    "hip": ({"pelvis": 1}, {"mid_hip": 1}, _HIPS),
    "neck": (_SHOULDERS,),
    "left_big_toe": ({"left_foot_index": 1},),
    "right_big_toe": ({"right_foot_index": 1},),
}
"""Joint -> ways to make it, the first one that the source allows counts. All rules share these."""

RULES: Mapping[str, Mapping[str, Sequence[Weights]]] = MappingProxyType(
    {
        "own": {
            "head": ({"head_top": 1},),
            "head_top": ({"head": 1},),
            "neck_nose": ({"upper_neck": 1}, {"nose": 1}),
            "upper_neck": ({"neck_nose": 1},),
            "thorax": ({"neck": 1}, _SHOULDERS),
            "neck": ({"thorax": 1}, _SHOULDERS),
            "spine": (_middle("pelvis", "thorax"),),
        },
        "eyes": {
            "head": (_EYES,),
            "neck_nose": ({"nose": 1},),
            "thorax": (_SHOULDERS,),
            "spine": (_middle("pelvis", "thorax"),),
        },
        "nose_third": {
            "head": ({"left_eye": 1, "right_eye": 1, "nose": -1},),
            "neck_nose": ({"nose": 3 / 4, "left_shoulder": 1 / 8, "right_shoulder": 1 / 8},),
            "thorax": ({"nose": 1 / 3, "left_shoulder": 1 / 3, "right_shoulder": 1 / 3},),
            "spine": (
                {joint: 1 / 4 for joint in (*_SHOULDERS, *_HIPS)},
                _middle("pelvis", "thorax"),
            ),
        },
    }
)
"""The rules: joint -> ways to make it from others, unless the source has it."""


@dataclasses.dataclass(frozen=True)
class Conversion:
    """A conversion from one layout to another: `target = weights @ source`."""

    source: Layout
    target: Layout
    weights: Float[np.ndarray, "target source"]
    """A row is all zero for a joint that the source does not give."""

    @property
    def missing(self) -> tuple[str, ...]:
        """The joints that cannot be made from the source."""
        rows = zip(self.target.joints, self.weights, strict=True)
        return tuple(joint for joint, weights in rows if not weights.any())

    def __call__(
        self, keypoints: Float[np.ndarray, "*batch source axis"]
    ) -> Float[np.ndarray, "*batch target axis"]:
        """Converts points, 2D or 3D; NaN where a joint, or one that it is made of, is missing."""
        converted = self.weights @ np.nan_to_num(keypoints)
        present = np.asarray(np.isfinite(keypoints).all(axis=-1))
        converted[~self._carried(present)] = np.nan
        return converted

    def confidence(
        self, confidence: Float[np.ndarray, "*batch source"]
    ) -> Float[np.ndarray, "*batch target"]:
        """The confidence of each joint: the lowest of those that it is made of; 0 for none."""
        lowest = np.zeros((*confidence.shape[:-1], len(self.weights)), confidence.dtype)
        for joint, weights in enumerate(self.weights):
            if weights.any():
                lowest[..., joint] = confidence[..., weights != 0].min(axis=-1)
        return lowest

    def _carried(self, present: Bool[np.ndarray, "*batch source"]) -> np.ndarray:
        carried = np.zeros((*present.shape[:-1], len(self.weights)), bool)
        for joint, weights in enumerate(self.weights):
            if weights.any():
                carried[..., joint] = present[..., weights != 0].all(axis=-1)
        return carried


def conversion(source: Layout, target: Layout, *, rule: str | None = None) -> Conversion:
    """The conversion between two layouts.

    Args:
        source: the layout of the points at hand.
        target: the layout wanted.
        rule: one of `RULES`; default: see `default_rule`.

    Raises:
        DataError: there is no such rule.
    """
    rule = default_rule(source) if rule is None else rule
    if rule not in RULES:
        raise DataError(f"no conversion rule {rule!r}; there are {', '.join(RULES)}")
    weights = np.zeros((len(target.joints), len(source.joints)))
    for row, joint in zip(weights, target.joints, strict=True):
        for name, weight in (_weights_of(joint, source, rule) or {}).items():
            row[source.index[name]] = weight
    return Conversion(source, target, weights)


def default_rule(source: Layout) -> str:
    """The rule for a layout: "own" if it has a head and a neck or thorax, otherwise "nose_third".

    Of the rules for detectors without a head, "nose_third" costs the least (docs/keypoints.md).
    """
    has = source.index
    whole = ("head" in has or "head_top" in has) and ("neck" in has or "thorax" in has)
    return "own" if whole else "nose_third"


def _weights_of(joint: str, source: Layout, rule: str) -> dict[str, float] | None:
    """The weights of source joints that make a joint; None if the source does not allow it."""
    own: tuple[Weights, ...] = ({joint: 1},) if joint in source.index else ()
    made = (*RULES[rule].get(joint, ()), *_CENTERS.get(joint, ()))
    # A rule for detectors holds for sources with a face also where they have a head of their own;
    # poses of data sets have none, and keep their joints.
    ways = (*made, *own) if rule != "own" and "left_eye" in source.index else (*own, *made)
    for way in ways:
        parts = {name: _part(name, joint, source, rule) for name in way}
        if all(part is not None for part in parts.values()):
            total: dict[str, float] = {}
            for name, weight in way.items():
                for origin, share in (parts[name] or {}).items():
                    total[origin] = total.get(origin, 0.0) + weight * share
            return total
    return None


def _part(name: str, joint: str, source: Layout, rule: str) -> dict[str, float] | None:
    """The weights of an ingredient: a source joint, or one made in turn (pelvis, thorax)."""
    if name in source.index:
        return {name: 1.0}
    return _weights_of(name, source, rule) if joint == "spine" else None
