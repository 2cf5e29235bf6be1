import subprocess

import imageio_ffmpeg
import numpy as np
import pytest

from rsnet_jax.errors import DataError
from rsnet_jax.visualize.mp4_file import encoding
from rsnet_jax.visualize.video import Video


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    """Ten frames of 64x48, 25 per second; frame n is of the gray level 20 n."""
    path = tmp_path_factory.mktemp("film") / "-i film.mp4"
    with encoding(path, size=(64, 48), rate=25) as write:
        for frame in range(10):
            write(np.full((48, 64, 4), 20 * frame, np.uint8))
    return path


def levels(pictures):
    return [None if picture is None else round(float(picture.mean()) / 20) for picture in pictures]


def test_frames_are_matched_by_number_or_by_time(film, caplog):
    video = Video(film, image_size=(640, 480))
    assert (video.size, video.rate) == ((64, 48), 25)
    size = (32, 24)
    assert levels(video.pictures([0, 3, 9], rate=None, size=size)) == [0, 3, 9]
    assert levels(video.pictures(range(4), rate=25.1, size=size)) == [0, 1, 2, 3]
    assert levels(video.pictures(range(0, 20, 4), rate=50, size=size)) == [0, 2, 4, 6, 8]
    assert levels(video.pictures(range(4), rate=12.5, size=size)) == [0, 2, 4, 6]
    assert not [record for record in caplog.records if record.levelname == "WARNING"]


def test_a_video_may_be_shorter_or_longer(film, caplog):
    caplog.set_level("INFO")
    video = Video(film, image_size=None)
    assert levels(video.pictures([8, 9, 10, 50], rate=None, size=(64, 48))) == [8, 9, None, None]
    assert "film.mp4 ends before frame 10 of the poses" in caplog.text
    caplog.clear()
    list(video.pictures([0, 1], rate=None, size=(64, 48)))
    assert "film.mp4 goes on after frame 1, the last of the poses" in caplog.text


def test_a_turned_video_is_seen_upright(film, tmp_path):
    turned = tmp_path / "turned.mp4"
    program, source = imageio_ffmpeg.get_ffmpeg_exe(), f"file:{film}"
    command = [program, "-loglevel", "error", "-display_rotation", "90", "-i", source]
    subprocess.run([*command, "-c", "copy", turned], check=True)
    assert Video(turned, image_size=(480, 640)).size == (48, 64)


def test_what_is_no_fitting_video_is_refused_in_one_line(film, tmp_path):
    cases = {
        "its frames are 64x48, but the keypoints are of images of 48x64": (film, (48, 64)),
        "there is no such video": (tmp_path / "none.mp4", None),
        "FFmpeg cannot read it as a video: ": (tmp_path / "text.mp4", None),
    }
    (tmp_path / "text.mp4").write_text("hello\n")
    for message, (path, size) in cases.items():
        with pytest.raises(DataError) as raised:
            Video(path, image_size=size)
        assert f"{path}: {message}" in str(raised.value) and "\n" not in str(raised.value)
