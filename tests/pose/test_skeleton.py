import dataclasses

import numpy as np
import pytest

from rsnet_jax.errors import ConfigError
from rsnet_jax.pose.skeleton import H36M_16, H36M_17, Skeleton, require_equal_joints


def test_graph_is_the_released_one(golden):
    graph = np.load(golden / "rsnet/graph.npz")
    np.testing.assert_array_equal(H36M_16.parents, graph["parents"])
    np.testing.assert_allclose(H36M_16.adjacency, graph["adjacency"], rtol=0, atol=1e-7)
    assert not np.diagonal(H36M_16.adjacency).any()


@pytest.mark.parametrize("skeleton", [H36M_16, H36M_17])
def test_mirroring_exchanges_the_names_of_left_and_right(skeleton):
    for joint, twin in enumerate(skeleton.mirror):
        name = skeleton.joints[joint]
        swapped = name.replace("left", "?").replace("right", "left").replace("?", "right")
        assert skeleton.joints[twin] == swapped


def test_16_joints_have_the_bones_of_17_past_neck_nose():
    """Without neck/nose, the head hangs from the thorax; all other bones are the same."""

    def named_bones(skeleton):
        return {tuple(skeleton.joints[joint] for joint in bone) for bone in skeleton.bones}

    common = named_bones(H36M_16) & named_bones(H36M_17)
    assert named_bones(H36M_16) - common == {("head", "thorax")}
    assert named_bones(H36M_17) - common == {("neck_nose", "thorax"), ("head", "neck_nose")}
    assert len(common) == 14


def test_refinement_needs_a_keypoint_for_each_joint():
    require_equal_joints(H36M_17, H36M_17)
    with pytest.raises(ConfigError, match=r"refinement needs .*h36m_17 and the poses of h36m_16"):
        require_equal_joints(H36M_16, H36M_17)


def test_survives_storage():
    again = Skeleton.from_dict(dataclasses.asdict(H36M_16))
    assert again == H36M_16
    assert hash(again) == hash(H36M_16)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"parents": (-1, 0)}, "3 joints but 2 parents"),
        ({"parents": (-1, 2, 0)}, "an earlier joint"),
        ({"parents": (0, 0, 0)}, "-1 for joint 0"),
        ({"left": (1,), "right": ()}, "do not pair up"),
        ({"left": (1,), "right": (1,)}, "do not pair up"),
        ({"left": (1,), "right": (3,)}, "names a joint it lacks"),
    ],
)
def test_nonsense_is_refused(change, message):
    good = dict(name="s", joints=("a", "b", "c"), parents=(-1, 0, 0), left=(1,), right=(2,))
    Skeleton(**good)
    with pytest.raises(ConfigError, match=message):
        Skeleton(**good | change)


def test_stored_skeletons_must_be_complete():
    with pytest.raises(ConfigError, match="parents"):
        Skeleton.from_dict({"name": "s"})
