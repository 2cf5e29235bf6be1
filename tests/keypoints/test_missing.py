import dataclasses

import numpy as np
import pytest
from keypoints.detector_files import points_of

from rsnet_jax.errors import DataError
from rsnet_jax.keypoints.detections import Detections
from rsnet_jax.keypoints.gaps import fill_gaps
from rsnet_jax.keypoints.missing import without_strays, without_unsure
from rsnet_jax.keypoints.people import choose_people, identify
from rsnet_jax.pose.layouts import COCO_17

WRIST = COCO_17.index["left_wrist"]


@pytest.fixture
def walk():
    """One person in eight frames of 640x480."""
    points = points_of(COCO_17, frames=8)[..., :2].astype(np.float32)
    return Detections(
        layout=COCO_17,
        keypoints=points,
        confidence=np.full((8, 17), 0.9, np.float32),
        frame=np.arange(8),
        person=np.zeros(8, np.int64),
        frames=8,
        image_size=(640, 480),
    )


def test_unsure_keypoints_are_missing(walk):
    walk.confidence[3, WRIST], walk.confidence[4, WRIST] = 0.02, 0.05
    found = without_unsure(walk)
    assert np.argwhere(np.isnan(found.keypoints[..., 0])).tolist() == [[3, WRIST]]
    assert found.confidence[3, WRIST] == 0
    assert found.remarks == ("1 keypoints have a score below 0.05: they count as missing",)
    assert without_unsure(walk, least=0.0) is walk
    assert len(without_unsure(walk, least=0.06).remarks) == 1
    with pytest.raises(DataError, match="all keypoints have a score below 0.95"):
        without_unsure(walk, least=0.95)


def test_strays_are_missing_and_do_not_make_a_person_the_largest(walk):
    """The image is 640 wide: strays are beyond -640 and 1280."""
    other = dataclasses.replace(walk, keypoints=walk.keypoints * 0.5, person=walk.person + 1)
    both = dataclasses.replace(
        walk,
        keypoints=np.concatenate([walk.keypoints, other.keypoints]),
        confidence=np.concatenate([walk.confidence, other.confidence]),
        frame=np.concatenate([walk.frame, other.frame]),
        person=np.concatenate([walk.person, other.person]),
    )
    both.keypoints[9, WRIST] = 30_000, 100
    both.keypoints[10, WRIST] = -600, 100
    found = without_strays(both)
    assert np.argwhere(np.isnan(found.keypoints[..., 0])).tolist() == [[9, WRIST]]
    assert choose_people(identify(found), "largest").people == (0,)
    unknown = dataclasses.replace(both, image_size=None)
    assert without_strays(unknown) is unknown


def test_filled_keypoints_are_marked(walk):
    walk.keypoints[3, WRIST] = np.nan
    walk.confidence[3, WRIST] = 0
    found = fill_gaps(walk, max_gap=2)
    assert found.filled is not None
    assert np.argwhere(found.filled).tolist() == [[3, WRIST]]
    assert np.isfinite(found.keypoints).all()
    assert found.take(np.array([3])).filled.sum() == 1
