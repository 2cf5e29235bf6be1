"""Detected keypoints: VideoPose3D's .npz files and EvoSkeleton's pairs of .npy files."""

import json
import pickle

import h36m_downloads
import h36m_files
import numpy as np
import pytest

from rsnet_jax.data.h36m.cameras import h36m_cameras
from rsnet_jax.data.h36m.download.prepare import prepare_h36m
from rsnet_jax.errors import DataError
from rsnet_jax.files.safe_npz import load_npz

LENGTHS = {"S1": {"Photo 1": 5, "Walking": 4}, "S9": {"Eating": 3}, "S11": {"Directions 1": 3}}
CPN, HRN = "data_2d_h36m_cpn_ft_h36m_dbb.npz", "twoDPose_HRN_{}.npy"


@pytest.fixture
def made():
    """17 joints; as detected: with noise, surplus frames, and the damaged clip of S11."""
    made = h36m_files.make(LENGTHS, neck=True)
    rng = np.random.default_rng(1)
    made.map_views(lambda view: np.concatenate([view, view[-1:] + 1]))
    made.map_views(lambda view: view + rng.normal(size=view.shape).astype(np.float32))
    made.views["S11"]["Directions"] = [np.ones((9, 17, 2), np.float32) * 500] * 4
    return made


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    files = h36m_downloads.members(h36m_downloads.millimeters(LENGTHS), "h5")
    return h36m_downloads.write_zip(tmp_path_factory.mktemp("source") / "h36m.zip", files)


@pytest.fixture
def prepared(source, tmp_path):
    prepare_h36m([source], out=tmp_path / "out", version="1.0")
    return tmp_path / "out"


def convert(*files, out, **options):
    return prepare_h36m([], detections=files, out=out, version="1.0", **options)


def write_npz(path, made, **changed):
    content = {"positions_2d": made.views, "metadata": made.metadata} | changed
    h36m_files.write_npz(path, **content)
    return path


def write_pair(folder, views, *, columns=64, name="{clip}.{camera}.h5-sh"):
    """EvoSkeleton's files: NumPy saves a dict as an object array without axes."""
    kept = h36m_files.KEPT if columns == 32 else h36m_files.KEPT_17
    halves = {"train": {}, "test": {}}
    for subject, clips in views.items():
        half = halves["test" if subject in ("S9", "S11") else "train"]
        for clip, cameras in clips.items():
            for camera, points in zip(h36m_cameras()[subject], cameras, strict=True):
                if columns == 64:
                    array = np.full((len(points), 32, 2), -1.0)
                    array[:, kept] = points
                elif columns == 32:
                    array = np.delete(points, 9, axis=1)
                else:
                    array = points
                key = (
                    int(subject[1:]),
                    clip.split(" ")[0],
                    name.format(clip=clip, camera=camera.name),
                )
                half[key] = array.reshape(len(array), columns)
    for half, content in halves.items():
        np.save(folder / HRN.format(half), np.array(content, dtype=object), allow_pickle=True)
    return [folder / HRN.format(half) for half in halves]


def check(folder, name, made, *, neck=False):
    """Every array is that of `made`, cut to the 3D clip, without neck/nose unless `neck`."""
    stored = load_npz(folder / f"data_2d_h36m_{name}.npz")
    expected = {subject: list(clips) for subject, clips in LENGTHS.items()}
    assert {subject: list(clips) for subject, clips in stored["positions_2d"].items()} == expected
    for subject, clips in LENGTHS.items():
        for clip, frames in clips.items():
            arrays = stored["positions_2d"][subject][clip]
            assert len(arrays) == 4
            for array, points in zip(arrays, made.views[subject][clip], strict=True):
                wanted = points[:frames] if neck else np.delete(points[:frames], 9, axis=1)
                assert array.dtype == np.float32
                np.testing.assert_array_equal(array, wanted)
    assert stored["metadata"]["num_joints"] == (17 if neck else 16)
    assert stored["metadata"]["layout_name"] == "h36m"


