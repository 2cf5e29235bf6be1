import dataclasses
import subprocess

import imageio_ffmpeg
import numpy as np
import pytest
from export.poses_table import example_poses
from PIL import Image

from rsnet_jax.errors import ConfigError, OutputError
from rsnet_jax.export.settings import OutputSettings
from rsnet_jax.files.outputs import atomic_write
from rsnet_jax.visualize.gif_file import frame_times
from rsnet_jax.visualize.mp4_file import encoding
from rsnet_jax.visualize.write import WRITERS


def at_rate(poses, fps):
    header = poses.header.model_copy(update={"fps": fps})
    return dataclasses.replace(poses, header=header)


def write(path, poses, **settings):
    """Writes a picture whole or not at all, as commands do."""
    with atomic_write(path) as partial:
        WRITERS[path.suffix](partial, poses, OutputSettings(**settings))


def about(path):
    """What FFmpeg says about a video."""
    program = imageio_ffmpeg.get_ffmpeg_exe()
    return subprocess.run([program, "-i", path], capture_output=True, text=True).stderr


def test_a_gif_has_every_frame_in_its_time(tmp_path):
    path, done = tmp_path / "walk.gif", []
    write(path, at_rate(example_poses(frames=4), 12), progress=done.append)
    assert sum(done) == 4
    with Image.open(path) as gif:
        assert gif.n_frames == 4 and gif.info["loop"] == 0
        pictures, times = [], []
        for frame in range(4):
            gif.seek(frame)
            times.append(gif.info["duration"])
            pictures.append(np.asarray(gif.convert("RGB"), int))
    assert times == [80, 90, 80, 80]  # 1/12 s is 8.33 hundredths
    assert (np.abs(np.diff(pictures, axis=0)).max(axis=(1, 2, 3)) > 60).all()
    # What did not change stays: the title of a later frame is that of the first.
    np.testing.assert_array_equal(pictures[3][:20], pictures[0][:20])
    # White and the colors of the sides are exact in what is drawn anew, too.
    for color in ((255, 255, 255), (0xD5, 0x5E, 0x00), (0x00, 0x72, 0xB2)):
        assert (pictures[2][30:380] == color).all(axis=-1).sum() > 100


def test_a_gif_of_a_fast_recording_leaves_frames_out(tmp_path, caplog):
    caplog.set_level("INFO")
    write(tmp_path / "x.gif", at_rate(example_poses(frames=6), 50))
    with Image.open(tmp_path / "x.gif") as gif:
        assert (gif.n_frames, gif.info["duration"]) == (2, 80)  # frames 0 and 4
    assert "at most 15 frames per second: 1 of 4" in caplog.text


def test_times_of_a_gif_do_not_drift():
    times = frame_times(700, 1 / 7)
    assert sum(times) == 10_000 and set(times) == {14, 15}
    assert frame_times(2, 1e9) == [65_535] * 2


@pytest.mark.parametrize(("fps", "rate"), [(30.0, 30), (None, 25)])
def test_an_mp4_has_every_frame_at_its_rate(tmp_path, fps, rate):
    path, done = tmp_path / "walk.mp4", []
    write(path, at_rate(example_poses(frames=6), fps), progress=done.append)
    frames, _ = imageio_ffmpeg.count_frames_and_secs(path)
    assert frames == sum(done) == 6
    said = about(path)
    assert "Video: h264" in said and "yuv420p" in said and f"{rate} fps" in said
    assert "1216x566" in said  # 12 + 640 + 12 + 540 + 12; 32 + 480 + 54
    assert [file.name for file in tmp_path.iterdir()] == ["walk.mp4"]


def test_odd_sizes_are_made_even(tmp_path):
    with encoding(tmp_path / "odd.mp4", size=(65, 33), rate=10) as write:
        write(np.zeros((33, 65, 4), np.uint8))
    assert "66x34" in about(tmp_path / "odd.mp4")


def test_a_failing_encoder_is_one_line_and_leaves_no_file(tmp_path, monkeypatch):
    program = tmp_path / "ffmpeg"
    says = "echo '[x @ 0x1] no\x1bspace' >&2; echo 'Conversion failed!' >&2"
    program.write_text(f"#!/bin/sh\n{says}; exit 1\n")
    program.chmod(0o755)
    monkeypatch.setattr(imageio_ffmpeg, "get_ffmpeg_exe", lambda: str(program))
    folder = tmp_path / "out"
    with pytest.raises(OutputError) as raised:
        write(folder / "x.mp4", example_poses())
    wanted = "x.mp4 cannot be written: FFmpeg failed: no?space; Conversion failed!"
    assert str(raised.value) == f"{folder}/{wanted}"
    assert not any(folder.iterdir())
    monkeypatch.setattr(imageio_ffmpeg, "get_ffmpeg_exe", lambda: str(tmp_path / "none"))
    with pytest.raises(ConfigError, match="FFmpeg cannot be started: .*No such file"):
        write(folder / "x.mp4", example_poses())


def test_ctrl_c_leaves_neither_file_nor_ffmpeg(tmp_path, monkeypatch):
    started, popen = [], subprocess.Popen

    def remember(*arguments, **options):
        started.append(popen(*arguments, **options))
        return started[-1]

    def interrupt(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(subprocess, "Popen", remember)
    for suffix in (".mp4", ".gif"):
        with pytest.raises(KeyboardInterrupt):
            write(tmp_path / f"x{suffix}", example_poses(), progress=interrupt)
    assert [process.poll() for process in started] == [-9]
    assert not any(tmp_path.iterdir())
