"""Motion capture files of a made-up person, for tests; lengths in meters.

The person stands upright with stretched arms, x to the left, y up, z forward: hips at (+-0.1, 0.9),
knees at 0.5, ankles at 0.1, shoulders at (+-0.2, 1.4), elbows at +-0.5, wrists at +-0.75.
"""

ROOT = (0, 0.9, 0)
BONES = {  # bone: parent, vector from its start to its end
    "hipjoint": ("root", (0.1, 0, 0)),
    "femur": ("hipjoint", (0, -0.4, 0)),
    "tibia": ("femur", (0, -0.4, 0)),
    "foot": ("tibia", (0, -0.08, 0.12)),
    "toes": ("foot", (0, 0, 0.06)),
    "lowerback": ("root", (0, 0.2, 0)),
    "upperback": ("lowerback", (0, 0.15, 0)),
    "thorax": ("upperback", (0, 0.15, 0)),
    "lowerneck": ("thorax", (0, 0.08, 0)),
    "upperneck": ("lowerneck", (0, 0.07, 0)),
    "head": ("upperneck", (0, 0.15, 0)),
    "clavicle": ("thorax", (0.2, 0, 0)),
    "humerus": ("clavicle", (0.3, 0, 0)),
    "radius": ("humerus", (0.2, 0, 0)),
    "wrist": ("radius", (0.05, 0, 0)),
}
MIDDLE = ("root", "lowerback", "upperback", "thorax", "lowerneck", "upperneck", "head")
DOF = {"femur": "rx ry rz", "tibia": "rx", "humerus": "rx ry rz", "head": "rx ry rz"}
"""Bones that turn."""


def _both_sides():
    """Yields name, parent and vector of each bone, left and right."""
    for bone, (parent, (x, y, z)) in BONES.items():
        if bone in MIDDLE:
            yield bone, parent, (x, y, z)
            continue
        for side, sign in (("l", 1), ("r", -1)):
            yield side + bone, parent if parent in MIDDLE else side + parent, (sign * x, y, z)


def asf(*, unit=0.0254 / 0.45):
    """The text of an .asf, with lengths in units of so many meters."""
    lines = [":version 1.10", ":name made-up", ":units", "  mass 1.0"]
    lines += [f"  length {0.0254 / unit!r}", "  angle deg", ":documentation", "  a person"]
    lines += [":root", "  order TX TY TZ RX RY RZ", "  axis XYZ", "  position 0 0 0"]
    lines += ["  orientation 0 0 0", ":bonedata"]
    children: dict[str, list[str]] = {}
    for number, (name, parent, vector) in enumerate(_both_sides(), start=1):
        length = sum(part**2 for part in vector) ** 0.5
        direction = " ".join(repr(part / length) for part in vector)
        lines += [
            "  begin",
            f"     id {number}",
            f"     name {name}",
            f"     direction {direction}",
        ]
        lines += [f"     length {length / unit!r}", "     axis 0 0 0  XYZ"]
        if dof := DOF.get(name if name in MIDDLE else name[1:]):
            lines += [f"    dof {dof}", "    limits (-160.0 20.0)"]
            lines += ["           (-70.0 70.0)"] * (len(dof.split()) - 1)
        lines += ["  end"]
        children.setdefault(parent, []).append(name)
    lines += [":hierarchy", "  begin"]
    lines += [f"    {parent} {' '.join(names)}" for parent, names in children.items()]
    return "\n".join([*lines, "  end", ""])


def amc(frames, *, unit=0.0254 / 0.45):
    """The text of an .amc.

    Args:
        frames: for each frame {bone: angles in degrees}, and under "root" six numbers: its place in
            meters, and angles. Bones that are left out do not turn.
        unit: that of the skeleton, meters.
    """
    lines = ["#!OML:ASF", ":FULLY-SPECIFIED", ":DEGREES"]
    for number, frame in enumerate(frames, start=1):
        *place, rx, ry, rz = frame.get("root", (*ROOT, 0, 0, 0))
        lines += [
            str(number),
            "root " + " ".join(map(repr, [p / unit for p in place] + [rx, ry, rz])),
        ]
        for name, _, _ in _both_sides():
            if dof := DOF.get(name if name in MIDDLE else name[1:]):
                angles = frame.get(name, (0,) * len(dof.split()))
                lines.append(" ".join([name, *map(str, angles)]))
    return "\n".join([*lines, ""])


