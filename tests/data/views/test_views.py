"""Folders of views: written by NumPy and json alone, by our writer, and damaged in many ways."""

import json
import re
from pathlib import Path

import h36m_files
import numpy as np
import pytest

from rsnet_jax.config import DataConfig
from rsnet_jax.data.h36m.cameras import h36m_cameras
from rsnet_jax.data.h36m.read import load_clips, load_h36m
from rsnet_jax.data.load import load_frames
from rsnet_jax.data.views import read
from rsnet_jax.data.views.format import Split, StoredCamera
from rsnet_jax.data.views.read import open_views
from rsnet_jax.data.views.write import Description, ViewSequence, ViewsWriter, write_clips
from rsnet_jax.errors import DataError, OutputError
from rsnet_jax.pose.camera import project
from rsnet_jax.pose.skeleton import H36M_16, Skeleton

STICK = {"name": "stick", "joints": ["hip", "knee"], "parents": [-1, 0], "left": [], "right": []}
VEE = {
    "name": "vee",
    "joints": ["hip", "left_knee", "right_knee"],
    "parents": [-1, 0, 0],
    "left": [1],
    "right": [2],
}


def hand_written(folder):
    """A folder made by NumPy and json alone: three sequences of two subjects, seven views."""
    folder.mkdir(exist_ok=True)
    joints = np.arange(7 * 3 * 3, dtype="<f4").reshape(7, 3, 3)
    keypoints = np.arange(7 * 2 * 2, dtype="<f4").reshape(7, 2, 2) / 100
    np.save(folder / "joints_3d.npy", joints)
    np.save(folder / "keypoints_gt.npy", keypoints)
    np.save(folder / "keypoints_cpn.npy", keypoints + 1)
    np.save(folder / "confidence_cpn.npy", np.full((7, 2), 0.5, "<f4"))
    np.save(folder / "time.npy", np.array([0, 1, 2, 0, 1, 0, 5], "<i4"))
    index = {
        "format": "rsnet_jax.views",
        "version": 1,
        "dataset": "made up",
        "units": "meters",
        "axes": "camera: x right, y down, z forward",
        "coordinates": "normalized: x and y divided by half the image width",
        "skeleton": VEE,
        "keypoint_skeleton": STICK,
        "detections": ["gt", "cpn"],
        "cameras": [
            {"name": "a", "width": 100, "height": 50, "vector": [1, 2, 3, 4, 5, 6, 7, 8, 9]},
            {"name": "b", "width": 100, "height": 50, "vector": [0.5] * 9},
        ],
        "sequences": [
            {"subject": "P1", "clip": "Walk", "camera": 0, "first": 0, "count": 3},
            {"subject": "P1", "clip": "Walk", "camera": 1, "first": 3, "count": 2},
            {"subject": "P2", "clip": "Sit 2", "camera": 1, "first": 5, "count": 2, "fps": 30},
        ],
        "arrays": {
            "joints_3d": {"shape": [7, 3, 3], "dtype": "float32"},
            "keypoints_gt": {"shape": [7, 2, 2], "dtype": "float32"},
            "keypoints_cpn": {"shape": [7, 2, 2], "dtype": "float32"},
            "confidence_cpn": {"shape": [7, 2], "dtype": "float32"},
            "time": {"shape": [7], "dtype": "int32"},
        },
    }
    (folder / "index.json").write_text(json.dumps(index))
    return folder


def load_views(folder, **wanted):
    """The table, in memory."""
    return read.load_views(folder, **wanted).in_memory()


@pytest.fixture
def folder(tmp_path):
    return hand_written(tmp_path / "views")


def change_index(folder, change):
    path = folder / "index.json"
    index = json.loads(path.read_text())
    change(index)
    path.write_text(json.dumps(index))


def test_a_folder_written_by_numpy_alone_is_read(folder):
    frames = load_views(folder, detections="cpn", subjects=["P1", "P2"])
    assert (frames.dataset, frames.detections) == ("made up", "cpn")
    assert frames.skeleton.joints == ("hip", "left_knee", "right_knee")
    assert frames.keypoint_skeleton.name == "stick"
    np.testing.assert_array_equal(frames.joints_3d.ravel(), np.arange(63))
    np.testing.assert_allclose(frames.keypoints_2d.ravel(), 1 + np.arange(28) / 100)
    np.testing.assert_array_equal(frames.subject, [0, 0, 0, 0, 0, 1, 1])
    np.testing.assert_array_equal(frames.camera, [0, 0, 0, 1, 1, 1, 1])
    np.testing.assert_array_equal(frames.sequence, [0, 0, 0, 1, 1, 2, 2])
    np.testing.assert_array_equal(frames.time, [0, 1, 2, 0, 1, 0, 5])
    assert frames.actions == ("Walk", "Sit")
    assert frames.sequences == ("P1/Walk/a", "P1/Walk/b", "P2/Sit 2/b")
    np.testing.assert_array_equal(frames.camera_vectors[0], np.arange(1, 10))


