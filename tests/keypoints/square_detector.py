"""A stand-in for a detector, and videos that it is for: a bright square is a person."""

import numpy as np

from rsnet_jax.pose.layouts import LAYOUTS
from rsnet_jax.visualize.mp4_file import encoding

SIZE = (96, 64)  # width, height, pixels
SIDE = 16


def left_of(frame):
    """The left side of the square in a frame, pixels."""
    return 8 + 4 * frame


def write_film(path, *, frames=8, dark=(), rate=25):
    """A square that moves to the right by 4 pixels per frame; none in the frames `dark`."""
    with encoding(path, size=SIZE, rate=rate) as write:
        for frame in range(frames):
            picture = np.zeros((SIZE[1], SIZE[0], 4), np.uint8)
            if frame not in dark:
                left = left_of(frame)
                picture[24 : 24 + SIDE, left : left + SIDE] = 255
            write(picture)
    return path


class SquareDetector:
    """Finds a person whose joints are on the vertical middle line of the square, from its top on,
    a thirty-third of the side apart."""

    layout, one_person = LAYOUTS["mediapipe33"], True

    def __init__(self, *, before_frame=lambda number: None):
        self.calls = 0
        self.closed = False
        self._before_frame = before_frame

    def __call__(self, picture):
        self._before_frame(self.calls)
        self.calls += 1
        rows, columns = np.nonzero(picture.mean(axis=-1) > 128)
        people = np.empty((1 if len(rows) else 0, 33, 2), np.float32)
        if len(rows):
            people[..., 0] = (columns.min() + columns.max() + 1) / 2
            people[..., 1] = rows.min() + np.arange(33) * SIDE / 33
        return people, np.full(people.shape[:2], 0.75, np.float32)

    def close(self):
        self.closed = True
