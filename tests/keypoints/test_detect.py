import sys

import numpy as np
import pytest
from keypoints.square_detector import SIDE, SIZE, SquareDetector, left_of, write_film

from rsnet_jax.errors import ConfigError, DataError
from rsnet_jax.files.footage import open_footage
from rsnet_jax.keypoints.detectors.detect import check_detector, detect, open_detector


def test_frames_of_a_video_become_a_table(tmp_path):
    path = write_film(tmp_path / "walk.mp4", dark=(0, 3), rate=50)
    steps = []
    found = detect(open_footage(path), SquareDetector(), progress=steps.append)
    assert found.frame.tolist() == [1, 2, 4, 5, 6, 7] and found.frames == 8
    assert (found.image_size, found.fps, found.source) == (SIZE, 50, str(path))
    assert found.layout.name == "mediapipe33" and found.people == (0,)
    middle = [left_of(frame) + SIDE / 2 for frame in found.frame.tolist()]
    np.testing.assert_allclose(found.keypoints[:, 5, 0], middle, atol=1)
    assert (found.confidence == 0.75).all()
    assert steps == [1] * 8


def test_detecting_stops_when_told(tmp_path):
    footage = open_footage(write_film(tmp_path / "walk.mp4"))
    detector = SquareDetector()
    found = detect(footage, detector, stop=lambda: detector.calls == 3)
    assert (found.frames, found.frame.tolist()) == (3, [0, 1, 2])


def test_nobody_in_a_video_is_an_error(tmp_path):
    path = write_film(tmp_path / "dark.mp4", dark=range(8))
    with pytest.raises(DataError, match=r"dark.mp4: nobody was found in any of 8 frames$"):
        detect(open_footage(path), SquareDetector())


def test_a_detector_wants_its_library_and_its_files(tmp_path, monkeypatch):
    model = tmp_path / "a.onnx"
    model.write_bytes(b"x")
    cases = [
        ("mediapipe", (), r"detecting by mediapipe needs mediapipe, .* 'rsnet-jax\[video\]'$"),
        ("rtmlib", (model, model), r"by rtmlib needs rtmlib, .* 'rsnet-jax\[rtmlib\]'$"),
        ("rtmlib", (model,), "two .onnx files, of people and of joints were wanted, not 1"),
        ("mediapipe", (model,), "no files were wanted, not 1"),
        ("rtmlib", (model, tmp_path / "b.onnx"), "there is no file b.onnx"),
    ]
    for library in ("mediapipe", "rtmlib", "onnxruntime"):
        monkeypatch.setitem(sys.modules, library, None)
    for name, files, message in cases:
        with pytest.raises((ConfigError, DataError), match=message):
            check_detector(name, files)
        with (
            pytest.raises((ConfigError, DataError), match=message),
            open_detector(name, files, still=True),
        ):
            pass
