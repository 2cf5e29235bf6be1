import dataclasses

import pybvh
import pytest
from export.poses_table import example_poses
from export.raised_arm import FRAMES, raised_arm

from rsnet_jax.errors import ConfigError, DataError
from rsnet_jax.export.settings import OutputSettings
from rsnet_jax.export.write import ONE_PERSON, WRITERS


@pytest.mark.parametrize("suffix", [suffix for suffix in WRITERS if suffix != ".npz"])
def test_writers_tell_of_every_frame_once(tmp_path, suffix):
    done = []
    WRITERS[suffix](tmp_path / f"a{suffix}", raised_arm(), OutputSettings(progress=done.append))
    assert sum(done) == FRAMES


@pytest.mark.parametrize("suffix", ONE_PERSON)
def test_files_of_one_person_ask_which(tmp_path, suffix):
    with pytest.raises(ConfigError, match=f"a {suffix} file holds one person; which of 0, 1"):
        WRITERS[suffix](tmp_path / f"a{suffix}", example_poses(), OutputSettings())


def test_names_are_made_fit_for_every_format(tmp_path):
    poses = raised_arm()
    odd = dataclasses.replace(poses, joints=("hüfte \n{ mitte", *poses.joints[1:]))
    for suffix in WRITERS:
        WRITERS[suffix](tmp_path / f"a{suffix}", odd, OutputSettings())
    assert "h_fte_mitte" in pybvh.read_bvh_file(tmp_path / "a.bvh").node_index
    assert (tmp_path / "a.trc").read_text().splitlines()[3].split("\t")[2] == "h_fte_mitte"
    same = dataclasses.replace(poses, joints=("left hip", *poses.joints[1:]))
    with pytest.raises(DataError, match="joints need names of their own, not left hip, right_hip"):
        WRITERS[".trc"](tmp_path / "b.trc", same, OutputSettings())


def test_bones_must_connect_the_skeleton(tmp_path):
    poses = raised_arm()
    without = dataclasses.replace(poses, bones=poses.bones[:-1])
    with pytest.raises(DataError, match="no bones lead from pelvis to right_wrist"):
        WRITERS[".bvh"](tmp_path / "a.bvh", without, OutputSettings())
