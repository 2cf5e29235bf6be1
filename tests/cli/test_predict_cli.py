import json

import numpy as np
import pytest
from cli.conftest import contents
from keypoints.detector_files import points_of, write, write_openpose

from rsnet_jax.pose.layouts import COCO_17, HALPE_26, LAYOUTS


@pytest.fixture
def weights(golden):
    return golden / "rsnet" / "model_rsnet_3_eva_post_4711.pth"


def test_keypoints_become_files_of_poses(cli, caplog, tmp_path, weights):
    path, points, _ = write("alphapose", tmp_path)
    outputs = [tmp_path / f"poses{suffix}" for suffix in (".npz", ".json", ".csv")]
    code, out, err = cli(
        *("predict", path, "--checkpoint", weights, "--size", "640x480", "--fps", "30"),
        *("--out", *outputs),
    )
    assert code == 0, err
    assert "wrote 4 poses of 1 person to" in out
    assert "the 26 joints of Halpe" in caplog.text
    assert "4 poses in 4 frames of 640x480, 30 frames per second" in caplog.text
    assert "the camera is assumed to have a field of view of 55 degrees" in caplog.text
    with np.load(outputs[0]) as stored:
        np.testing.assert_allclose(stored["keypoints"], points[..., :2], rtol=1e-6)
        poses, joints = stored["poses"], stored["joints"].tolist()
        header = json.loads(str(stored["header"]))
    assert header["fps"] == 30
    assert poses.shape == (4, 16, 3)
    lines = outputs[2].read_text().splitlines()
    assert lines[0].startswith("frame,time_s,person,joint,x_m,y_m,z_m,root_x_m,")
    cells = dict(zip(lines[0].split(","), lines[1 + 16 + 9].split(","), strict=True))
    assert (cells["frame"], cells["joint"]) == ("1", joints[9])
    assert float(cells["time_s"]) == pytest.approx(1 / 30, abs=1e-5)
    np.testing.assert_allclose([float(cells[f"{a}_m"]) for a in "xyz"], poses[1, 9], atol=1e-5)
    assert len(lines) == 1 + 4 * 16
    assert np.array(json.loads(outputs[1].read_text())["poses"]).shape == (4, 16, 3)


def test_people_and_gaps(cli, tmp_path, weights):
    two = np.concatenate([points_of(COCO_17), points_of(COCO_17, shift=(250, 0))], axis=0)
    frame = np.array([0, 1, 5, 6] * 2)
    person = np.repeat([4, 9], 4)
    order = np.argsort(frame, kind="stable")
    path = tmp_path / "two.npz"
    np.savez(path, keypoints=two[order], frame=frame[order], person=person[order], layout="coco17")
    base = ("predict", path, "--checkpoint", weights, "--size", "640x480")
    for options, rows, people, valid in (
        (("--person", "all"), 14, {4, 9}, 14),
        (("--person", "9", "--max-gap", "2"), 7, {9}, 4),
    ):
        out = tmp_path / f"{rows}.npz"
        code, _, err = cli(*base, *options, "--out", out)
        assert code == 0, err
        with np.load(out) as stored:
            assert len(stored["frame"]) == rows
            assert set(stored["person"].tolist()) == people
            assert stored["valid"].sum() == valid
            assert np.isnan(stored["poses"][~stored["valid"]]).all()


def test_one_pose_in_many_frames_is_lifted(cli, caplog, tmp_path, weights):
    folder = tmp_path / "frames"
    write_openpose(folder, points_of(LAYOUTS["body25"], frames=50))
    for frame in range(50):
        if frame != 31:
            (folder / f"walk_{frame:012}_keypoints.json").write_text('{"people": []}')
    out = tmp_path / "a.npz"
    options = ("--checkpoint", weights, "--size", "480x640", "--fps", "30", "--smooth", "savgol")
    code, printed, err = cli("predict", folder, *options, "--out", out)
    assert code == 0, err
    assert "wrote 1 poses of 1 person (49 frames without a pose)" in printed
    with np.load(out) as stored:
        assert np.flatnonzero(stored["valid"]).tolist() == [31]
        assert np.isfinite(stored["poses"][31]).all()


