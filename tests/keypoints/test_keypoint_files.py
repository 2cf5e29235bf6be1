import json

import numpy as np
import pytest
from keypoints.detector_files import SIZE, WRITERS, points_of, write, write_openpose

from rsnet_jax.errors import DataError
from rsnet_jax.keypoints import json_file, rows
from rsnet_jax.keypoints.frame_numbers import frame_numbers
from rsnet_jax.keypoints.read import read_keypoints
from rsnet_jax.pose.layouts import LAYOUTS


@pytest.mark.parametrize("name", WRITERS)
def test_files_of_detectors_are_read(tmp_path, name):
    path, points, layout = write(name, tmp_path)
    found = read_keypoints(path, size=SIZE)
    assert found.layout is layout
    np.testing.assert_allclose(found.keypoints, points[..., :2], rtol=1e-6)
    has_scores = name not in ("videopose3d", "csv-wide")
    wanted = points[..., 2] if has_scores else np.ones(points.shape[:2])
    np.testing.assert_allclose(found.confidence, wanted, rtol=1e-6)
    assert found.frame.tolist() == list(range(len(points)))
    assert found.frames == len(points)
    assert found.image_size == SIZE


def test_formats_and_layouts_that_contradict_the_file_are_refused(tmp_path):
    path, *_ = write("alphapose-17", tmp_path)
    with pytest.raises(DataError, match="layout halpe26 has 26 joints, but the file has 17; "):
        read_keypoints(path, layout="halpe26")
    with pytest.raises(DataError, match="not of the format mmpose; it looks like alphapose"):
        read_keypoints(path, format_name="mmpose")
    with pytest.raises(DataError, match=r"a \.json file is not of the format npz"):
        read_keypoints(path, format_name="npz")
    assert read_keypoints(path, layout="h36m17").layout.name == "h36m17"  # it was said
    with pytest.raises(DataError, match="no layout 'coco'; there are h36m16, "):
        read_keypoints(path, layout="coco")


def test_layouts_that_cannot_be_told_are_asked_for(tmp_path):
    np.save(tmp_path / "a.npy", np.ones((3, 17, 2)))
    with pytest.raises(DataError, match="17 joints can be h36m17 or coco17; say which with --lay"):
        read_keypoints(tmp_path / "a.npy")
    np.save(tmp_path / "b.npy", np.ones((3, 19, 2)))
    with pytest.raises(DataError, match="no layout has 19 joints; known are layouts with 16, 17,"):
        read_keypoints(tmp_path / "b.npy")


@pytest.mark.parametrize("empty", [(1,), (0,), (3,), (0, 1, 3)])
def test_frames_without_a_person_stay_in_the_time_line(tmp_path, empty):
    folder = tmp_path / "open"
    write_openpose(folder, points_of(LAYOUTS["body25"]))
    for frame in empty:
        file = folder / f"walk_{frame:012}_keypoints.json"
        file.write_text(json.dumps({"people": []}))
    found = read_keypoints(folder)
    assert found.frames == 4
    assert found.frame.tolist() == [frame for frame in range(4) if frame not in empty]


def test_nobody_at_all_is_said(tmp_path):
    folder = tmp_path / "open"
    folder.mkdir()
    for frame in range(3):
        (folder / f"{frame}.json").write_text('{"people": []}')
    with pytest.raises(DataError, match="open: nobody in it: 3 frames without a person"):
        read_keypoints(folder)


def test_older_files_of_openpose_are_the_same_person(tmp_path):
    points = points_of(LAYOUTS["coco18"])
    write_openpose(tmp_path / "new", points)
    write_openpose(tmp_path / "old", points, key="pose_keypoints")
    write_openpose(tmp_path / "bare", points[..., :2])
    new, old, bare = (read_keypoints(tmp_path / name) for name in ("new", "old", "bare"))
    np.testing.assert_array_equal(old.keypoints, new.keypoints)
    np.testing.assert_array_equal(old.confidence, new.confidence)
    np.testing.assert_array_equal(bare.keypoints, new.keypoints)
    assert (bare.confidence == 1).all()


