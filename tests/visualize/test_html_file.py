import dataclasses

import numpy as np
import pytest
from export.poses_table import example_poses
from visualize.page_reader import Page

from rsnet_jax.cli.pose_outputs import write_outputs
from rsnet_jax.errors import DataError
from rsnet_jax.export.scene import scene_of
from rsnet_jax.export.settings import OutputSettings
from rsnet_jax.visualize.page import html_file
from rsnet_jax.visualize.page.html_file import save_html

HOSTILE = "</script ><script>alert(1)</script><!--<script>"


@pytest.fixture
def written(tmp_path):
    """Writes poses as .html and reads the page."""

    def write(poses, **options):
        path = tmp_path / "poses.html"
        save_html(path, poses, OutputSettings(ground=options.pop("ground", False)), **options)
        return Page(path.read_text("utf-8"))

    return write


def changed(poses, **header):
    return dataclasses.replace(poses, header=poses.header.model_copy(update=header))


def test_a_page_needs_nothing_but_itself(tmp_path):
    path = tmp_path / "poses.html"
    write_outputs([path], example_poses())
    text = path.read_text("utf-8")
    assert "://" not in text and "url(" not in text and "@import" not in text
    page = Page(text)
    assert not [element for element in page.elements if "src" in element[1]]
    links = [attributes["href"] for _, attributes in page.elements if "href" in attributes]
    assert links == ["data:,"]
    (policy,) = [a["content"] for _, a in page.elements if "http-equiv" in a]
    assert policy is not None and policy.startswith("default-src 'none'")
    assert [tag for tag, _ in page.elements].count("noscript") == 1
    for left_over in ("$title", "$style", "$facts", "$arrays", "$scripts", "<!-- arrays -->"):
        assert left_over not in text
    assert text.endswith("</html>\n")


@pytest.mark.parametrize("ground", [False, True])
def test_poses_come_back_from_the_page(written, ground):
    poses = example_poses()
    poses.poses[1, 5] += 300  # a joint that lies wrong disturbs no other row
    poses.poses[2, 3, 1] = np.nan  # of a missing joint nothing is left
    page = written(poses, ground=ground)
    wanted = scene_of(poses, ground=ground).points
    wanted[2, 3] = np.nan
    found = page.points("points", 3)
    rows = [0, 2, 3, 4, 5]
    np.testing.assert_allclose(found[rows], wanted[rows], rtol=0, atol=1e-4)
    np.testing.assert_allclose(found[1], wanted[1], rtol=0, atol=0.01)
    np.testing.assert_allclose(page.points("keypoints", 2)[rows], poses.keypoints[rows], atol=0.02)
    assert page.array("frame").tolist() == [0, 0, 1, 1, 2, 2]
    assert page.array("person").tolist() == [0, 1, 0, 1, 0, 1]
    confidence = page.array("confidence").reshape(6, 16)
    assert set(confidence[2]) == {191} and confidence[0, 9] == 0  # 0.75 of 255
    assert not page.has("expected") and not page.has("truth-steps")
    facts = page.facts
    assert facts["people"] == ["0", "1"]
    assert facts["joints"] == list(poses.joints) == facts["keypointNames"]
    assert facts["bones"] == [list(bone) for bone in poses.bones]
    assert sorted(map(sorted, facts["keypointBones"])) == sorted(map(sorted, poses.bones))
    assert (facts["imageSize"], facts["fps"]) == ([640, 480], 25)


def test_truth_stands_where_the_pose_stands(written):
    poses = example_poses()
    truth = poses.poses.copy()
    truth[:, 5] += (0.01, 0.02, 0.03)  # camera axes: right, down, forward
    truth[2, 0] = np.nan
    page = written(poses, truth=truth)
    offset = page.points("truth", 3) - page.points("points", 3)
    np.testing.assert_allclose(offset[1, 5], (0.01, -0.02, -0.03), atol=2e-4)
    assert (
        np.isnan(offset[2, 0]).all() and np.isnan(offset[5]).all() and np.isnan(offset[0, 9]).all()
    )
    offset[:, 5] = 0
    assert np.nanmax(np.abs(offset)) < 2e-4
    with pytest.raises(DataError, match=r"the shape \(6, 16, 3\) was wanted, not \(6, 15, 3\)"):
        written(poses, truth=truth[:, 1:])


def test_expected_errors_are_millimeters(written):
    poses = example_poses()
    poses.error[1, 4:6] = (0.0314, 70)  # more than fits
    expected = written(poses).array("expected").reshape(6, 16)
    assert expected[1, 4:6].tolist() == [31, 65534]
    assert set(expected[0]) == {65535}  # not known


def test_names_from_files_cannot_leave_their_place(written):
    harmless = written(example_poses())
    poses = dataclasses.replace(
        changed(
            example_poses(),
            source="folder/<b>walk<img src=x onerror=alert(2)>.json",
            checkpoint=HOSTILE,
            layout=HOSTILE,
            notes=(HOSTILE, "\u2028\x1b]0;\udcff\u202e"),
        ),
        joints=(HOSTILE, "$title\udc80", *example_poses().joints[2:]),
    )
    page = written(poses)
    assert [tag for tag, _ in page.elements] == [tag for tag, _ in harmless.elements]
    assert page.facts["joints"][1] == "$title?"
    assert page.facts["joints"][0] == HOSTILE
    assert not set(page.texts["facts"]) & set("<>&")
    assert page.texts["title"] == "<b>walk<img src=x onerror=alert(2)>.json"
    assert ["weights", HOSTILE] in page.facts["details"]
    assert ["note", "?]0;??"] in page.facts["details"]


@pytest.mark.parametrize(
    ("change", "facts"),
    [
        ({"image_size": None, "fps": None}, (None, None)),
        ({"image_size": (0, 480), "fps": float("nan")}, (None, None)),
        ({"fps": 0.0}, ([640, 480], None)),
    ],
)
def test_what_a_header_cannot_tell_is_unknown(written, change, facts):
    found = written(changed(example_poses(people=1, frames=1), **change)).facts
    assert (found["imageSize"], found["fps"]) == facts


def test_tables_with_little_in_them(written):
    poses = example_poses(people=1, frames=1)  # its only row has no pose
    page = written(poses)
    assert np.isnan(page.points("points", 3)).all() and page.points("points", 3).shape == (1, 16, 3)
    assert not page.has("keypoints-steps")
    columns = (field.name for field in dataclasses.fields(poses))
    arrays = {name: getattr(poses, name) for name in columns}
    empty = {name: a[:0] for name, a in arrays.items() if isinstance(a, np.ndarray)}
    page = written(dataclasses.replace(poses, **empty))
    assert page.facts["people"] == [] and ["frames", "none"] in page.facts["details"]


def test_details_say_what_was_assumed(written):
    poses = changed(example_poses(), smooth="savgol", height=1.8, up=(0.0, -0.8, -0.6))
    details = dict(written(poses, ground=True).facts["details"])
    assert details["camera"].endswith("assumed, so that distances are rough")
    assert "37 degrees" in details["up"]  # acos 0.8
    assert "cosmetic" in details["floor"]
    assert details["height"] == "scaled to 1.8 m"
    assert details["frames"] == "0 to 2; 5 of 6 rows (a person in a frame) have a pose"
    assert details["note"] == poses.header.notes[0]


def test_a_page_that_no_browser_opens_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(html_file, "LARGEST", 1000)
    with pytest.raises(DataError, match="6 poses make a page of .* or a part of the recording"):
        save_html(tmp_path / "poses.html", example_poses(), OutputSettings())
    assert not list(tmp_path.iterdir())