def test_the_example_of_the_docs_is_a_folder_of_views(tmp_path, monkeypatch):
    page = Path(__file__).parents[3] / "docs" / "data.md"
    (example,) = re.findall(r"^```python$(.*?)^```$", page.read_text(), re.DOTALL | re.MULTILINE)
    monkeypatch.chdir(tmp_path)
    exec(example, {})
    frames = load_views(tmp_path, detections="gt", subjects=["P1"])
    assert (len(frames), frames.sequences) == (50, ("P1/Stand/front",))
    joints = frames.joints_3d + frames.joints_3d[:, :1] * [[[0], [1]]]
    projected = project(joints, frames.camera_vectors[0])
    np.testing.assert_allclose(frames.keypoints_2d, projected, atol=1e-6)
    np.testing.assert_allclose(projected[0, 1], [0, 2.2 * 0.5 / 4], atol=1e-6)


def test_cameras_need_not_be_calibrated(folder):
    assert load_views(folder, detections="gt", subjects=["P1"]).calibrated
    change_index(folder, lambda index: index["cameras"][1].pop("vector"))
    frames = load_views(folder, detections="gt", subjects=["P1"])
    assert not frames.calibrated and np.isnan(frames.camera_vectors[1]).all()


def test_a_part_of_a_folder_is_read(folder):
    frames = load_views(folder, detections="gt", subjects=["P1"], every=2)
    np.testing.assert_array_equal(frames.joints_3d[:, 0, 0], [0, 18, 27])  # rows 0, 2, 3
    np.testing.assert_array_equal(frames.time, [0, 2, 0])
    frames = load_views(folder, detections="gt", subjects=["P2", "P1"], actions=["Sit"])
    np.testing.assert_array_equal(frames.joints_3d[:, 0, 0], [45, 54])
    assert (frames.subjects, frames.actions) == (("P2",), ("Sit",))


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ({"detections": None}, "which 2D keypoints.* holds: gt, cpn"),
        ({"detections": "hr"}, "no detections 'hr'; it holds: gt, cpn"),
        ({"subjects": ["P1", "S9"]}, "no subject 'S9'; it holds: P1, P2"),
        ({"actions": ["Sit"]}, "no action 'Sit' of P1; found: Walk"),
    ],
)
def test_what_the_folder_lacks_is_named(folder, wanted, message):
    with pytest.raises(DataError, match=message):
        load_views(folder, **{"detections": "gt", "subjects": ["P1"]} | wanted)


def test_the_data_set_is_found_by_its_index_and_names_its_subjects(folder):
    data = DataConfig(root=folder, detections="gt", trust_order=True)  # made of noise
    with pytest.raises(DataError, match="no subject 'S1'; it holds: P1, P2"):
        load_frames(data, "train")
    change_index(folder, lambda index: index.update(split={"train": ["P1"], "test": ["P2"]}))
    assert load_frames(data, "train").subjects == ("P1",)
    assert load_frames(data, "test").subjects == ("P2",)
    data = data.model_copy(update={"subjects_test": ("P1",)})
    assert load_frames(data, "test").subjects == ("P1",)


def test_our_writer_writes_what_the_table_of_the_same_clips_holds(tmp_path):
    """Bit-equal to the table that the Human3.6M reader makes, from two kinds of detections."""
    made = h36m_files.make()
    h36m_files.write(tmp_path, made, detections="gt")
    made.map_views(lambda view: view + 3)
    h36m_files.write(tmp_path, made, detections="hr")
    subjects = ["S9", "S11"]
    clips = {
        name: load_clips(tmp_path, detections=name, subjects=subjects) for name in ("gt", "hr")
    }
    about = Description(
        "h36m", H36M_16, H36M_16, ("gt", "hr"), split=Split(train=("S9",), test=("S11",))
    )
    write_clips(tmp_path / "views", clips, h36m_cameras(), description=about, fps=50)
    for name in ("gt", "hr"):
        got = load_views(tmp_path / "views", detections=name, subjects=subjects, every=2)
        want = load_h36m(tmp_path, detections=name, subjects=subjects, every=2)
        for column in ("keypoints_2d", "joints_3d", "subject", "action", "sequence", "time"):
            np.testing.assert_array_equal(getattr(got, column), getattr(want, column))
        np.testing.assert_array_equal(
            got.camera_vectors[got.camera], want.camera_vectors[want.camera]
        )
        assert (got.sequences, got.subjects, got.actions) == (
            want.sequences,
            want.subjects,
            want.actions,
        )
    index = open_views(tmp_path / "views").index
    camera = h36m_cameras()["S9"][0]
    assert index.cameras[0].rotation == camera.orientation
    assert index.sequences[0].fps == 50 and len(index.cameras) == 8
    np.testing.assert_array_equal(  # by NumPy alone, too
        np.load(tmp_path / "views" / "joints_3d.npy")[:3],
        load_h36m(tmp_path, detections="gt", subjects=["S9"]).joints_3d[:3],
    )


