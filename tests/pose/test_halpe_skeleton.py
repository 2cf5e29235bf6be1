from rsnet_jax.pose.layouts import HALPE_26 as LAYOUT
from rsnet_jax.pose.skeleton import HALPE_26


def test_skeleton_has_the_joints_and_mirror_pairs_of_the_layout():
    assert sorted(HALPE_26.joints) == sorted(LAYOUT.joints)
    for joint, mirror in zip(HALPE_26.joints, HALPE_26.mirror, strict=True):
        assert HALPE_26.joints[mirror] == LAYOUT.joints[LAYOUT.mirror[LAYOUT.index[joint]]]


def test_limbs_hang_together():
    parents = {
        joint: HALPE_26.joints[parent]
        for joint, parent in zip(HALPE_26.joints, HALPE_26.parents, strict=True)
        if parent >= 0
    }
    for side in ("left", "right"):
        assert parents[f"{side}_knee"] == f"{side}_hip" and parents[f"{side}_hip"] == "hip"
        for toe in ("big_toe", "small_toe", "heel"):
            assert parents[f"{side}_{toe}"] == f"{side}_ankle"
        assert parents[f"{side}_wrist"] == f"{side}_elbow"
        assert parents[f"{side}_shoulder"] == "neck"
        assert parents[f"{side}_ear"] == f"{side}_eye" and parents[f"{side}_eye"] == "nose"
    assert parents["neck"] == "hip" and parents["head"] == parents["nose"] == "neck"