@pytest.mark.parametrize(
    ("names", "frames", "remark"),
    [
        ([31, 48, 66], [31, 48, 66], None),
        (["1.jpg", "10.jpg", "11.jpg", "2.jpg"], [0, 9, 10, 1], "count from 1"),
        (["out0001234.png", "out0001236.png"], [1234, 1236], None),
        (["cam01.0023.json", "cam01.0024.json"], [23, 24], None),
        (["cam01.0023.json"], [23], None),
        (["a/cam2_7_x.png", "a/cam2_9_x.png"], [7, 9], None),
        (["clip_a.jpg", "clip_b.jpg", "clip_a.jpg"], [0, 1, 0], "in the order of the file"),
        (["video7_frame3_v2.jpg", "video7_frame4_v2.jpg"], [3, 4], None),
        ([1, 1, 2], [0, 0, 1], "count from 1"),
        ([10128340001, 10128340000], [1, 0], "numbers of frames up to 10128340001 are no count"),
    ],
)
def test_frame_numbers_come_from_names(names, frames, remark):
    found, said = frame_numbers(names)
    assert found == frames
    assert (remark in said) if remark else said is None


def test_frames_far_apart_leave_gaps(tmp_path):
    joints = [10.0, 20.0, 0.9] * 16 + [10.0, 30.0, 0.9]
    people = [{"frame_id": frame, "keypoints": joints} for frame in (31, 48, 66)]
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"annotations": people}))
    found = read_keypoints(path)
    assert (found.frames, found.frame.tolist()) == (67, [31, 48, 66])


def test_people_of_whom_no_joint_is_there_are_nobody(tmp_path):
    points = points_of(LAYOUTS["coco17"])
    points[2] = 0
    found = read_keypoints(write("coco", tmp_path, points)[0])
    assert (found.frames, found.frame.tolist()) == (4, [0, 1, 3])
    points[..., 2] = 0
    points[0, 0] = (np.nan, 5, 1)
    with pytest.raises(DataError, match="nobody in it: all joints are missing"):
        read_keypoints(write("coco", tmp_path, points)[0])


def test_names_of_joints_in_an_annotation_file_decide(tmp_path):
    """As in the example of MMPose for Human3.6M, which says left leg first."""
    words = "root (pelvis),left_hip,left_knee,left_foot,right_hip,right_knee,right_foot,spine,"
    words += "thorax,neck_base,head,left_shoulder,left_elbow,left_wrist,right_shoulder,"
    words = (words + "right_elbow,right_wrist").split(",")
    layout = LAYOUTS["h36m17"]
    own = [word.replace("foot", "ankle") for word in words]
    own[0], own[9] = "pelvis", "neck_nose"
    points = points_of(layout)[:, [layout.index[name] for name in own]]
    path, *_ = write("coco", tmp_path, points)
    content = {"annotations": json.loads(path.read_text()), "categories": [{"keypoints": words}]}
    path.write_text(json.dumps(content))
    found = read_keypoints(path)
    assert found.layout is layout
    np.testing.assert_allclose(found.keypoints, points_of(layout)[..., :2], rtol=1e-6)
    assert read_keypoints(path, layout="coco17").layout.name == "coco17"  # it was said
    words[3] = "left_hoof"
    path.write_text(json.dumps(content))
    with pytest.raises(DataError, match=r"categories \(pelvis, left_hip.*are those of no layout"):
        read_keypoints(path)


def test_poses_in_3d_are_no_keypoints(tmp_path):
    np.save(tmp_path / "a.npy", np.random.default_rng(0).normal(size=(5, 17, 3)) * 400)
    with pytest.raises(DataError, match=r"third number of a joint goes up to [0-9.]+, which is no"):
        read_keypoints(tmp_path / "a.npy", layout="h36m17")


@pytest.mark.parametrize("filler", [(0, 0, 0), (5, 5, 0), (0, -3, 0), (0, 0, None), (None, 1, 1)])
def test_fillers_count_as_missing(tmp_path, filler):
    points = points_of(LAYOUTS["coco17"]).tolist()
    points[1][9] = list(filler)
    people = [
        {"image_id": f"{frame}.jpg", "keypoints": [value for joint in joints for value in joint]}
        for frame, joints in enumerate(points)
    ]
    path = tmp_path / "a.json"
    path.write_text(json.dumps(people))
    found = read_keypoints(path)
    missing = np.isnan(found.keypoints).any(axis=-1)
    assert np.argwhere(missing).tolist() == [[1, 9]]
    assert found.confidence[1, 9] == 0