def test_files_of_videopose3d(tmp_path, made, prepared):
    done = convert(write_npz(tmp_path / CPN, made), out=prepared)
    check(prepared, "cpn_ft_h36m_dbb", made)
    assert done.outputs == (CPN,)
    assert done.counts == {"detections": {"cpn_ft_h36m_dbb": {"clips": 4, "frames": 15}}}
    entries = json.loads((prepared / "manifest.json").read_text())["prepared"]
    assert [len(entry["outputs"]) for entry in entries] == [2, 1]
    assert entries[1]["sources"][0]["name"] == CPN


def test_all_in_one_go_and_under_official_names(tmp_path, made, source):
    official = {"Photo 1": "TakingPhoto 1"}
    made.views = {
        subject: {official.get(name, name): views for name, views in clips.items()}
        for subject, clips in made.views.items()
    }
    cpn = write_npz(tmp_path / CPN, made)
    made.views["S1"]["Photo 1"] = made.views["S1"].pop("TakingPhoto 1")
    pair = write_pair(tmp_path, made.views)
    out = tmp_path / "out"
    done = prepare_h36m(
        [source], detections=[cpn, *pair], out=out, joint_set="h36m17", version="1.0"
    )
    check(out, "cpn_ft_h36m_dbb", made, neck=True)
    check(out, "hr", made, neck=True)
    assert list(done.outputs) == [
        "data_3d_h36m.npz",
        "data_2d_h36m_gt.npz",
        CPN,
        "data_2d_h36m_hr.npz",
    ]


@pytest.mark.parametrize("columns", [64, 34, 32])
@pytest.mark.parametrize("name", ["{clip}.{camera}.h5-sh", "{clip}.{camera}.h5", "{clip}.{camera}"])
def test_pairs_of_evoskeleton(tmp_path, made, prepared, columns, name):
    convert(*write_pair(tmp_path, made.views, columns=columns, name=name), out=prepared)
    check(prepared, "hr", made)


def test_half_a_pair_has_half_the_subjects(tmp_path, made, prepared):
    _, test = write_pair(tmp_path, made.views)
    done = convert(test, out=prepared)
    assert done.remarks == ("twoDPose_HRN_test.npy: it has no keypoints of S1",)
    stored = load_npz(prepared / "data_2d_h36m_hr.npz")["positions_2d"]
    assert list(stored) == ["S9", "S11"]


def test_stacked_hourglass_order_is_mended(tmp_path, made, prepared):
    """VideoPose3D's file has MPII order; our joints are in it where `ours` says."""
    ours = [6, 2, 1, 0, 3, 4, 5, 7, 8, 9, 13, 14, 15, 12, 11, 10]
    original = {subject: dict(clips) for subject, clips in made.views.items()}

    def to_mpii(view):
        out = np.empty((len(view), 16, 2), np.float32)
        out[:, ours] = np.delete(view, 9, axis=1)
        return out

    made.map_views(to_mpii)
    path = write_npz(
        tmp_path / "data_2d_h36m_sh_ft_h36m.npz", made, metadata=h36m_files.METADATA_MPII
    )
    convert(path, out=prepared)
    made.views = original
    check(prepared, "sh_ft_h36m", made)


def lose_clip(made):
    del made.views["S1"]["Walking"]


def lose_camera(made):
    made.views["S9"]["Eating"].pop()


def cut_frames(made):
    views = made.views["S1"]["Walking"]
    views[2] = views[2][:3]


def spoil(made):
    made.views["S9"]["Eating"][1][2, 4] = np.nan


def shuffle(made):
    made.map_views(lambda view: view[:, ::-1])


def wrong_metadata(made):
    made.map_views(lambda view: view[:, ::-1])
    made.metadata = None


def normalized(made):
    made.map_views(lambda view: view / 500 - 1)