def sequence(**changes):
    given = {
        "subject": "P1",
        "clip": "Walk",
        "camera": StoredCamera(name="a", width=10, height=10, vector=(1.0,) * 9),
        "joints_3d": np.zeros((4, 3, 3), np.float32),
        "keypoints": {"gt": np.zeros((4, 2, 2), np.float32)},
    }
    return ViewSequence(**given | changes)


@pytest.fixture
def about():
    return Description("made up", Skeleton.from_dict(VEE), Skeleton.from_dict(STICK), ("gt",))


def test_a_folder_that_was_not_completed_has_no_index(tmp_path, about):
    (tmp_path / "notes").write_text("mine")
    with pytest.raises(KeyboardInterrupt), ViewsWriter(tmp_path, about) as writer:
        writer.add(sequence())
        assert not (tmp_path / "index.json").exists()
        raise KeyboardInterrupt
    assert [path.name for path in tmp_path.iterdir()] == ["notes"]
    with ViewsWriter(tmp_path, about) as writer:
        writer.add(sequence())
    assert len(load_views(tmp_path, detections="gt", subjects=["P1"])) == 4
    with pytest.raises(OutputError, match="will not overwrite index.json, joints_3d.npy"):
        ViewsWriter(tmp_path, about)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"joints_3d": np.zeros((4, 3, 3))}, r"joints_3d must have .*float32, not .*float64"),
        ({"time": np.zeros(3, np.int32)}, r"time must have shape \(4,\)"),
        ({"keypoints": {}}, "columns joints_3d, keypoints_gt, time were wanted, not joints_3d"),
        ({"joints_3d": np.full((4, 3, 3), np.nan, np.float32)}, "joints_3d: .*not finite"),
        ({"joints_3d": np.zeros((0, 3, 3), np.float32)}, r"count: .* got 0"),
        ({"clip": ""}, "clip: "),
        ({"fps": 0.0}, "fps: "),
    ],
)
def test_sequences_that_do_not_fit_are_refused(unchecked_calls, tmp_path, about, change, message):
    columns = {"keypoints": {"gt": np.zeros((0, 2, 2), np.float32)}} if "count" in message else {}
    with (
        pytest.raises(DataError, match=f"P1.*camera a: {message}") as caught,
        ViewsWriter(tmp_path, about) as writer,
    ):
        writer.add(sequence(**columns | change))
    assert "\n" not in str(caught.value)


def test_a_folder_without_sequences_is_not_written(tmp_path, about):
    with pytest.raises(DataError, match="no sequence was written"), ViewsWriter(tmp_path, about):
        pass


def cut(path, size):
    path.write_bytes(path.read_bytes()[:size])


def put(name, array, **options):
    return lambda folder: np.save(folder / name, array, **options)


def say(change):
    return lambda folder: change_index(folder, change)


def update(part, **values):
    return say(lambda index: part(index).update(values))