def test_points_without_scores_at_the_origin_are_missing(tmp_path):
    points = points_of(LAYOUTS["halpe26"])[..., :2]
    points[2, 3] = 0
    np.save(tmp_path / "a.npy", points)
    missing = np.isnan(read_keypoints(tmp_path / "a.npy").keypoints).any(axis=-1)
    assert np.argwhere(missing).tolist() == [[2, 3]]


def test_strange_scores_are_said(tmp_path):
    path, points, _ = write("alphapose", tmp_path)
    for scores, remark in ((0.0, "all scores are 0"), (1.007, "scores up to 1.007: those above 1")):
        changed = points.copy()
        changed[..., 2] = scores
        path, *_ = write("alphapose", tmp_path, changed)
        found = read_keypoints(path)
        assert any(remark in said for said in found.remarks)
        assert (found.confidence == 1).all()
        assert np.isfinite(found.keypoints).all()


def test_flags_of_coco_are_no_scores(tmp_path):
    points = points_of(LAYOUTS["coco17"])
    points[..., 2] = 2
    points[0, 0] = (12, 13, 0)  # a filler position
    points[0, 1, 2] = 1
    path, *_ = write("coco", tmp_path, points)
    found = read_keypoints(path)
    assert np.argwhere(np.isnan(found.keypoints).any(axis=-1)).tolist() == [[0, 0]]
    assert found.confidence[0, 1] == found.confidence[0, 2] == 1
    assert not any("above 1" in said for said in found.remarks)


@pytest.mark.parametrize("count", [16 * 3 + 1, 50, 3])
def test_lists_of_a_wrong_length_name_the_place(tmp_path, count):
    path = tmp_path / "a.json"
    path.write_text(json.dumps([{"image_id": "7.jpg", "keypoints": [1.0] * count}]))
    with pytest.raises(DataError, match=r"a\.json"):
        read_keypoints(path)


def test_files_that_mix_two_lengths_are_refused(tmp_path):
    path = tmp_path / "a.json"
    people = [{"image_id": f"{n}.jpg", "keypoints": [1.0] * (3 * n)} for n in (17, 26)]
    path.write_text(json.dumps(people))
    with pytest.raises(DataError, match="26.jpg: 26 joints with 3 numbers each, where the first p"):
        read_keypoints(path)


def test_landmarks_are_scaled_by_width_and_height(tmp_path):
    path, points, _ = write("mediapipe", tmp_path)
    with pytest.raises(DataError, match="fractions of the image; say its size in pixels with --s"):
        read_keypoints(path)
    wide = read_keypoints(path, size=(1280, 480))
    np.testing.assert_allclose(wide.keypoints[..., 0], 2 * points[..., 0], rtol=1e-6)
    np.testing.assert_allclose(wide.keypoints[..., 1], points[..., 1], rtol=1e-6)


def test_landmarks_outside_the_image_keep_their_confidence(tmp_path):
    points = points_of(LAYOUTS["mediapipe33"])
    points[0, 32] = (320, 2.6 * SIZE[1], 1e-4)
    points[0, 31] = (-3, 10, 0.2)
    path, *_ = write("mediapipe", tmp_path, points)
    found = read_keypoints(path, size=SIZE)
    np.testing.assert_allclose(found.keypoints[0, 31:], points[0, 31:, :2], rtol=1e-6)
    np.testing.assert_allclose(found.confidence[0, 31:], (0.2, 1e-4), rtol=1e-6)


@pytest.mark.parametrize("form", ["numbers", "world_landmarks"])
def test_landmarks_of_tasks_and_by_number(tmp_path, form):
    _, points, _ = write("mediapipe", tmp_path)
    people = json.loads((tmp_path / "mediapipe.json").read_text())
    if form == "numbers":
        content = [{str(n): point for n, point in enumerate(person)} for person in people]
    else:
        content = [{"landmarks": [person], "world_landmarks": [person]} for person in people]
    path = tmp_path / "b.json"
    path.write_text(json.dumps(content))
    found = read_keypoints(path, size=SIZE)
    np.testing.assert_allclose(found.keypoints, points[..., :2], rtol=1e-6)


