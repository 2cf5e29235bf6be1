"""The row `stream`: a live camera's keypoints, lifted frame by frame with `Lifter.stream`."""

import itertools
import time
from collections.abc import Iterator

import numpy as np

from rsnet_jax.benchmark.comparison import Result, Settings, checkpoint_for
from rsnet_jax.benchmark.report import duration
from rsnet_jax.benchmark.timing import Times
from rsnet_jax.lifting.lifter import Lifter
from rsnet_jax.pose.layouts import COCO_17

SIZE = (640, 480)
LEAST_FRAMES = 20


def measure_stream(settings: Settings) -> Result:
    """Times each frame from the keypoints of a detector (COCO, with scores) to the pose.

    The flip test, the conversion of the joints and the transfers to the device and back are part
    of it. Rivals do not take part: they lift batches.
    """
    lifter = Lifter(checkpoint_for(settings, width=settings.width), precision=settings.precision)
    rng = np.random.default_rng(0)
    joints = len(COCO_17.joints)
    frames = [
        (rng.uniform((0, 0), SIZE, size=(joints, 2)), rng.uniform(0.5, 1, size=joints))
        for _ in range(64)
    ]
    poses = lifter.stream(itertools.cycle(frames), image_size=SIZE, layout=COCO_17.name)
    first = _seconds(poses)
    seconds, end = [], time.perf_counter() + settings.seconds
    while len(seconds) < LEAST_FRAMES or time.perf_counter() < end:
        seconds.append(_seconds(poses))
    return Result(
        "stream",
        f"stream, frame by frame, {joints} keypoints to pose, flip test, width {settings.width}",
        Times({"ours": seconds}, first={"ours": first}),
        differences={},
        not_run={},
        remarks=(f"95 % of the frames within {duration(float(np.percentile(seconds, 95)))}",),
    )


def _seconds(poses: Iterator[np.ndarray]) -> float:
    start = time.perf_counter()
    next(poses)  # the pose is in host memory: the stream yields NumPy arrays
    return time.perf_counter() - start
