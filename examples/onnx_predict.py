"""From AlphaPose's JSON (17 or 26 joints) to 3D poses, with numpy and onnxruntime only.

rsnet-jax export CHECKPOINT --flip-test --pixels 1920x1080 --out model.onnx
python examples/onnx_predict.py model.onnx alphapose-results.json poses.npy
"""

import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime

SIDED = ["eye", "ear", "shoulder", "elbow", "wrist", "hip", "knee", "ankle"]
COCO = ["nose", *(f"{side}_{name}" for name in SIDED for side in ("left", "right"))]
FEET = [f"{side}_{name}" for name in ("big_toe", "small_toe", "heel") for side in ("left", "right")]
session = onnxruntime.InferenceSession(sys.argv[1])
people = json.loads(Path(sys.argv[2]).read_text())
images = dict.fromkeys(person["image_id"] for person in people)  # of each, its surest person
images |= {p["image_id"]: p["keypoints"] for p in sorted(people, key=lambda p: p["score"])}
table = np.array([*images.values()]).reshape(len(images), -1, 3)
names = [*COCO, "head", "neck", "hip", *FEET][: table.shape[1]]
joints = dict(zip(names, table.transpose(1, 0, 2), strict=True))  # name -> (image, [x, y, score])


def mix(**shares: float) -> np.ndarray:
    """A joint made of others: the sum of their places, as sure as the least sure of them."""
    place = sum(share * joints[name][:, :2] for name, share in shares.items())
    return np.column_stack([place, np.min([joints[name][:, 2] for name in shares], axis=0)])


joints["pelvis"] = joints.get("hip", mix(left_hip=0.5, right_hip=0.5))
joints["thorax"] = joints.get("neck", mix(nose=1 / 3, left_shoulder=1 / 3, right_shoulder=1 / 3))
quarters = {"left_hip": 0.25, "right_hip": 0.25, "left_shoulder": 0.25, "right_shoulder": 0.25}
joints["spine"] = mix(pelvis=0.5, thorax=0.5) if "neck" in joints else mix(**quarters)
joints["head"] = joints.get("head", mix(left_eye=1, right_eye=1, nose=-1))
wanted = session.get_modelmeta().custom_metadata_map["keypoint_names"].split(", ")
keypoints = np.stack([joints[name] for name in wanted], axis=1).astype(np.float32)
keypoints = keypoints[..., : session.get_inputs()[0].shape[-1]]  # scores only if wanted
np.save(sys.argv[3], session.run(["poses"], {"keypoints": keypoints})[0])  # pyright: ignore