ROWS = np.zeros((7, 3, 3), np.float32)
DAMAGES = {
    "no index": (lambda f: (f / "index.json").unlink(), "index.json"),
    "empty index": (lambda f: (f / "index.json").write_text(""), "index.json is empty"),
    "cut index": (lambda f: cut(f / "index.json", 300), "index.json: .*EOF"),
    "another format": (update(lambda i: i, format="coco"), "format: .*rsnet_jax.views.*'coco'"),
    "a newer version": (update(lambda i: i, version=2), "version: .*1, got 2"),
    "millimeters": (update(lambda i: i, units="mm"), "units: .*meters.*'mm'"),
    "an unknown name": (update(lambda i: i, color=1), "unknown field color"),
    "no skeleton": (say(lambda i: i.pop("skeleton")), "skeleton is missing"),
    "a wrong skeleton": (
        update(lambda i: i["skeleton"], parents=[-1, 2, 0]),
        "skeleton: skeleton 'vee': parents",
    ),
    "a path as name": (
        update(lambda i: i, detections=["../../etc/passwd"]),
        "detections.0: .*pattern",
    ),
    "text for a number": (
        update(lambda i: i["sequences"][0], count="3"),
        "sequences.0.count: .*integer, got '3'",
    ),
    "a camera of eight numbers": (
        update(lambda i: i["cameras"][1], vector=[1] * 8),
        "cameras.1.vector: .*9",
    ),
    "no such camera": (
        update(lambda i: i["sequences"][2], camera=2),
        "sequences: number 2 names camera 2 of 2",
    ),
    "a gap": (
        update(lambda i: i["sequences"][2], first=6),
        "number 2 begins at row 6; 5 was wanted",
    ),
    "a sequence twice": (
        update(lambda i: i["sequences"][1], camera=0),
        "P1 'Walk', camera 0, is there 2 times",
    ),
    "a sequence too many": (
        say(
            lambda i: i["sequences"].append(
                dict(subject="P3", clip="A", camera=0, first=7, count=1)
            )
        ),
        r"arrays: joints_3d must be float32 of shape \(8, 3, 3\), not .*\(7, 3, 3\)",
    ),
    "an array that is not listed": (
        say(lambda i: i["arrays"].pop("keypoints_gt")),
        "arrays: no 'keypoints_gt'",
    ),
    "an array without a meaning": (
        say(lambda i: i["arrays"].update(depth={"shape": [7], "dtype": "float32"})),
        "arrays: 'depth' is none of joints_3d, time",
    ),
    "a missing file": (lambda f: (f / "time.npy").unlink(), "there is no file time.npy in"),
    "an empty file": (lambda f: (f / "time.npy").write_bytes(b""), "time.npy is empty"),
    "a cut file": (lambda f: cut(f / "joints_3d.npy", 200), "joints_3d.npy: .*cut short"),
    "a cut header": (lambda f: cut(f / "joints_3d.npy", 60), "joints_3d.npy: .*cut short"),
    "a longer file": (
        lambda f: (f / "time.npy").write_bytes((f / "time.npy").read_bytes() + b"1"),
        "time.npy: 156 bytes were wanted by its header, not 157",
    ),
    "no .npy file": (lambda f: (f / "time.npy").write_text("hello world"), "not a plain .npy"),
    "a pickle": (
        put("joints_3d.npy", np.array([{}, 1], object), allow_pickle=True),
        "joints_3d.npy: not a plain .npy",
    ),
    "another shape": (
        put("joints_3d.npy", ROWS[:6]),
        r"joints_3d.npy: index.json says .*\(7, 3, 3\), but the file holds .*\(6, 3, 3\)",
    ),
    "another type": (put("joints_3d.npy", ROWS.astype(float)), "float32 .* holds float64"),
    "big-endian": (put("joints_3d.npy", ROWS.astype(">f4")), r"holds >?f.*\(big-endian\)"),
    "Fortran order": (put("joints_3d.npy", np.asfortranarray(ROWS)), "in Fortran order"),
    "not a number": (
        put("joints_3d.npy", np.where(np.arange(7)[:, None, None] == 4, np.nan, ROWS)),
        "joints_3d.npy: row 4 holds a value that is not finite",
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_folders_are_refused_in_one_line(folder, damage):
    break_it, message = DAMAGES[damage]
    break_it(folder)
    with pytest.raises(DataError, match=message) as caught:
        load_views(folder, detections="gt", subjects=["P1", "P2"])
    assert "\n" not in str(caught.value) and str(folder.name) in str(caught.value)


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(DataError, match="nowhere: no such folder; wanted one with index.json"):
        open_views(tmp_path / "nowhere")


def test_confidences_are_the_third_number(tmp_path):
    """Those of the folder, or 1 where it has none; other data sets have 1, too."""
    folder = hand_written(tmp_path)
    for detections, sure in (("cpn", 0.5), ("gt", 1)):
        views = read.load_views(
            folder, detections=detections, subjects=("P2", "P1"), confidence=True
        )
        assert views.channels == 3
        assert views.nbytes == 7 * 4 * (3 * 3 + 3 * 2 + 1)
        rows = views.in_memory().keypoints_2d
        assert rows.dtype == np.float32
        np.testing.assert_array_equal(rows[..., 2], np.full((7, 2), sure))
        plain = load_views(folder, detections=detections, subjects=("P2", "P1"))
        np.testing.assert_array_equal(rows[..., :2], plain.keypoints_2d)
        assert plain.channels == 2
    frames = load_frames(DataConfig(every=100), "test", confidence=True)
    assert frames.channels == 3 and (frames.in_memory().keypoints_2d[..., 2] == 1).all()
