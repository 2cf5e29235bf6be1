"""`predict` on videos and pictures, with a stand-in for the detector."""

import contextlib
import json
import os
import signal
import subprocess
import sys

import imageio_ffmpeg
import numpy as np
import pytest
from cli.conftest import contents
from keypoints.square_detector import SIZE, SquareDetector, left_of, write_film
from PIL import Image

from rsnet_jax.cli import predict


@pytest.fixture
def weights(golden):
    return golden / "e2e_tiny" / "model_rsnet_2_eva_post_9957.pth"


@pytest.fixture
def standing_in(monkeypatch):
    """Puts a detector in the place of those that need their libraries; tells how it is opened."""
    opened = []

    def put(detector):
        @contextlib.contextmanager
        def open_detector(name, files, *, still):
            opened.append((name, still))
            yield detector

        monkeypatch.setattr(predict, "check_detector", lambda name, files: None)
        monkeypatch.setattr(predict, "open_detector", open_detector)
        return opened

    return put


def test_a_video_becomes_poses_drawn_over_its_frames(cli, tmp_path, weights, standing_in):
    opened = standing_in(SquareDetector())
    film = write_film(tmp_path / "walk.mp4", dark=(3,), rate=50)
    outputs = [tmp_path / "a.npz", tmp_path / "a.png", tmp_path / "a.trc"]
    code, out, err = cli("predict", film, "--checkpoint", weights, "--out", *outputs)
    assert code == 0, err
    assert "wrote 8 poses of 1 person to" in out
    assert opened == [("mediapipe", False)]
    with np.load(outputs[0]) as stored:
        header = json.loads(str(stored["header"]))
        assert header["source"] == str(film) and header["fps"] == 50
        assert header["image_size"] == list(SIZE) and header["layout"] == "mediapipe33"
        x = stored["keypoints"][:, 0, 0]
        seen = [0, 1, 2, 4, 5, 6, 7]  # in frame 3 the keypoints are interpolated, not read
        np.testing.assert_allclose(x[seen], [left_of(n) + 8 for n in seen], atol=1)
        assert np.isnan(x[3]) and stored["valid"].all()
        np.testing.assert_allclose(stored["time"], np.arange(8) / 50)
    drawn = np.asarray(Image.open(outputs[1]).convert("L"))
    assert (drawn < 30).mean() > 0.1  # the dark video; a picture without one is light


def test_a_folder_of_pictures_is_no_motion(cli, tmp_path, weights, standing_in):
    opened = standing_in(SquareDetector())
    folder = tmp_path / "frames"
    folder.mkdir()
    for number in (2, 10, 1):
        pixels = np.zeros((64, 96, 3), np.uint8)
        if number != 2:
            pixels[24:40, 2 * number : 2 * number + 16] = 255
        Image.fromarray(pixels).save(folder / f"{number}.png")
    base = ("predict", folder, "--checkpoint", weights, "--out")
    code, _, err = cli(*base, tmp_path / "a.npz")
    assert code == 0, err
    code, _, err = cli(*base, tmp_path / "b.npz", "--fps", "10")
    assert code == 0, err
    assert opened == [("mediapipe", True), ("mediapipe", False)]
    with np.load(tmp_path / "a.npz") as alone, np.load(tmp_path / "b.npz") as film:
        assert alone["valid"].tolist() == [True, False, True]  # 1, 2, 10
        assert film["valid"].tolist() == [True, True, True]
        assert np.isnan(alone["time"]).all() and film["time"].tolist() == [0, 0.1, 0.2]
        np.testing.assert_allclose(alone["keypoints"][2, 0, 0], 28, atol=0.5)


def interrupt_at(*numbers):
    """Ctrl-C before these frames."""
    return lambda number: number in numbers and os.kill(os.getpid(), signal.SIGINT)


