"""Smoothing of poses over time, per person and joint."""

import numpy as np
from jaxtyping import Float

SAVGOL_SECONDS = 0.3
"""Length of the window of `savgol`."""
ONE_EURO_CUTOFF, ONE_EURO_BETA, ONE_EURO_SPEED_CUTOFF = 1.5, 3.0, 1.0
"""Hz for a joint at rest, Hz per m/s, and Hz of the filter of the speed."""


def savgol(
    points: Float[np.ndarray, "time joint axis"], *, fps: float
) -> Float[np.ndarray, "time joint axis"]:
    """Fits a parabola to the frames around each frame (Savitzky and Golay, 1964); no lag.

    The window is `SAVGOL_SECONDS` long, or shorter for a shorter recording; it needs the frames
    after, so that it is not for streams. Runs between missing values are smoothed separately.
    """
    from scipy.signal import savgol_filter  # takes long to import, and few ask for it

    window = 2 * round(SAVGOL_SECONDS * fps / 2) + 1
    smoothed = points.copy()
    finite = np.asarray(np.isfinite(points).all(axis=-1))
    for joint in range(points.shape[1]):
        for start, end in runs(finite[:, joint]):
            length = min(window, end - start - 1 + (end - start) % 2)
            if length > 2:
                part = points[start:end, joint].astype(np.float64)
                smoothed[start:end, joint] = savgol_filter(part, length, polyorder=2, axis=0)
    return smoothed


class OneEuro:
    """The 1-euro filter (Casiez et al., CHI 2012): a low pass that opens with speed.

    Each value is x <- x + alpha (new - x) with alpha = 1 / (1 + fps / (2 pi cutoff)) and cutoff =
    `ONE_EURO_CUTOFF` + `ONE_EURO_BETA` |speed|. It needs no later frame, and lags.
    """

    def __init__(self, fps: float):
        self.fps = fps
        self._value: np.ndarray | None = None  # (joint, axis)
        self._speed: np.ndarray | None = None

    def __call__(self, points: Float[np.ndarray, "joint axis"]) -> Float[np.ndarray, "joint axis"]:
        """The next frame, smoothed; a joint that was missing begins anew."""
        if self._value is None or self._speed is None:
            self._value, self._speed = points.copy(), np.zeros_like(points)
            return points.copy()
        speed = (points - self._value) * self.fps
        speed = self._speed + self._alpha(ONE_EURO_SPEED_CUTOFF) * (speed - self._speed)
        norm = np.linalg.norm(speed, axis=-1, keepdims=True)
        alpha = self._alpha(ONE_EURO_CUTOFF + ONE_EURO_BETA * norm)
        value = self._value + alpha * (points - self._value)
        begins = ~np.isfinite(value)
        self._value = np.where(begins, points, value)
        self._speed = np.where(begins, 0, speed)
        return self._value.copy()

    def _alpha(self, cutoff: float | np.ndarray) -> float | np.ndarray:
        return 1 / (1 + self.fps / (2 * np.pi * cutoff))


def one_euro(
    points: Float[np.ndarray, "time joint axis"], *, fps: float
) -> Float[np.ndarray, "time joint axis"]:
    """`OneEuro` over a recording."""
    smooth = OneEuro(fps)
    return np.stack([smooth(frame) for frame in points]) if len(points) else points


def runs(present: np.ndarray) -> list[tuple[int, int]]:
    """The runs [start, end) of true values."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], present.astype(np.int8), [0]])))
    return [(int(start), int(end)) for start, end in edges.reshape(-1, 2)]