BVH_NAMES = {
    "hipjoint": "{s}HipJoint",
    "femur": "{side}UpLeg",
    "tibia": "{side}Leg",
    "foot": "{side}Foot",
    "toes": "{side}ToeBase",
    "lowerback": "LowerBack",
    "upperback": "Spine",
    "thorax": "Spine1",
    "lowerneck": "Neck",
    "upperneck": "Neck1",
    "head": "Head",
    "clavicle": "{side}Shoulder",
    "humerus": "{side}Arm",
    "radius": "{side}ForeArm",
    "wrist": "{side}Hand",
}
"""Bone -> the name of the joint at its start in BVH files of CMU."""


def bvh(frames, *, unit=0.01, rate=120, without=()):
    """The text of a .bvh with the names of CMU's, rotations Z Y X.

    Args:
        frames: as of `amc`, but all angles are z y x, and every bone may turn.
        unit: meters.
        rate: frames per second.
        without: bones (of both sides) that are left out, with all that hangs on them.
    """
    tree: dict[str, list[tuple[str, tuple[float, ...]]]] = {}
    for name, parent, vector in _both_sides():
        if (name if name in MIDDLE else name[1:]) not in without:
            tree.setdefault(parent, []).append((name, vector))
    lines, order = ["HIERARCHY"], []

    def joint(name, vector, end, depth):
        order.append(name)
        bone = name if name in MIDDLE else name[1:]
        side = {"l": "Left", "r": "Right"}.get(name[0], "")
        title = BVH_NAMES.get(bone, "Hips").format(s=name[0].upper(), side=side)
        pad, inner = "  " * depth, "  " * (depth + 1)
        offset = " ".join(repr(part / unit) for part in vector)
        kind = "ROOT" if depth == 0 else "JOINT"
        lines.extend([f"{pad}{kind} {title}", pad + "{", f"{inner}OFFSET {offset}"])
        channels = "Zrotation Yrotation Xrotation"
        place = "6 Xposition Yposition Zposition" if depth == 0 else "3"
        lines.append(f"{inner}CHANNELS {place} {channels}")
        for child, its_end in tree.get(name, []):
            joint(child, end, its_end, depth + 1)
        if name not in tree:
            tip = " ".join(repr(part / unit) for part in end)
            lines.extend([f"{inner}End Site", inner + "{", f"{inner}  OFFSET {tip}", inner + "}"])
        lines.append(pad + "}")

    joint("root", (0, 0, 0), (0, 0, 0), 0)
    lines += ["MOTION", f"Frames: {len(frames)}", f"Frame Time: {1 / rate:.7f}"]
    for frame in frames:
        *place, z, y, x = frame.get("root", (*ROOT, 0, 0, 0))
        row = [*(part / unit for part in place), z, y, x]
        for name in order[1:]:
            row += frame.get(name, (0, 0, 0))
        lines.append(" ".join(map(repr, row)))
    return "\n".join([*lines, ""])


def walk(frames, *, speed=1.2, rate=120):
    """Frames of a walk along z with bent knees that swings legs and arms; angles x y z."""
    from math import pi, sin

    walked = []
    for number in range(frames):
        swing = 25 * sin(2 * pi * number / rate)
        walked.append(
            {
                "root": (0, 0.9, speed * number / rate, 0, 0, 0),
                "lfemur": (swing, 0, 0),
                "rfemur": (-swing, 0, 0),
                "ltibia": (20,),
                "rtibia": (20,),
                "lhumerus": (0, swing, -60),
                "rhumerus": (0, swing, 60),
            }
        )
    return walked