def test_world_landmarks_are_refused(tmp_path):
    points = points_of(LAYOUTS["mediapipe33"])
    points[..., :2] -= points[:, 23:25, :2].mean(axis=1, keepdims=True)
    points[..., :2] *= np.array(SIZE) / 200  # meters around the hips
    for unit in (1, 50):
        scaled = points * np.array([unit, unit, 1])
        path, *_ = write("mediapipe", tmp_path, scaled)
        with pytest.raises(DataError, match="world landmarks"):
            read_keypoints(path, size=SIZE)


def test_landmarks_in_pixels_are_refused(tmp_path):
    points = points_of(LAYOUTS["mediapipe33"])
    points[..., :2] *= SIZE
    path, *_ = write("mediapipe", tmp_path, points)
    with pytest.raises(DataError, match="fractions of the image, 0 to 1; half of these coordinate"):
        read_keypoints(path, size=SIZE)


def test_sizes_of_images_come_from_the_file_or_are_one(tmp_path):
    people = [{"image_id": n, "keypoints": [10.0, 20.0, 2, *[30.0, 40.0, 2] * 16]} for n in (4, 5)]
    images = [{"id": n, "file_name": f"f{n}.jpg", "width": 100, "height": 50} for n in (4, 5)]
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"images": images, "annotations": people}))
    found = read_keypoints(path)
    assert (found.image_size, found.frame.tolist()) == ((100, 50), [4, 5])
    images[1]["width"] = 101
    path.write_text(json.dumps({"images": images, "annotations": people}))
    with pytest.raises(DataError, match="different sizes: f4.jpg 100x50, f5.jpg 101x50; one"):
        read_keypoints(path)
    found = read_keypoints(path, size=(101, 50))
    assert found.image_size == (101, 50)
    assert any("101x50 pixels as asked for; the file says 100x50" in r for r in found.remarks)


def test_members_of_an_npz_are_used(tmp_path):
    points = points_of(LAYOUTS["coco17"])[..., :2]
    path = tmp_path / "a.npz"
    known = {"image_size": np.array([200, 100]), "fps": 25.0, "layout": "coco17"}
    np.savez(path, keypoints=points, frame=[3, 4, 4, 9], person=[1, 1, 2, 1], **known)
    found = read_keypoints(path)
    assert (found.image_size, found.fps, found.layout.name) == ((200, 100), 25.0, "coco17")
    assert (found.frame.tolist(), found.person.tolist()) == ([3, 4, 4, 9], [1, 1, 2, 1])
    np.savez(path, keypoints=points, scores=np.ones((3, 17)))
    with pytest.raises(DataError, match="a.npz: 4 keypoints, but 3 of 'scores'"):
        read_keypoints(path)
    np.savez(path, keypoints=points, scores=np.ones((4, 16)))
    with pytest.raises(DataError, match=r"a.npz: keypoints \(4, 17, 2\), but scores \(4, 16\)"):
        read_keypoints(path)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.json", "", r"is empty \(0 bytes\)"),
        ("a.json", " \n", "nothing but space"),
        ("a.json", "[{", "damaged JSON, which begins with"),
        ("a.json", '[{"image_id": "1.jpg", "keypoints": [1, 2, ...', "damaged JSON"),
        ("a.json", "<html>", "not JSON but a web page"),
        ("a.json", "landmark {\n  x: 0.5\n}", "not JSON; it begins with landmark"),
        ("a.json", "[" * 100_000, "damaged JSON"),
        ("a.json", "[" + "1" * 5000 + "]", "damaged JSON"),
        ("a.json", '{"a": 1}', "it holds a dict with a"),
        ("a.json", "null", "it holds null"),
        ("a.json", "[]", "nobody in it: an empty list"),
        ("a.json", '{"people": [{"face": []}]}', "person 0: pose_keypoints_2d was wanted; found: "),
        ("a.json", '{"people": [7]}', "person 0: pose_keypoints_2d was wanted"),
        ("a.json", '[{"image_id": "a", "keypoints": "12"}]', "numbers were wanted, not"),
        ("a.csv", "", r"is empty \(0 bytes\)"),
        ("a.csv", "frame,x\n1,2\n", "columns frame, joint, x, y, or frame and NAME_x"),
        ("a.csv", "frame,joint,x,y\n1,nose,2\n", "line 2 has 3 cells, where the header has 4"),
        ("a.csv", "frame,joint,x,y\n1,nose,2,up\n", "line 2: a number was wanted, not up"),
        ("a.csv", "frame,joint,x,y\n1,tail,2,3\n", "joint tail is not one of any layout"),
        ("a.npy", "no", "not a readable .npy of numbers"),
        ("a.npz", "no", "not an .npz file"),
        ("a.txt", "no", "keypoints are read from .json, .npz, .npy, .csv and folders"),
    ],
)
def test_what_is_no_file_of_keypoints_is_refused(tmp_path, name, content, message):
    path = tmp_path / name
    path.write_text(content)
    with pytest.raises(DataError, match=message) as caught:
        read_keypoints(path)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500


