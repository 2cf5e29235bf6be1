import dataclasses
import json

import numpy as np
import pytest
from export.poses_table import example_poses, same

from rsnet_jax.errors import DataError
from rsnet_jax.export.poses_file import load_poses, save_json, save_npz

POSES = example_poses()
NAMES = (  # the contract
    *("poses", "root", "frame", "time", "person", "valid", "confidence", "error", "keypoints"),
    *("joints", "keypoint_names", "bones", "header"),
)
TYPES = {"poses": "float32", "frame": "int64", "person": "int64", "valid": "bool"}
HEADER = (
    *("format", "version", "units", "axes", "root_joint", "layout", "image_size", "fps"),
    *("checkpoint", "frame_mode", "camera", "smooth", "up", "source"),
)


def test_npz_is_plain_and_read_back(tmp_path):
    path = tmp_path / "a.npz"
    save_npz(path, POSES)
    with np.load(path, allow_pickle=False) as stored:
        assert set(stored.files) == set(NAMES)
        header = json.loads(str(stored["header"]))
        assert {name: str(stored[name].dtype) for name in TYPES} == TYPES
        assert stored["joints"][15] == "right_wrist"
        assert (stored["bones"].shape, stored["bones"].dtype.kind) == ((15, 2), "i")
    assert set(HEADER) <= set(header)
    assert (header["format"], header["version"]) == ("rsnet_jax.poses", 1)
    assert (header["units"], header["axes"]) == ("meters", "camera: x right, y down, z forward")
    assert same(load_poses(path), POSES)


def test_json_holds_the_same(tmp_path):
    path = tmp_path / "a.json"
    save_json(path, POSES)
    stored = json.loads(path.read_text())
    assert set(stored) == set(NAMES)
    assert stored["header"]["camera"]["focal_length"] == [600, 600]
    for name in ("poses", "root", "confidence", "time", "keypoints"):
        wanted = getattr(POSES, name)
        values = np.array(stored[name], np.float64).astype(wanted.dtype)  # null becomes NaN
        np.testing.assert_array_equal(values, wanted, err_msg=name)
    assert stored["valid"] == POSES.valid.tolist()
    assert stored["poses"][0][9] == [None] * 3
    assert "NaN" not in path.read_text()


def _change_header(stored, **changes):
    header = json.loads(str(stored["header"])) | changes
    stored["header"] = np.array(json.dumps(header))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("header"), "not a file of poses"),
        (lambda s: s.pop("root"), "root: floats were wanted, not missing"),
        (lambda s: s.update(poses=s["poses"][:-1]), r"poses must have shape \(6, 16, 3\), not"),
        (lambda s: s.update(frame=s["frame"] / 2), "frame: integers were wanted, not float64"),
        (lambda s: s.update(bones=s["bones"] + 9), "a bone names a joint that is none of the 16"),
        (lambda s: s.update(header=np.array("{")), "header: not readable JSON"),
        (lambda s: _change_header(s, format="other"), "header: format: .* got 'other'"),
        (lambda s: _change_header(s, version=2), "header: version: .* got 2"),
        (lambda s: _change_header(s, fps="25"), "header: fps: .* got '25'"),
        (lambda s: _change_header(s, fps=0), "header: fps: .* greater than 0, got 0"),
        (lambda s: _change_header(s, up=[0, 0, 0]), "header: up: a direction, not all 0, was"),
        (lambda s: _change_header(s, lens="wide"), "header: unknown field lens"),
    ],
)
def test_other_files_are_refused(tmp_path, change, message):
    path = tmp_path / "a.npz"
    save_npz(path, POSES)
    with np.load(path) as file:
        stored = dict(file)
    change(stored)
    np.savez(path, **stored)
    with pytest.raises(DataError, match=message) as caught:
        load_poses(path)
    assert "\n" not in str(caught.value)


def test_columns_that_do_not_fit_are_refused():
    with pytest.raises(DataError, match=r"poses: valid must have shape \(6,\), not \(5,\)"):
        dataclasses.replace(POSES, valid=POSES.valid[1:])
