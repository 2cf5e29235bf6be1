import pytest
from export.poses_table import example_poses
from export.raised_arm import FRAMES, raised_arm

from rsnet_jax.errors import ConfigError
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
