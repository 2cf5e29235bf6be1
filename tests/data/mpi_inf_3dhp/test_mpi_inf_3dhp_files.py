import json
import re

import mpi_files
import numpy as np
import pytest

from rsnet_jax.config import Config, DataConfig
from rsnet_jax.data.load import load_frames, load_train_and_validation
from rsnet_jax.data.mpi_inf_3dhp.read import load_mpi_inf_3dhp, read_pose_table
from rsnet_jax.data.mpi_inf_3dhp.spin import read_spin
from rsnet_jax.data.mpi_inf_3dhp.write import write_pose_table
from rsnet_jax.errors import ConfigError, DataError

USUAL = {"TS1": 603, "TS2": 540, "TS3": 505, "TS4": 553, "TS5": 276, "TS6": 452}
PREPARED, POSEAUG = "data_mpi_inf_3dhp.npz", "test_3dhp.npz"


@pytest.fixture
def sequences():
    return mpi_files.make_all()


def test_prepared_file_becomes_a_table_of_views(tmp_path, sequences):
    np.savez(tmp_path / PREPARED, **mpi_files.prepared_arrays(sequences))
    frames = load_mpi_inf_3dhp(tmp_path)
    assert (frames.dataset, frames.detections, frames.remarks) == ("mpi_inf_3dhp", "gt", ())
    assert (len(frames), frames.calibrated) == (27, False)
    relative = np.concatenate([made.relative for made in sequences])
    np.testing.assert_allclose(frames.joints_3d, relative, atol=1e-6)
    np.testing.assert_allclose(
        frames.keypoints_2d, np.concatenate([made.normalized for made in sequences]), atol=1e-6
    )
    assert frames.sequences == frames.subjects == ("TS1", "TS2", "TS3", "TS4", "TS5", "TS6")
    assert frames.actions == ("gs", "no_gs", "outdoor")
    names = [made.name for made in sequences for _ in made.poses]
    assert [frames.sequences[i] for i in frames.sequence] == names
    assert [frames.actions[i] for i in frames.action] == [mpi_files.SCENES[name] for name in names]
    assert frames.time.tolist() == [n for made in sequences for n in made.numbers]


def test_what_was_written_is_read_back(tmp_path, sequences):
    np.savez(tmp_path / "spin.npz", **mpi_files.spin_arrays(sequences))
    table = read_spin(tmp_path / "spin.npz")
    write_pose_table(tmp_path / PREPARED, table)
    again = read_pose_table(tmp_path / PREPARED)
    for name in ("pose3d", "pose2d", "sequence", "frame"):
        np.testing.assert_allclose(getattr(again, name), getattr(table, name), atol=1e-6)
    with np.load(tmp_path / PREPARED) as stored:  # plain arrays: allow_pickle is off
        assert json.loads(str(stored["header"]))["format"] == "rsnet_jax.mpi_inf_3dhp"
        assert stored["scene"][[0, 11, 26]].tolist() == ["gs", "no_gs", "outdoor"]
        for name, array in mpi_files.prepared_arrays(sequences).items():
            assert stored[name].dtype.kind == array.dtype.kind
            if array.dtype.kind == "f":
                np.testing.assert_allclose(stored[name], array, atol=1e-6)
            else:
                np.testing.assert_array_equal(stored[name], array)


def test_usual_rows_without_names_are_split_as_assumed(tmp_path):
    parts = [mpi_files.make(name, count) for name, count in USUAL.items()]
    np.savez(tmp_path / POSEAUG, **mpi_files.poseaug_arrays(parts))
    frames = load_mpi_inf_3dhp(tmp_path / POSEAUG)
    assert len(frames) == 2929
    names = np.array(frames.sequences)[frames.sequence]
    assert {name: int((names == name).sum()) for name in USUAL} == USUAL
    # The first and last row of each scene.
    scenes = np.array(frames.actions)[frames.action]
    assert scenes[[0, 1142, 1143, 2200, 2201, 2928]].tolist() == (
        ["gs"] * 2 + ["no_gs"] * 2 + ["outdoor"] * 2
    )
    (remark,) = frames.remarks
    assert "its 2,929 rows are assumed to be TS1 (603), TS2 (540), TS3 (505), TS4 (" in remark


