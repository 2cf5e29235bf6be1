"""Layouts: which joints 2D detectors and data sets deliver, and in which order.

A `Layout` names joints. Unlike a `Skeleton` it need not be a tree with its root first, so that it
describes what any tool delivers; `rsnet_jax.pose.conversions` goes from one layout to another.
"""

import dataclasses
import functools
import re
from collections.abc import Mapping
from types import MappingProxyType

from rsnet_jax.pose.skeleton import H36M_16, H36M_17, Skeleton


@dataclasses.dataclass(frozen=True)
class Layout:
    """The joints of one kind of pose, in order.

    Joints named `left_...` and `right_...` are mirror images of each other, and so are those of
    `other_pairs`; the rest lie in the plane of symmetry.
    """

    name: str
    title: str  # for messages: "the 17 joints of COCO"
    joints: tuple[str, ...]
    bones: tuple[tuple[str, str], ...]  # pairs of joints to draw a line between
    other_pairs: tuple[tuple[str, str], ...] = ()

    @functools.cached_property
    def index(self) -> Mapping[str, int]:
        """Name of a joint -> its place."""
        return MappingProxyType({joint: place for place, joint in enumerate(self.joints)})

    @functools.cached_property
    def mirror(self) -> tuple[int, ...]:
        """The joint order in which `keypoints[..., layout.mirror, :]` has left, right exchanged."""
        partner = dict(self.other_pairs) | {right: left for left, right in self.other_pairs}
        for joint in self.joints:
            side, _, rest = joint.partition("_")
            if side in ("left", "right"):
                partner[joint] = f"{'right' if side == 'left' else 'left'}_{rest}"
        return tuple(self.index[partner.get(joint, joint)] for joint in self.joints)

    @property
    def bone_indices(self) -> tuple[tuple[int, int], ...]:
        """`bones` as places of joints."""
        return tuple((self.index[start], self.index[end]) for start, end in self.bones)


def _both_sides(*names: str) -> tuple[str, ...]:
    """left_X, right_X for each name X: the order of COCO and its relatives."""
    return tuple(f"{side}_{name}" for name in names for side in ("left", "right"))


def _bones(*chains: str) -> tuple[tuple[str, str], ...]:
    """The bones of chains of joints; "neck _shoulder" is one bone on either side."""
    bones: dict[tuple[str, str], None] = {}  # an ordered set
    for chain in chains:
        for side in ("left_", "right_"):
            joints = [re.sub("^_", side, name) for name in chain.split()]
            bones |= dict.fromkeys(zip(joints, joints[1:], strict=False))
    return tuple(bones)


_ARM, _LEG = "_shoulder _elbow _wrist", "_hip _knee _ankle"
_FEET = ("_ankle _heel", "_ankle _big_toe _small_toe")
_ACROSS = (("left_shoulder", "right_shoulder"), ("left_hip", "right_hip"))
_COCO = ("nose", *_both_sides("eye", "ear", "shoulder", "elbow", "wrist", "hip", "knee", "ankle"))
_COCO_BONES = (*_bones("nose _eye _ear", _ARM, _LEG, "_shoulder _hip"), *_ACROSS)

COCO_17 = Layout("coco17", "the 17 joints of COCO", _COCO, _COCO_BONES)

_ARMS_FROM_RIGHT = tuple(
    f"{side}_{name}" for side in ("right", "left") for name in ("shoulder", "elbow", "wrist")
)
_LEGS_FROM_RIGHT = tuple(
    f"{side}_{name}" for side in ("right", "left") for name in ("hip", "knee", "ankle")
)
_FACE_FROM_RIGHT = ("right_eye", "left_eye", "right_ear", "left_ear")
_FEET_BY_SIDE = tuple(
    f"{side}_{name}" for side in ("left", "right") for name in ("big_toe", "small_toe", "heel")
)

COCO_18 = Layout(
    "coco18",
    "the 18 joints of OpenPose (COCO and a neck)",
    ("nose", "neck", *_ARMS_FROM_RIGHT, *_LEGS_FROM_RIGHT, *_FACE_FROM_RIGHT),
    _bones("neck nose _eye _ear", f"neck {_ARM}", f"neck {_LEG}"),
)

BODY_25 = Layout(
    "body25",
    "the 25 joints of OpenPose (BODY_25)",
    (
        *("nose", "neck", *_ARMS_FROM_RIGHT),
        *("mid_hip", *_LEGS_FROM_RIGHT, *_FACE_FROM_RIGHT, *_FEET_BY_SIDE),
    ),
    _bones("neck nose _eye _ear", f"neck {_ARM}", "neck mid_hip", f"mid_hip {_LEG}", *_FEET),
)

