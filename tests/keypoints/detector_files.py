"""One walking person, written as each detector would write it; by hand, without our own code."""

import json

import numpy as np

from rsnet_jax.pose.layouts import LAYOUTS

SIZE = (640, 480)


def points_of(layout, *, frames=4, shift=(0.0, 0.0)):
    """(frame, joint, 3) pixels and a score: a made-up but upright person who moves to the right.

    Joints of one name are in one place in all layouts.
    """
    heights = {"ankle": 400, "knee": 320, "hip": 240, "shoulder": 120, "elbow": 170, "wrist": 220}
    heights |= {"nose": 80, "eye": 70, "ear": 75, "head": 50, "head_top": 45, "neck": 110}
    heights |= {"thorax": 118, "upper_neck": 100, "neck_nose": 90, "spine": 180, "pelvis": 238}
    heights |= {"mid_hip": 240, "heel": 412, "big_toe": 418, "small_toe": 416, "mouth": 90}
    out = np.empty((frames, len(layout.joints), 3))
    for place, joint in enumerate(layout.joints):
        side, _, rest = joint.partition("_")
        rest = rest if side in ("left", "right") else joint
        y = heights.get(rest, 240 + 3 * (place % 7))
        # A person who faces the camera has the left side on the right of the image.
        x = 320 + {"left": 30, "right": -30}.get(side, 0) * (0.3 if y < 100 else 1)
        score = 0.5 + 0.4 * ((sum(map(ord, joint)) % 11) / 10)
        for frame in range(frames):
            out[frame, place] = (x + 5 * frame + shift[0], y + shift[1], score)
    return out


def _flat(points):
    return [float(value) for value in points.ravel()]


def write_alphapose(path, points):
    people = [
        {"image_id": f"{frame}.jpg", "category_id": 1, "keypoints": _flat(joints), "score": 2.1}
        for frame, joints in enumerate(points)
    ]
    path.write_text(json.dumps(people))


def write_alphapose_tracked(path, points):
    people = {
        f"{frame}.jpg": [{"keypoints": _flat(joints), "scores": 2.1, "idx": 1}]
        for frame, joints in enumerate(points)
    }
    path.write_text(json.dumps(people))


def write_alphapose_annotations(path, points):
    people = [
        {"frame_id": frame, "keypoints": _flat(joints)} for frame, joints in enumerate(points)
    ]
    path.write_text(json.dumps({"annotations": people}))


def write_coco(path, points):
    people = [
        {"image_id": frame, "category_id": 1, "keypoints": _flat(joints), "score": 0.9}
        for frame, joints in enumerate(points)
    ]
    path.write_text(json.dumps(people))


def write_mmpose(path, points):
    frames = [
        {
            "frame_id": frame,
            "instances": [
                {"keypoints": joints[:, :2].tolist(), "keypoint_scores": joints[:, 2].tolist()}
            ],
        }
        for frame, joints in enumerate(points)
    ]
    path.write_text(json.dumps(frames))


def write_mediapipe(path, points):
    """Landmarks as fractions of the width and the height of `SIZE`."""
    frames = [
        [
            {"x": x / SIZE[0], "y": y / SIZE[1], "z": 0.0, "visibility": score}
            for x, y, score in joints.tolist()
        ]
        for joints in points
    ]
    path.write_text(json.dumps(frames))


def write_openpose(folder, points, *, key="pose_keypoints_2d"):
    folder.mkdir()
    for frame, joints in enumerate(points):
        content = {"version": 1.3, "people": [{"person_id": [-1], key: _flat(joints)}]}
        (folder / f"walk_{frame:012}_keypoints.json").write_text(json.dumps(content))


def write_videopose3d(path, points):
    metadata = {
        "layout_name": "coco",
        "num_joints": points.shape[1],
        "video_metadata": {"walk.mp4": {"w": SIZE[0], "h": SIZE[1]}},
    }
    positions = {"walk.mp4": {"custom": [points[:, :, :2].astype(np.float32)]}}
    np.savez(path, positions_2d=np.array(positions, object), metadata=np.array(metadata, object))


def write_rtmlib(path, points):
    people = np.empty(len(points), object)
    scores = np.empty(len(points), object)
    for frame, joints in enumerate(points):
        people[frame], scores[frame] = joints[None, :, :2], joints[None, :, 2]
    np.savez(path, keypoints=people, scores=scores)


def write_npz(path, points):
    np.savez(path, keypoints=points[..., :2], scores=points[..., 2])


def write_npy(path, points):
    np.save(path, points)


def write_csv(path, points, layout):
    lines = ["frame,joint,x,y,score"]
    for frame, joints in enumerate(points.tolist()):
        lines += [
            f"{frame},{name},{x!r},{y!r},{score!r}"
            for name, (x, y, score) in zip(layout.joints, joints, strict=True)
        ]
    path.write_text("\n".join(lines) + "\n")


def write_wide_csv(path, points, layout):
    lines = [",".join(["frame", *(f"{j}_{part}" for j in layout.joints for part in ("x", "y"))])]
    for frame, joints in enumerate(points[..., :2].tolist()):
        lines.append(",".join([str(frame), *(repr(value) for joint in joints for value in joint)]))
    path.write_text("\n".join(lines) + "\n")


WRITERS = {  # name -> (writer, suffix, layout); "" is a folder
    "alphapose": (write_alphapose, ".json", "halpe26"),
    "alphapose-17": (write_alphapose, ".json", "coco17"),
    "alphapose-133": (write_alphapose, ".json", "wholebody133"),
    "alphapose-136": (write_alphapose, ".json", "halpe136"),
    "alphapose-tracked": (write_alphapose_tracked, ".json", "halpe26"),
    "alphapose-annotations": (write_alphapose_annotations, ".json", "coco17"),
    "coco": (write_coco, ".json", "coco17"),
    "mmpose": (write_mmpose, ".json", "coco17"),
    "mmpose-133": (write_mmpose, ".json", "wholebody133"),
    "mediapipe": (write_mediapipe, ".json", "mediapipe33"),
    "openpose": (write_openpose, "", "body25"),
    "openpose-18": (write_openpose, "", "coco18"),
    "videopose3d": (write_videopose3d, ".npz", "coco17"),
    "rtmlib": (write_rtmlib, ".npz", "halpe26"),
    "npz": (write_npz, ".npz", "halpe26"),
    "npy": (write_npy, ".npy", "halpe26"),
    "csv": (write_csv, ".csv", "coco17"),
    "csv-wide": (write_wide_csv, ".csv", "body25"),
}


def write(name, folder, points=None):
    """Writes the person as one of `WRITERS`; returns the path, the points and the layout."""
    writer, suffix, layout_name = WRITERS[name]
    layout = LAYOUTS[layout_name]
    points = points_of(layout) if points is None else points
    path = folder / f"{name}{suffix}"
    arguments = (layout,) if suffix == ".csv" else ()
    writer(path, points, *arguments)
    return path, points, layout