def test_other_rows_without_names_have_no_scenes(tmp_path, sequences):
    np.savez(tmp_path / POSEAUG, **mpi_files.poseaug_arrays(sequences))
    frames = load_mpi_inf_3dhp(tmp_path)
    assert frames.sequences == frames.actions == ("unnamed",)
    assert "its 27 rows are not the 2,929 of the usual one" in frames.remarks[0]


def test_poses_may_be_absolute(tmp_path, sequences):
    arrays = mpi_files.poseaug_arrays(sequences)
    arrays["pose3d"] = np.concatenate([made.poses for made in sequences])
    np.savez(tmp_path / POSEAUG, **arrays)
    relative = np.concatenate([made.relative for made in sequences])
    np.testing.assert_allclose(load_mpi_inf_3dhp(tmp_path).joints_3d, relative, atol=1e-6)


def test_folder_must_hold_one_file(tmp_path, sequences):
    with pytest.raises(DataError, match=r"no data_mpi_inf_3dhp\.npz .*files there: none"):
        load_mpi_inf_3dhp(tmp_path)
    np.savez(tmp_path / "other.npz", x=1)
    with pytest.raises(DataError, match=r"no test_3dhp\.npz .*files there: other\.npz"):
        load_mpi_inf_3dhp(tmp_path)
    for name in (PREPARED, POSEAUG):
        np.savez(tmp_path / name, **mpi_files.prepared_arrays(sequences))
    with pytest.raises(DataError, match=r"both .*: name the file"):
        load_mpi_inf_3dhp(tmp_path)
    with pytest.raises(DataError, match=r"missing\.npz"):
        load_mpi_inf_3dhp(tmp_path / "missing.npz")


