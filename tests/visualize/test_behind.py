import dataclasses

import numpy as np
import pytest
from export.poses_table import example_poses
from PIL import Image

from rsnet_jax.errors import DataError
from rsnet_jax.export.settings import OutputSettings
from rsnet_jax.visualize.behind import with_video


def poses_of(size, source="walk.json"):
    poses = example_poses()
    header = poses.header.model_copy(update={"image_size": size, "source": source})
    return dataclasses.replace(poses, header=header)


@pytest.fixture
def picture(tmp_path):
    path = tmp_path / "walk.png"
    Image.fromarray(np.zeros((48, 64, 3), np.uint8)).save(path)
    return path


def test_pictures_behind_have_the_aspect_of_the_image(picture):
    settings = OutputSettings(video=picture)
    for size in ((640, 480), (640, 482), None):
        poses, behind = with_video(poses_of(size), settings)
        assert behind is not None and not behind.same_frames
        assert poses.header.image_size == (size or (64, 48))
    with pytest.raises(DataError) as raised:
        with_video(poses_of((480, 640)), settings)
    said = f"{picture}: its frames are 64x48, but the keypoints are of images of 480x640"
    assert said in str(raised.value)


def test_frames_have_one_number_where_the_keypoints_were_found_in_the_video(picture):
    _, behind = with_video(poses_of(None, "elsewhere/walk.png"), OutputSettings(video=picture))
    assert behind is not None and behind.same_frames
