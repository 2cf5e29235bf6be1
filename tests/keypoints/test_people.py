import dataclasses

import numpy as np
import pytest
from keypoints.detector_files import points_of

from rsnet_jax.errors import DataError
from rsnet_jax.keypoints.arrays import read_arrays
from rsnet_jax.keypoints.detections import NO_PERSON, Detections
from rsnet_jax.keypoints.gaps import fill_gaps
from rsnet_jax.keypoints.people import box_sizes, choose_people, identify
from rsnet_jax.keypoints.rows import person_number
from rsnet_jax.pose.layouts import COCO_17

BODY = points_of(COCO_17, frames=1)[0, :, :2]


def scene(people, *, person=None):
    """A table of (frame, shift, size) of the same body."""
    people = sorted(people, key=lambda entry: entry[0])
    count = len(people)
    points = np.stack([BODY * size + np.array(shift) for _, shift, size in people])
    return Detections(
        layout=COCO_17,
        keypoints=points.astype(np.float32),
        confidence=np.ones((count, 17), np.float32),
        frame=np.array([frame for frame, *_ in people], np.int64),
        person=np.full(count, NO_PERSON) if person is None else np.array(person),
        frames=max(frame for frame, *_ in people) + 1,
    )


def test_people_who_cross_are_kept_apart():
    """Two people walk through each other; the list has them in turns, in another order each."""
    people, truth = [], []
    for frame in range(21):
        pair = [((10 * frame, 0), 1.0), ((200 - 10 * frame, 40), 1.1)]
        for which in (0, 1) if frame % 2 else (1, 0):
            people.append((frame, *pair[which]))
            truth.append(which)
    found = identify(scene(people)).person
    pairs = set(zip(truth, found.tolist(), strict=True))
    assert len(pairs) == 2  # each person has one number
    assert {number for _, number in pairs} == {0, 1}


def test_a_person_who_leaves_or_comes_has_a_number_of_its_own():
    people = [(frame, (0, 0), 1.0) for frame in range(20)]
    people += [(frame, (400, 0), 1.0) for frame in range(10)]
    people += [(frame, (-400, 0), 1.0) for frame in range(15, 20)]
    found = identify(scene(people))
    spans = {who: found.frame[found.person == who] for who in found.people}
    assert sorted(len(frames) for frames in spans.values()) == [5, 10, 20]
    assert any("told apart" in remark for remark in found.remarks)


def test_a_person_out_of_sight_for_some_frames_is_the_same():
    people = [(frame, (2 * frame, 0), 1.0) for frame in (*range(5), *range(15, 20))]
    assert identify(scene(people)).people == (0,)
    late = [(frame, (0, 0), 1.0) for frame in (*range(5), *range(50, 55))]
    assert identify(scene(late)).people == (0, 1)
    elsewhere = [(frame, (900 * (frame > 4), 0), 1.0) for frame in range(10)]
    assert identify(scene(elsewhere)).people == (0, 1)


def test_numbers_of_the_file_are_kept_where_they_tell_people_apart():
    people = [(frame, (400 * which, 0), 1.0) for frame in range(3) for which in range(2)]
    assert identify(scene(people, person=[7, 9, 9, 7, 7, 9])).people == (7, 9)
    alike = identify(scene(people, person=[0] * 6))  # as files that give everybody the number 0
    assert alike.person.tolist() == [0, 1, 0, 1, 0, 1]


@pytest.mark.parametrize(
    ("value", "number"),
    [(3, 3), (3.0, 3), ([0.0], 0), ([[2.0], [0.0]], 2), (-1, NO_PERSON), ([-1], NO_PERSON)]
    + [(None, NO_PERSON), ("a", NO_PERSON), (True, NO_PERSON), ([], NO_PERSON), (1.5, NO_PERSON)],
)
def test_numbers_of_people_in_any_form(value, number):
    assert person_number(value) == number