def test_paths_that_lead_nowhere_are_refused(tmp_path):
    with pytest.raises(DataError, match="no such file or folder"):
        read_keypoints(tmp_path / "none.json")
    with pytest.raises(DataError, match=r"no \.json files in it"):
        read_keypoints(tmp_path)


def test_per_video_files_of_videopose3d(tmp_path):
    points = points_of(LAYOUTS["coco17"])
    people = np.empty((4, 2), object)
    for frame in range(4):
        x, y, score = points[frame].T
        people[frame] = [[], np.stack([x, y, 0 * x, score])[None]]
    people[2, 1] = np.zeros((0, 4, 17))
    boxes = np.empty((4, 2), object)
    metadata = np.array({"w": 640, "h": 480}, object)
    path = tmp_path / "a.npz"
    np.savez(path, keypoints=people, boxes=boxes, segments=boxes, metadata=metadata)
    found = read_keypoints(path)
    assert (found.image_size, found.frame.tolist(), found.frames) == (SIZE, [0, 1, 3], 4)
    np.testing.assert_allclose(found.keypoints, points[[0, 1, 3], :, :2], rtol=1e-6)


def test_custom_files_of_videopose3d_without_metadata_have_no_size(tmp_path):
    points = points_of(LAYOUTS["coco17"])[..., :2]
    path = tmp_path / "a.npz"
    np.savez(path, positions_2d=np.array({"walk": {"custom": [points]}}, object))
    assert read_keypoints(path).image_size is None  # `predict` then asks for --size
    assert read_keypoints(path, size=SIZE).image_size == SIZE


@pytest.mark.parametrize("piece", [1, 7, 1000])
def test_json_that_is_read_in_pieces_is_the_same(tmp_path, monkeypatch, piece):
    monkeypatch.setattr(json_file, "PIECE", piece)
    path, points, _ = write("alphapose", tmp_path)
    spaced = json.dumps(json.loads(path.read_text()), indent=1)
    for text in (spaced, spaced.replace("\n", " \n ") + " ", "\ufeff" + spaced):
        path.write_text(text)
        np.testing.assert_allclose(read_keypoints(path).keypoints, points[..., :2], rtol=1e-6)
    for broken in (spaced[:-1], spaced[:-1] + ",]", spaced + "[", spaced.replace("},", "}", 1)):
        path.write_text(broken)
        with pytest.raises(DataError, match="damaged JSON"):
            read_keypoints(path)


def test_people_that_are_merged_into_blocks_are_the_same(tmp_path, monkeypatch):
    monkeypatch.setattr(rows, "MERGED", 3)
    points = points_of(LAYOUTS["coco17"], frames=11)
    for name in ("alphapose-17", "coco"):
        found = read_keypoints(write(name, tmp_path, points)[0], size=SIZE)
        np.testing.assert_allclose(found.keypoints, points[..., :2], rtol=1e-6)