def test_doubts_are_warnings_and_notes(cli, caplog, tmp_path, weights):
    path, *_ = write("coco", tmp_path, points_of(COCO_17, shift=(200, 0)))
    out = tmp_path / "a.npz"
    code, _, err = cli(
        *("predict", path, "--checkpoint", weights, "--size", "480x640", "--out", out)
    )
    assert code == 0, err
    (warned,) = [record for record in caplog.records if record.levelname == "WARNING"]
    assert "are width and height exchanged (640x480)?" in warned.getMessage()
    with np.load(out) as stored:
        notes = json.loads(str(stored["header"]))["notes"]
    assert sum("exchanged" in note for note in notes) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "which INPUT?"),
        (("{input}",), "out: a file was wanted, such as poses.npz"),
        (("{input}", "--out", "{tmp}/a.bmp"), "a name with .npz, .json, .csv, "),
        (("{input}", "--out", "{tmp}/a.npz", "{tmp}/a.npz"), "a.npz is named twice"),
        (("{input}", "--out", "{input}"), "exists already; give another name or --overwrite"),
        (("{input}", "--out", "{tmp}/a.npz", "--checkpoint", "pose"), "the package; pose26 does"),
        (("{input}", "--out", "{tmp}/a.npz", "--checkpoint", "{tmp}/none"), "none"),
        (("{good}", "--size", "640"), "size: WIDTHxHEIGHT was wanted, such as 1920x1080, not 640"),
        (("{good}", "--fov", "200"), "fov: 1 to 170 degrees were wanted, not 200"),
        (("{good}", "--height", "170"), "height: 0.3 to 2.5 meters were wanted, not 170"),
        (("{good}", "--intrinsics", "1,2,3"), "intrinsics: FX,FY,CX,CY in pixels were wanted"),
        (("{good}", "--up", "0,0,0"), "up: auto, camera or X,Y,Z"),
        (("{good}", "--up", "north"), "up: auto, camera or X,Y,Z"),
        (("{good}", "--fps", "0"), "fps: a positive number was wanted, not 0"),
        (("{good}", "--max-gap", "-1"), "max-gap: 0 or more was wanted, not -1"),
        (("{good}", "--layout", "body25"), "layout body25 has 25 joints, but the file has 17"),
        (("{good}", "--format", "mmpose"), "not of the format mmpose; it looks like coco"),
        (("{good}", "--person", "3"), "no person 3; there are 0"),
        (("{good}", "--smooth", "savgol"), "smooth savgol needs frames per second; say --fps N"),
        (("{good}", "--rule", "own"), "do not give head, which these weights need"),
        (("{no size}",), "how large is the image? Say --size WIDTHxHEIGHT"),
    ],
)
def test_mistakes_are_one_line_and_leave_nothing(cli, tmp_path, weights, arguments, message):
    path, *_ = write("coco", tmp_path)
    outputs = ["--out", str(tmp_path / "a.npz"), "--checkpoint", str(weights)]
    filled = []
    for argument in arguments:
        if argument in ("{good}", "{no size}"):
            filled += [str(path), *outputs]
            filled += ["--size", "640x480"] if argument == "{good}" else []
        else:
            filled.append(argument.format(input=path, tmp=tmp_path))
    before = contents(tmp_path)
    code, out, err = cli("predict", *filled)
    assert (code, out) == (2, "")
    assert message in err.splitlines()[-1]
    assert "Traceback" not in err
    assert contents(tmp_path) == before


def test_without_a_checkpoint_the_weights_of_the_package_lift(cli, caplog, tmp_path):
    path, *_ = write("coco", tmp_path)
    out = tmp_path / "a.npz"
    code, _, err = cli("predict", path, "--size", "640x480", "--fps", "30", "--out", out)
    assert code == 0, err
    assert "lifting with pose26, the weights that come with the package" in caplog.text
    with np.load(out) as stored:
        header, joints = json.loads(str(stored["header"])), stored["joints"].tolist()
        assert np.isfinite(stored["poses"]).all()
        error = stored["error"]
    assert header["checkpoint"] == "pose26"
    assert sorted(joints) == sorted(HALPE_26.joints) and joints[0] == "hip"
    assert (error[:, 1:] > 0).all() and error.max() < 1  # meters