BODY_25B = Layout(
    "body25b",
    "the 25 joints of OpenPose's experimental BODY_25B",
    (*_COCO, "upper_neck", "head_top", *_FEET_BY_SIDE),
    _bones("nose _eye _ear", "head_top upper_neck", f"upper_neck {_ARM}", _LEG, *_FEET),
)

HALPE_26 = Layout(
    "halpe26",
    "the 26 joints of Halpe (COCO with head, neck, hip and feet)",
    (*_COCO, "head", "neck", "hip", *_both_sides("big_toe", "small_toe", "heel")),
    _bones("nose _eye _ear", "head neck hip", f"neck {_ARM}", f"hip {_LEG}", *_FEET),
)

MPII_16 = Layout(
    "mpii16",
    "the 16 joints of MPII",
    (
        *("right_ankle", "right_knee", "right_hip", "left_hip", "left_knee", "left_ankle"),
        *("pelvis", "thorax", "upper_neck", "head_top"),
        *("right_wrist", "right_elbow", "right_shoulder"),
        *("left_shoulder", "left_elbow", "left_wrist"),
    ),
    _bones("pelvis thorax upper_neck head_top", f"thorax {_ARM}", f"pelvis {_LEG}"),
)

MEDIAPIPE_33 = Layout(
    "mediapipe33",
    "the 33 landmarks of MediaPipe",
    (
        *("nose", "left_eye_inner", "left_eye", "left_eye_outer"),
        *("right_eye_inner", "right_eye", "right_eye_outer"),
        *_both_sides("ear", "mouth", "shoulder", "elbow", "wrist", "pinky", "index", "thumb"),
        *_both_sides("hip", "knee", "ankle", "heel", "foot_index"),
    ),
    (
        *_bones("nose _eye_inner _eye _eye_outer _ear", "left_mouth right_mouth"),
        *_bones(_ARM, "_wrist _thumb", "_wrist _index _pinky _wrist"),
        *_bones("_shoulder _hip", _LEG, "_ankle _heel _foot_index"),
        *_ACROSS,
    ),
)


def _face_pairs() -> tuple[tuple[str, str], ...]:
    """Mirror images among the 68 points of a face, numbered as in the data set 300-W."""
    numbers = [(place, 16 - place) for place in range(8)]  # jaw
    numbers += [(17 + place, 26 - place) for place in range(5)]  # brows
    numbers += [(31, 35), (32, 34)]  # nostrils
    numbers += [(36, 45), (37, 44), (38, 43), (39, 42), (40, 47), (41, 46)]  # eyes
    numbers += [(48, 54), (49, 53), (50, 52), (59, 55), (58, 56)]  # outer lips
    numbers += [(60, 64), (61, 63), (67, 65)]  # inner lips
    return tuple((f"face_{one}", f"face_{other}") for one, other in numbers)


_FACE_AND_HANDS = (
    *(f"face_{point}" for point in range(68)),
    *(f"{side}_hand_{point}" for side in ("left", "right") for point in range(21)),
)
_HAND_BONES = _bones(  # from the root of the hand along each finger
    *(
        "_hand_0 " + " ".join(f"_hand_{4 * finger + joint}" for joint in (1, 2, 3, 4))
        for finger in range(5)
    ),
    "_wrist _hand_0",
)

WHOLEBODY_133 = Layout(
    "wholebody133",
    "the 133 joints of COCO-WholeBody",
    (*_COCO, *_FEET_BY_SIDE, *_FACE_AND_HANDS),
    (*_COCO_BONES, *_bones(*_FEET), *_HAND_BONES),
    _face_pairs(),
)

HALPE_136 = Layout(
    "halpe136",
    "the 136 joints of Halpe (its 26, face and hands)",
    (*HALPE_26.joints, *_FACE_AND_HANDS),
    (*HALPE_26.bones, *_HAND_BONES),
    _face_pairs(),
)


def layout_of(skeleton: Skeleton, *, name: str, title: str) -> Layout:
    """The layout with the joints of a skeleton."""
    bones = tuple((skeleton.joints[p], skeleton.joints[j]) for j, p in skeleton.bones)
    return Layout(name, title, skeleton.joints, bones)


H36M16 = layout_of(H36M_16, name="h36m16", title="the 16 joints of Human3.6M (no neck/nose)")
H36M17 = layout_of(H36M_17, name="h36m17", title="the 17 joints of Human3.6M")

LAYOUTS: Mapping[str, Layout] = MappingProxyType(
    {
        layout.name: layout
        for layout in (
            *(H36M16, H36M17, COCO_17, COCO_18, BODY_25, BODY_25B),
            *(HALPE_26, MPII_16, MEDIAPIPE_33, WHOLEBODY_133, HALPE_136),
        )
    }
)
"""The layouts that `--layout` names."""


def layouts_with(count: int) -> tuple[Layout, ...]:
    """The layouts with so many joints."""
    return tuple(layout for layout in LAYOUTS.values() if len(layout.joints) == count)