def test_ctrl_c_keeps_what_was_done(cli, caplog, tmp_path, weights, standing_in):
    standing_in(SquareDetector(before_frame=interrupt_at(4)))
    film = write_film(tmp_path / "walk.mp4")
    outputs = [tmp_path / "a.npz", tmp_path / "a.html"]
    code, out, err = cli("predict", film, "--checkpoint", weights, "--out", *outputs)
    assert code == 130
    assert "wrote 5 poses of 1 person to" in out
    assert err.splitlines()[-1] == "rsnet-jax predict: interrupted: the first 5 frames are written"
    assert "interrupted after 5 of about 8 frames" in caplog.text
    with np.load(outputs[0]) as stored:
        assert stored["frame"].tolist() == [0, 1, 2, 3, 4] and stored["valid"].all()
    assert contents(tmp_path) == ["a.html", "a.npz", "walk.mp4"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_ctrl_c_twice_or_before_anybody_is_found_leaves_nothing(
    cli, tmp_path, weights, standing_in
):
    def twice(number):
        if number == 3:
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)

    for before_frame, dark, message in (
        (twice, (), "interrupted"),
        (
            interrupt_at(2),
            range(8),
            "interrupted: {film}: nobody was found in any of 3 frames; nothing is written",
        ),
    ):
        standing_in(SquareDetector(before_frame=before_frame))
        film = write_film(tmp_path / "walk.mp4", dark=dark)
        command = ("predict", film, "--checkpoint", weights, "--out", tmp_path / "a.npz")
        code, out, err = cli(*command)
        assert (code, out) == (130, "")
        assert err.splitlines()[-1] == "rsnet-jax predict: " + message.format(film=film)
        assert contents(tmp_path) == ["walk.mp4"]


def test_what_cannot_work_is_refused_before_anything_is_detected(
    cli, tmp_path, weights, standing_in
):
    detector = SquareDetector()
    standing_in(detector)
    film = write_film(tmp_path / "walk.mp4")
    (tmp_path / "text.txt").write_text("hello")
    (tmp_path / "text.mp4").write_text("hello")
    program = imageio_ffmpeg.get_ffmpeg_exe()
    sound = [program, "-loglevel", "error", "-f", "lavfi", "-i", "anullsrc", "-t", "0.1"]
    subprocess.run([*sound, tmp_path / "sound.mp4"], check=True)
    (tmp_path / "mixed").mkdir()
    for name, size in (("a.jpg", (40, 30)), ("b.jpg", (30, 40))):
        Image.new("RGB", size).save(tmp_path / "mixed" / name)
    (tmp_path / "keypoints.json").write_text("[]")
    before = contents(tmp_path)
    for name, options, message in (
        ("text.txt", (), "(.jpg, .png, ...), but not from .txt"),
        ("text.mp4", (), "text.mp4: FFmpeg cannot read it as a video: "),
        ("sound.mp4", (), "sound.mp4: no moving pictures in it, only sound?"),
        ("none.mp4", (), "there is no file none.mp4 in "),
        ("mixed", (), "a.jpg is 40x30, but b.jpg is 30x40"),
        (film.name, ("--layout", "coco17"), "layout: it is for files of keypoints; "),
        (film.name, ("--size", "96x64"), "size: it is for files of keypoints; "),
        ("keypoints.json", ("--detector", "rtmlib"), "detector: it is for videos and pictures; "),
    ):
        command = ("predict", tmp_path / name, "--checkpoint", weights)
        code, out, err = cli(*command, *options, "--out", tmp_path / "a.npz")
        assert (code, out) == (2, ""), name
        assert message in err.splitlines()[-1] and err.count("\n") == 1, err
    assert contents(tmp_path) == before and detector.calls == 0
    for options, message in (  # the network is loaded while the first frames are looked at
        (("--rule", "own"), "do not give head, which these weights need"),
        (("--checkpoint", tmp_path / "none"), "none"),
    ):
        command = ("predict", film, "--checkpoint", weights, "--out", tmp_path / "a.npz", *options)
        code, out, err = cli(*command)
        assert (code, out) == (2, "")
        assert message in err.splitlines()[-1]
    assert contents(tmp_path) == before


def test_a_lacking_detector_is_named_with_what_installs_it(refused, tmp_path, weights, monkeypatch):
    film = write_film(tmp_path / "walk.mp4")
    command = ("predict", film, "--checkpoint", weights, "--out", tmp_path / "a.npz")
    monkeypatch.setitem(sys.modules, "mediapipe", None)
    assert refused(*command) == (
        "detecting by mediapipe needs mediapipe, which is not installed: "
        "pip install 'rsnet-jax[video]'"
    )
    said = refused(*command, "--detector", "rtmlib")
    assert said == "detector rtmlib: two .onnx files, of people and of joints were wanted, not 0"
