"""The script that `startup.py` runs for the first pose of a `Lifter`; prints seconds as JSON."""

import json
import sys
import time

if __name__ == "__main__":
    path, began = sys.argv[1:]

    import numpy as np

    from rsnet_jax import Lifter

    lifter = Lifter.load(path)
    joints = lifter.keypoint_skeleton.num_joints
    keypoints = np.random.default_rng(0).uniform(0, 1000, size=(1, joints, 2))
    pose = lifter(keypoints, image_size=(1000, 1000))
    assert np.isfinite(pose).all()
    print(json.dumps({"first pose": time.time() - float(began)}))