BROKEN = {
    "no poses": (lambda a: a.pop("pose3d"), "no 'pose3d' in it; found: frame, pose2d, scene"),
    "no points": (lambda a: a.pop("pose2d"), "no 'pose2d' in it; found: frame, pose3d, scene"),
    "no scene": (lambda a: a.pop("scene"), "no 'scene' in it"),
    "no frame": (lambda a: a.pop("frame"), "no 'frame' in it"),
    "17 joints": (
        lambda a: a.update(pose3d=np.zeros((27, 17, 3))),
        "pose3d: shape (N, 16, 3) was wanted, not (27, 17, 3)",
    ),
    "objects": (
        lambda a: a.update(pose3d=np.array({"S1": 1})),
        "pose3d: numbers of shape (N, 16, 3) were wanted, not dict",
    ),
    "rows": (lambda a: a.update(pose2d=a["pose2d"][1:]), "pose2d has 26 rows, where pose3d has 27"),
    "names": (
        lambda a: a.update(sequence=a["sequence"][1:]),
        "sequence has 26 rows, where pose3d has 27",
    ),
    "nan": (
        lambda a: a["pose3d"].__setitem__((20, 3, 2), np.nan),
        "pose3d: row 20, right_ankle: a coordinate is not finite",
    ),
    "inf": (
        lambda a: a["pose2d"].__setitem__((1, 0, 0), np.inf),
        "pose2d: row 1, pelvis: a coordinate is not finite",
    ),
    "millimeters": (
        lambda a: a["pose3d"].__imul__(1000),
        "pose3d (TS1): meters are wanted, but joints are ",
    ),
    "one length": (
        lambda a: a["pose3d"].__itruediv__(np.linalg.norm(a["pose3d"], axis=(1, 2), keepdims=True)),
        "pose3d (TS1): joints in another order, or scaled? right leg and trunk together are 0.6",
    ),
    "pixels": (
        lambda a: a.update(pose2d=1024 * (a["pose2d"] + 1)),
        "pose2d: normalized image coordinates (2 u / w - 1, 2 v / w - h / w) are wanted, but half",
    ),
    "0 to 1": (
        lambda a: a.update(pose2d=(a["pose2d"] + 1) / 2),
        "pose2d: normalized image coordinates (2 u / w - 1, 2 v / w - h / w) are wanted, but none",
    ),
    "order": (
        lambda a: a.update(pose3d=a["pose3d"][:, ::-1], pose2d=a["pose2d"][:, ::-1]),
        "pose3d (TS1): joints in another order, or scaled? ",
    ),
    "mirrored": (
        lambda a: a.update(pose3d=a["pose3d"] * [-1, 1, 1], pose2d=a["pose2d"] * [-1, 1]),
        "pose3d (TS1): knees bend backward",
    ),
    "upside down in 2D": (
        lambda a: a.update(pose2d=a["pose2d"] * [1, -1]),
        "pose2d (TS1): the 2D keypoints are not images of the 3D joints",
    ),
    "later sequence": (
        lambda a: a["pose3d"][25:].__imul__(100),
        "pose3d (TS6): meters are wanted",
    ),
    "other scene": (
        lambda a: a["scene"].__setitem__(11, "outdoor"),
        "sequence and scene: row 11: one of TS1 gs, TS2 gs, TS3 no_gs, TS4 no_gs, TS5 outdoor, "
        "TS6 outdoor was wanted, not 'TS3' 'outdoor'",
    ),
    "other sequence": (
        lambda a: a["sequence"].__setitem__(4, "TS9"),
        "row 4: one of TS1 gs, ",
    ),
    "no number": (
        lambda a: a.update(frame=a["frame"] - 5.0),
        "frame: numbers of images were wanted, not -4",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_broken_files_are_refused(tmp_path, sequences, case):
    change, message = BROKEN[case]
    arrays = mpi_files.prepared_arrays(sequences)
    change(arrays)
    np.savez(tmp_path / PREPARED, allow_pickle=True, **arrays)
    with pytest.raises(DataError, match=re.escape(message)) as raised:
        load_mpi_inf_3dhp(tmp_path)
    assert str(raised.value).startswith(f"{tmp_path / PREPARED}: ")


def test_data_set_that_is_not_named_is_pointed_to(tmp_path):
    (tmp_path / POSEAUG).touch()
    message = r"holds: none; for the file of MPI-INF-3DHP there: --data\.dataset mpi_inf_3dhp$"
    with pytest.raises(DataError, match=message):
        load_frames(DataConfig(root=tmp_path), "test")
    (tmp_path / POSEAUG).unlink()
    with pytest.raises(DataError, match="holds: none$"):
        load_frames(DataConfig(root=tmp_path), "test")


def test_nothing_is_trained_on_a_test_set(tmp_path):
    data = DataConfig(dataset="mpi_inf_3dhp", root=tmp_path)
    message = "^data.dataset mpi_inf_3dhp is a test set: train on h36m, then evaluate on it$"
    with pytest.raises(ConfigError, match=message):
        Config(data=data)
    with pytest.raises(ConfigError, match=message):
        load_frames(data, "train")
    for validation in ("test", "S8"):
        with pytest.raises(ConfigError, match=message):
            load_train_and_validation(data, validation)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"root": None}, "dataset mpi_inf_3dhp needs data.root"),
        ({"detections": "hr"}, "data.detections: mpi_inf_3dhp has gt keypoints only, not hr"),
        ({"joint_set": "h36m17"}, "data.joint_set: mpi_inf_3dhp is measured whole, in its 16"),
        ({"subjects_test": ("TS1",)}, "data.subjects_test: mpi_inf_3dhp is measured whole"),
        ({"actions": ("gs",)}, "data.actions: mpi_inf_3dhp is measured whole"),
        ({"every": 2}, "data.every: mpi_inf_3dhp is measured whole"),
    ],
)
def test_no_part_of_the_test_set_is_measured(tmp_path, setting, message):
    data = DataConfig(**({"dataset": "mpi_inf_3dhp", "root": tmp_path} | setting))
    with pytest.raises(ConfigError, match=f"^{message}"):
        load_frames(data, "test")
