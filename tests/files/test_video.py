import subprocess

import imageio_ffmpeg
import numpy as np
import pytest

from rsnet_jax.errors import DataError
from rsnet_jax.files.footage import is_footage
from rsnet_jax.files.video import Video, rate_of
from rsnet_jax.visualize.mp4_file import encoding


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    """Ten frames of 64x48, 25 per second; frame n is of the gray level 20 n."""
    path = tmp_path_factory.mktemp("film") / "-i film.mp4"
    with encoding(path, size=(64, 48), rate=25) as write:
        for frame in range(10):
            write(np.full((48, 64, 4), 20 * frame, np.uint8))
    return path


def run_ffmpeg(source, *options, before=()):
    """Makes a file of another one by FFmpeg; the last option is its name."""
    program = imageio_ffmpeg.get_ffmpeg_exe()
    command = [program, "-loglevel", "error", "-y", *before, "-i", f"file:{source}"]
    subprocess.run([*command, *map(str, options)], check=True)
    return options[-1]


def levels(pictures):
    return [None if picture is None else round(float(picture.mean()) / 20) for picture in pictures]


def test_frames_are_matched_by_number_or_by_time(film, caplog):
    video = Video(film)
    assert (video.size, video.rate, video.count, video.remark) == ((64, 48), 25, 10, None)
    size = (32, 24)
    assert levels(video.pictures([0, 3, 9], rate=None, size=size)) == [0, 3, 9]
    assert levels(video.pictures(range(4), rate=25.1, size=size)) == [0, 1, 2, 3]
    assert levels(video.pictures(range(0, 20, 4), rate=50, size=size)) == [0, 2, 4, 6, 8]
    assert levels(video.pictures(range(4), rate=12.5, size=size)) == [0, 2, 4, 6]
    same = video.pictures(range(4), rate=12.5, size=size, same_frames=True)
    assert levels(same) == [0, 1, 2, 3]
    assert levels(video.frames()) == list(range(10))
    assert not [record for record in caplog.records if record.levelname == "WARNING"]


def test_a_video_may_be_shorter_or_longer(film, caplog):
    caplog.set_level("INFO")
    video = Video(film)
    assert levels(video.pictures([8, 9, 10, 50], rate=None, size=(64, 48))) == [8, 9, None, None]
    assert "film.mp4 ends before frame 10 of the poses" in caplog.text
    caplog.clear()
    list(video.pictures([0, 1], rate=None, size=(64, 48)))
    assert "film.mp4 goes on after frame 1, the last of the poses" in caplog.text


def test_frames_at_uneven_times_are_taken_at_even_ones(film, tmp_path):
    """Frames 0 to 4 come at 0, 1, ... 4, and frames 5 to 9 at 8, 9, ... 12 (1/25 s): a phone that
    has no time for three frames. What is shown meanwhile is frame 4."""
    times = "setpts=if(lt(N\\,5)\\,N\\,N+3)/25/TB"
    uneven = run_ffmpeg(
        film, *("-vf", times, "-fps_mode", "vfr", "-video_track_timescale", 25), tmp_path / "a.mp4"
    )
    video = Video(uneven)
    assert video.rate == pytest.approx(25) and video.count == 13
    assert video.remark is not None and video.remark.startswith("frames come at uneven times")
    shown = [0, 1, 2, 3, 4, 4, 4, 4, 5, 6, 7, 8, 9]
    assert levels(video.frames()) == shown
    some = video.pictures([0, 7, 8, 12], rate=25, size=(32, 24), same_frames=True)
    assert levels(some) == [0, 4, 5, 9]


def test_rates_are_those_of_the_times():
    ntsc = 30_000 / 1001
    times = np.arange(500) / ntsc
    assert rate_of(times, ntsc) == (ntsc, False)
    assert rate_of(times, 90_000.0) == (pytest.approx(ntsc), False)
    assert rate_of(np.round(times, 3), ntsc) == (ntsc, False)  # .mkv tells milliseconds
    assert rate_of(np.delete(times, range(100, 103)), ntsc) == (pytest.approx(ntsc), True)
    assert rate_of(np.array([0.0]), 25.0) == (None, False)
    assert rate_of(np.empty(0), 25.0) == (25.0, False)


def test_a_turned_video_is_seen_upright_and_pixels_are_square(film, tmp_path):
    turn = ("-display_rotation", "90")
    turned = Video(run_ffmpeg(film, "-c", "copy", tmp_path / "turned.mp4", before=turn))
    assert turned.size == (48, 64)
    assert next(turned.frames()).shape == (64, 48, 3)
    wide = Video(run_ffmpeg(film, "-vf", "setsar=2", tmp_path / "wide.mp4"))
    assert wide.size == (128, 48)
    assert levels(wide.frames()) == list(range(10))


def test_damage_is_said_and_the_rest_is_read(tmp_path, caplog):
    """The index of the file stands before the frames, the last of which are cut off."""
    whole = tmp_path / "whole.mp4"
    noise = np.random.default_rng(0).integers(0, 256, (10, 48, 64, 4), np.uint8)
    with encoding(whole, size=(64, 48), rate=25) as write:
        for frame in noise:
            write(frame)
    assert len(list(Video(whole).frames())) == 10 and not caplog.text
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size * 2 // 3])
    count = len(list(Video(cut).frames()))
    assert 3 < count < 10
    assert f"cut.mp4 is damaged; {count} frames were read: " in caplog.text


def test_what_is_no_video_is_refused_in_one_line(film, tmp_path):
    (tmp_path / "text.mp4").write_text("hello\n")
    (tmp_path / "list.mp4").write_text(f"ffconcat version 1.0\nfile 'file:{film}'\n")
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "cut.mp4").write_bytes(film.read_bytes()[:700])
    program = imageio_ffmpeg.get_ffmpeg_exe()
    sound = [program, "-loglevel", "error", "-f", "lavfi", "-i", "anullsrc", "-t", "0.1"]
    subprocess.run([*sound, tmp_path / "sound.mp4"], check=True)
    cases = {
        "none.mp4": "there is no file none.mp4",
        "text.mp4": "FFmpeg cannot read it as a video: ",
        "list.mp4": "FFmpeg cannot read it as a video: ",
        "cut.mp4": "FFmpeg cannot read it as a video: ",
        "empty.mp4": "is empty (0 bytes)",
        "sound.mp4": "no moving pictures in it, only sound?",
    }
    for name, message in cases.items():
        with pytest.raises(DataError) as raised:
            Video(tmp_path / name)
        said = str(raised.value)
        assert message in said and name in said and "\n" not in said
    assert not is_footage(tmp_path / "text.txt")  # of which FFmpeg would draw the letters