def test_one_person_is_chosen():
    people = [(0, (0, 0), 1.0), (0, (900, 0), 0.3), (1, (900, 0), 0.3), (2, (900, 0), 0.3)]
    table = identify(scene(people))
    large, small = table.person[0], table.person[1]
    confident = dataclasses.replace(
        table, confidence=np.where(table.person == small, 0.9, 0.2)[:, None] * np.ones((4, 17))
    )
    assert choose_people(table, "largest").people == (large,)
    assert choose_people(confident, "confident").people == (small,)
    assert choose_people(table, str(small)).people == (small,)
    assert choose_people(table, "all") is table
    assert any("of 2 is used, the largest" in r for r in choose_people(table, "largest").remarks)
    with pytest.raises(DataError, match="no person 5; there are 0, 1"):
        choose_people(table, "5")
    with pytest.raises(DataError, match="all or a number was wanted, not 'biggest'"):
        choose_people(table, "biggest")


def test_size_is_that_of_the_box_around_the_joints_found():
    points = np.array([[[0, 0], [3, 12], [np.nan, np.nan]], [[5, 5]] + [[np.nan] * 2] * 2])
    np.testing.assert_allclose(box_sizes(points), [6, 0])  # 3 by 12


def test_short_gaps_are_interpolated_and_long_ones_are_not():
    table = scene([(frame, (4 * frame, 0), 1.0) for frame in range(10)])
    table.keypoints[2:4, 5] = np.nan
    table.confidence[2:4, 5] = 0
    table.confidence[4, 5] = 0.25
    table.keypoints[4:8, 6] = np.nan
    table.keypoints[:2, 7] = np.nan  # nothing before: not a gap
    found = fill_gaps(table, max_gap=3)
    want = BODY[5] + np.array([[8, 0], [12, 0]])
    np.testing.assert_allclose(found.keypoints[2:4, 5], want, rtol=1e-6)
    np.testing.assert_allclose(found.confidence[2:4, 5], 0.25)
    assert np.isnan(found.keypoints[4:8, 6]).all()
    assert np.isnan(found.keypoints[:2, 7]).all()
    assert found.remarks == ("2 missing joints are interpolated over at most 3 frames",)
    assert not fill_gaps(table, max_gap=0).remarks


def test_every_frame_of_one_person_has_a_row():
    table = scene([(frame, (0, 0), 1.0) for frame in (3, 4, 8)])
    table = dataclasses.replace(identify(table), frames=10)
    found = fill_gaps(table, max_gap=0)
    assert found.frame.tolist() == list(range(10))
    seen = np.isfinite(found.keypoints).all(axis=(1, 2))
    assert np.flatnonzero(seen).tolist() == [3, 4, 8]
    filled = np.isfinite(fill_gaps(table, max_gap=3).keypoints).all(axis=(1, 2))
    assert np.flatnonzero(filled).tolist() == [3, 4, 5, 6, 7, 8]


def test_rows_of_several_people_are_in_order_of_the_frames():
    people = [(frame, (0, 0), 1.0) for frame in range(4)]
    people += [(frame, (900, 0), 1.0) for frame in (1, 3)]
    table = identify(scene(people))
    found = fill_gaps(dataclasses.replace(table, frames=9), max_gap=5)
    assert found.frame.tolist() == [0, 1, 1, 2, 2, 3, 3]
    assert found.person.tolist() == [0, 0, 1, 0, 1, 0, 1]
    assert np.isfinite(found.keypoints).all()


def test_empty_places_of_an_array_are_nobody():
    """The second of two people is away for some frames; the scores are 1 all the same."""
    points = np.broadcast_to(BODY, (30, 2, 17, 2)) + np.array([[0, 0], [300, 0]])[:, None]
    for filler in (0.0, -1.0):
        away = points.copy()
        away[10:20, 1] = filler
        arrays = {"keypoints": away, "scores": np.ones((30, 2, 17)), "layout": "coco17"}
        found = identify(read_arrays(arrays, source="two.npz", layout=None, size=(640, 480)))
        assert found.people == (0, 1) and len(found) == 50
