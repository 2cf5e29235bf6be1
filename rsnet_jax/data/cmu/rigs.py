"""The families of skeletons that are read: which nodes of each are the joints of a pose.

A joint is a node of the skeleton, or the mean of several; what a skeleton lacks is a template's
point (`rsnet_jax.data.cmu.templates`).
"""

import dataclasses
from collections.abc import Mapping

SIDES = ("left", "right")

PARTS = (
    *("hips", "thighs", "shanks", "feet", "trunk", "head"),
    *("shoulders", "upper_arms", "forearms", "hands"),
)
"""The parts of a body that have a length of their own."""


@dataclasses.dataclass(frozen=True)
class Rig:
    """The names of the nodes of a family of skeletons."""

    name: str
    sides: tuple[str, str]  # what stands for {side} in the names of left and right nodes
    joints: Mapping[str, tuple[str, ...]]
    """Joint -> the nodes whose mean it is. "side_" and "{side}" stand for left and right."""
    parts: Mapping[str, str]
    """Node -> the part of the body between it and its children; others are as their parents."""
    head_top: tuple[float, float, float] | None = None
    """Meters to the left, up and forward from the node `head` to the top of the head; None: the
    skeleton has it, as the joint `head`."""
    foot_axes: tuple[tuple[float, float, float], ...] | None = None
    """Left, up and forward in the axes of a foot that stands; None: they are those of its bones."""
    head: str = "head"
    shank: str = "{side}tibia"  # the node at the knee
    foot: str = "{side}foot"  # the node at the ankle
    toes: tuple[str, str] | None = ("{side}toes", "{side}toes_end")
    """The nodes at the ball of the foot and at the tip of the toes; None: the skeleton has toes as
    joints."""

    def nodes_of(self) -> dict[str, tuple[str, ...]]:
        """Joint -> nodes, for both sides."""
        return {
            joint.replace("side_", f"{side}_"): tuple(node.format(side=word) for node in nodes)
            for side, word in zip(SIDES, self.sides, strict=True)
            for joint, nodes in self.joints.items()
        }

    def parts_of(self) -> dict[str, str]:
        """Node -> part, for both sides."""
        return {
            node.format(side=word): part for word in self.sides for node, part in self.parts.items()
        }


ASF = Rig(
    name="Acclaim (ASF)",
    sides=("l", "r"),
    joints={
        "pelvis": ("lfemur", "rfemur"),
        "hip": ("lfemur", "rfemur"),
        "side_hip": ("{side}femur",),
        "side_knee": ("{side}femur_end",),
        "side_ankle": ("{side}tibia_end",),
        "spine": ("lowerback_end",),
        "thorax": ("thorax_end",),
        "neck": ("thorax_end",),
        "neck_nose": ("upperneck_end",),
        "head": ("head_end",),
        "side_shoulder": ("{side}clavicle_end",),
        "side_elbow": ("{side}humerus_end",),
        "side_wrist": ("{side}wrist_end",),
    },
    parts={
        "root": "trunk",
        "{side}hipjoint": "hips",
        "{side}femur": "thighs",
        "{side}tibia": "shanks",
        "{side}foot": "feet",
        "lowerback": "trunk",
        "lowerneck": "head",
        "{side}clavicle": "shoulders",
        "{side}humerus": "upper_arms",
        "{side}radius": "forearms",
        "{side}hand": "hands",
    },
)

CMU_BVH = Rig(
    name="CMU in BVH (Hips, LeftUpLeg, ...)",
    sides=("Left", "Right"),
    joints={
        "pelvis": ("LeftUpLeg", "RightUpLeg"),
        "hip": ("LeftUpLeg", "RightUpLeg"),
        "side_hip": ("{side}UpLeg",),
        "side_knee": ("{side}Leg",),
        "side_ankle": ("{side}Foot",),
        "spine": ("Spine",),
        "thorax": ("Neck",),
        "neck": ("Neck",),
        "neck_nose": ("Head",),
        "head": ("EndSiteHead",),
        "side_shoulder": ("{side}Arm",),
        "side_elbow": ("{side}ForeArm",),
        "side_wrist": ("{side}Hand",),
    },
    parts={
        "Hips": "trunk",
        "LHipJoint": "hips",
        "RHipJoint": "hips",
        "{side}UpLeg": "thighs",
        "{side}Leg": "shanks",
        "{side}Foot": "feet",
        "Neck": "head",
        "{side}Shoulder": "shoulders",
        "{side}Arm": "upper_arms",
        "{side}ForeArm": "forearms",
        "{side}Hand": "hands",
    },
    head="Head",
    shank="{side}Leg",
    foot="{side}Foot",
    toes=("{side}ToeBase", "EndSite{side}ToeBase"),
)

CHARACTER_CREATOR = Rig(
    name="Character Creator (CC_Base_Hip, ...)",
    sides=("CC_Base_L", "CC_Base_R"),
    joints={
        "pelvis": ("CC_Base_L_Thigh", "CC_Base_R_Thigh"),
        "hip": ("CC_Base_L_Thigh", "CC_Base_R_Thigh"),
        "side_hip": ("{side}_Thigh",),
        "side_knee": ("{side}_Calf",),
        "side_ankle": ("{side}_Foot",),
        "side_big_toe": ("{side}_BigToe1",),
        "side_small_toe": ("{side}_PinkyToe1",),
        "spine": ("CC_Base_Spine01", "CC_Base_Spine02"),
        "thorax": ("CC_Base_NeckTwist01",),
        "neck": ("CC_Base_NeckTwist01",),
        "neck_nose": ("CC_Base_Head", "template head"),
        "side_eye": ("{side}_Eye",),
        "side_shoulder": ("{side}_Upperarm",),
        "side_elbow": ("{side}_Forearm",),
        "side_wrist": ("{side}_Hand",),
    },
    parts={
        "CC_Base_Hip": "trunk",
        "CC_Base_Pelvis": "hips",
        "{side}_Thigh": "thighs",
        "{side}_Calf": "shanks",
        "{side}_Foot": "feet",
        "CC_Base_NeckTwist01": "head",
        "{side}_Clavicle": "shoulders",
        "{side}_Upperarm": "upper_arms",
        "{side}_Forearm": "forearms",
        "{side}_Hand": "hands",
    },
    head_top=(0.0, 0.195, 0.0),
    foot_axes=((-1.0, 0.0, 0.0), (0.0, -0.293, 0.956), (0.0, 0.956, 0.293)),
    head="CC_Base_Head",
    shank="{side}_Calf",
    foot="{side}_Foot",
    toes=None,
)

RIGS = (ASF, CMU_BVH, CHARACTER_CREATOR)