def coco(made):
    made.metadata = h36m_files.METADATA_COCO


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lose_clip, "S1 'Walking' is missing, which data_3d_h36m.npz has"),
        (lose_camera, r"S9 'Eating': 4 cameras were wanted .* not 3"),
        (cut_frames, r"'Walking', camera 3 \(58860488\): it has 3 frames, where the 3D .* 4"),
        (spoil, r"'Eating', camera 2 .*: frame 2 has a coordinate that is not finite"),
        (shuffle, "the joints are in another order: .*right_wrist lies on pelvis; --trust-order"),
        (wrong_metadata, "the order of its 17 joints is unknown"),
        (normalized, "pixels are wanted"),
        (coco, "17 joints in COCO order"),
    ],
)
def test_faulty_files_are_named(tmp_path, made, prepared, change, problem):
    change(made)
    before = sorted(path.name for path in prepared.iterdir())
    with pytest.raises(DataError, match=f"^{CPN}: .*{problem}"):
        convert(write_npz(tmp_path / CPN, made), out=prepared)
    assert sorted(path.name for path in prepared.iterdir()) == before


def test_another_order_is_remarked_upon_if_it_is_trusted(tmp_path, made, prepared):
    shuffle(made)
    done = convert(write_npz(tmp_path / CPN, made), out=prepared, trust_order=True)
    assert any("right_wrist lies on pelvis" in remark for remark in done.remarks)
    check(prepared, "cpn_ft_h36m_dbb", made)


def save(path, content):
    np.save(path, np.array(content, dtype=object), allow_pickle=True)
    return path


WALK = (9, "Eating", "Eating.54138969.h5-sh")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ({WALK: np.ones((3, 60))}, r"shape \(time, 64\) or \(time, 34\) .* \(3, 60\)"),
        ({WALK: "text"}, "numbers of shape"),
        ({WALK[:2]: np.ones((3, 64))}, "a key such as"),
        ({(9, "Eating", "Eating.h5"): np.ones((3, 64))}, "a key such as"),
        ({(4, "Eating", WALK[2]): np.ones((3, 64))}, "a key such as"),
        ({(9, "Walking", WALK[2]): np.ones((3, 64))}, "the action and that of the clip differ"),
        ({(9, "Eating", "Eating.12345678"): np.ones((3, 64))}, "S9 has no camera 12345678"),
        ({WALK: np.ones((3, 64))}, "'Eating': no camera 55011271, 58860488, 60457274"),
        ([1, 2], "a pickled dict was wanted"),
    ],
)
def test_faulty_pairs_are_named(tmp_path, prepared, content, problem):
    with pytest.raises(DataError, match=r"twoDPose_HRN_test\.npy: .*" + problem):
        convert(save(tmp_path / HRN.format("test"), content), out=prepared)


def test_joints_that_a_file_lacks_are_not_written(tmp_path, made, prepared):
    """Detectors of 16 joints leave neck/nose of the 32 at zero."""
    made.map_views(lambda view: view * (np.arange(17) != 9)[:, None])
    pair = write_pair(tmp_path, made.views)
    with pytest.raises(DataError, match=r"neck_nose is at \(0, 0\) in all frames"):
        convert(*pair, out=prepared, joint_set="h36m17")
    convert(*pair, out=prepared)
    check(prepared, "hr", made)


class Attack:
    def __reduce__(self):
        return (print, ("run",))


def test_nothing_of_a_pickle_is_run(tmp_path, prepared, capsys):
    for path in (tmp_path / HRN.format("train"), tmp_path / "data_2d_h36m_x.npz"):
        if path.suffix == ".npy":
            save(path, Attack())
        else:
            h36m_files.write_npz(path, positions_2d=Attack())
        with pytest.raises(DataError, match=rf"{path.name} asks for '.*print': refused"):
            convert(path, out=prepared)
    (tmp_path / "plain.npy").write_bytes(pickle.dumps({}))
    with pytest.raises(DataError, match=r"plain\.npy: not an \.npy file"):
        convert(tmp_path / "plain.npy", out=prepared)
    assert capsys.readouterr().out == ""


def test_names_are_clear(tmp_path, made, prepared):
    with pytest.raises(DataError, match=r"x\.txt: detections in an \.npz or \.npy file"):
        convert(tmp_path / "x.txt", out=prepared)
    (tmp_path / "other").mkdir()
    files = [write_npz(folder / CPN, made) for folder in (tmp_path, tmp_path / "other")]
    with pytest.raises(DataError, match="has the name 'cpn_ft_h36m_dbb' too"):
        convert(*files, out=prepared)
    with pytest.raises(DataError, match=r"no such file; \.npz files there: none"):
        convert(files[0], out=tmp_path / "new")
