"""What other programs' readers find in the files: joints to the millimeter, axes, time, gaps."""

import dataclasses

import c3d
import ezc3d
import numpy as np
import pybvh
import pygltflib
import pytest
import trimesh
from export.raised_arm import FRAMES, NOBODY, RATE, raised_arm, wanted
from scipy.spatial.transform import Rotation

from rsnet_jax.export.settings import OutputSettings
from rsnet_jax.export.write import WRITERS
from rsnet_jax.pose.skeleton import H36M_16

JOINTS = H36M_16.joints
SEEN = [0, 1, 3, 5]
MILLIMETER = 1e-3


def written(tmp_path, suffix, poses=None, **settings):
    path = tmp_path / f"a{suffix}"
    WRITERS[suffix](path, raised_arm() if poses is None else poses, OutputSettings(**settings))
    return path


def assert_raised(points, *, unit=1):
    """The joints are where they are by hand, in meters after division by `unit`."""
    points = np.asarray(points) / unit
    np.testing.assert_allclose(points, wanted(), atol=MILLIMETER)
    wrist, head = points[0, JOINTS.index("right_wrist")], points[0, JOINTS.index("head")]
    assert wrist[1] > head[1] and wrist[0] < head[0]


def test_trc_in_the_way_of_pose2sim(tmp_path):
    path = written(tmp_path, ".trc", name="walk.trc")
    lines = path.read_text().splitlines()
    assert lines[0].split("\t") == ["PathFileType", "4", "(X/Y/Z)", "walk.trc"]
    described = dict(zip(lines[1].split("\t"), lines[2].split("\t"), strict=True))
    assert described["DataRate"] == "25" and described["Units"] == "m"
    assert (described["NumFrames"], described["NumMarkers"]) == ("6", "16")
    assert lines[3].strip().split("\t")[2::3] == list(JOINTS)
    assert lines[4].split("\t")[2:6] == ["X1", "Y1", "Z1", "X2"]
    table = np.genfromtxt(path, skip_header=5, delimiter="\t")
    np.testing.assert_array_equal(table[:, 0], np.arange(FRAMES))
    np.testing.assert_allclose(table[:, 1], np.arange(FRAMES) / RATE)
    assert_raised(table[:, 2:].reshape(FRAMES, 16, 3))


@pytest.mark.filterwarnings("ignore:builtin type:DeprecationWarning")  # of SWIG
def test_trc_in_opensim(tmp_path):
    opensim = pytest.importorskip("opensim", exc_type=ImportError)
    table = opensim.TimeSeriesTableVec3(str(written(tmp_path, ".trc")))
    assert list(table.getColumnLabels()) == list(JOINTS)
    assert table.getTableMetaDataString("Units") == "m"
    np.testing.assert_allclose(table.getIndependentColumn(), np.arange(FRAMES) / RATE)
    points = np.empty((FRAMES, 16, 3))
    for frame in range(FRAMES):
        row = table.getRowAtIndex(frame)
        points[frame] = [[row[joint][axis] for axis in range(3)] for joint in range(16)]
    assert_raised(points)


@pytest.mark.filterwarnings("ignore:No analog data", "ignore:incomplete reading")  # of padding
def test_c3d(tmp_path):
    path = written(tmp_path, ".c3d")
    with path.open("rb") as file:
        reader = c3d.Reader(file)
        assert [label.strip() for label in reader.point_labels] == list(JOINTS)
        assert (reader.point_rate, reader.first_frame, reader.last_frame) == (RATE, 1, FRAMES)
        frames = np.stack([points for _, points, _ in reader.read_frames()])
    missing = frames[..., 3] == -1
    np.testing.assert_array_equal(missing, np.isnan(wanted()[..., 0]))
    assert (frames[..., 3] >= -1).all()
    assert_raised(np.where(missing[..., None], np.nan, frames[..., :3]), unit=1000)
    parameters = ezc3d.c3d(str(path))["parameters"]
    point = parameters["POINT"]
    assert [point[name]["value"][0] for name in ("UNITS", "X_SCREEN", "Y_SCREEN")] == [
        *("mm", "+X", "+Y")
    ]
    assert parameters["RSNET_JAX"]["AXES"]["value"] == ["x right, y up, z towards the camera"]


def joints_of(bvh):
    return bvh.node_positions()[:, [bvh.node_index[joint] for joint in JOINTS]]


def test_bvh(tmp_path, monkeypatch):
    monkeypatch.setattr("rsnet_jax.export.timeline.BLOCK", 2)
    bvh = pybvh.read_bvh_file(written(tmp_path, ".bvh"))
    assert bvh.frame_time == pytest.approx(1 / RATE)
    points = joints_of(bvh)
    gone = np.isnan(wanted())
    np.testing.assert_allclose(points[NOBODY[0]], points[1], atol=1e-9)  # held
    np.testing.assert_allclose(points[NOBODY[1]], points[3], atol=1e-9)
    # An arm whose wrist is missing hangs as before.
    np.testing.assert_allclose(points[3, JOINTS.index("left_wrist")], [0.5, 0.8, 0], atol=1e-3)
    assert_raised(np.where(gone, np.nan, points))


def of_camera(points, rate=RATE):
    """Poses from joints along camera axes (frame, joint, 3), in meters."""
    poses, frames = raised_arm(fps=rate), len(points)
    return dataclasses.replace(
        poses,
        poses=(points - points[:, :1]).astype(np.float32),
        root=points[:, 0].astype(np.float32),
        frame=np.arange(frames),
        time=np.arange(frames) / rate,
        person=np.zeros(frames, np.int64),
        valid=np.ones(frames, bool),
        **{
            name: np.resize(getattr(poses, name), (frames, *getattr(poses, name).shape[1:]))
            for name in ("confidence", "error", "keypoints")
        },
    )


def anywhere(rng, frames=40):
    """Poses whose bones point anywhere, and their directions and lengths, along floor axes."""
    directions = rng.normal(size=(frames, 16, 3))
    directions /= np.linalg.norm(directions, axis=-1, keepdims=True)
    lengths = 0.1 + 0.02 * np.arange(16)
    points = np.zeros((frames, 16, 3))
    for joint, parent in H36M_16.bones:
        points[:, joint] = points[:, parent] + lengths[joint] * directions[:, joint]
        points[7, joint] += 0.5 * lengths[joint] * directions[7, joint]  # once, it is longer
    return of_camera(points * (1, -1, -1) + (0, 0, 4)), directions, lengths


def test_bvh_has_the_direction_of_every_bone_and_median_lengths(tmp_path, rng, monkeypatch):
    monkeypatch.setattr("rsnet_jax.export.timeline.BLOCK", 16)
    poses, directions, lengths = anywhere(rng)
    points = joints_of(pybvh.read_bvh_file(written(tmp_path, ".bvh", poses)))
    for joint, parent in H36M_16.bones:
        bone = points[:, joint] - points[:, parent]
        np.testing.assert_allclose(bone, lengths[joint] * directions[:, joint], atol=MILLIMETER)


def test_bvh_angles_go_on_beyond_a_whole_turn(tmp_path, monkeypatch):
    """A person turns twice about the vertical axis, to the left, 10 degrees per frame."""
    monkeypatch.setattr("rsnet_jax.export.timeline.BLOCK", 16)
    turn = Rotation.from_rotvec(np.radians(10 * np.arange(73))[:, None] * [0, 1, 0]).as_matrix()
    points = np.einsum("fij,kj->fki", turn, wanted()[0]) * (1, -1, -1) + (0, 0, 4)
    path = written(tmp_path, ".bvh", of_camera(points))
    lines = path.read_text().partition("Frame Time:")[2].splitlines()[1:]
    about_y = np.array([float(line.split()[5]) for line in lines])
    np.testing.assert_allclose(about_y - about_y[0], 10 * np.arange(73), atol=1e-3)


def animated(path):
    """Node and property -> values (frame, n), and the times."""
    document = pygltflib.GLTF2().load(str(path))
    blob = document.binary_blob()

    def numbers(index):
        accessor = document.accessors[index]
        view = document.bufferViews[accessor.bufferView]
        width = {"SCALAR": 1, "VEC3": 3, "VEC4": 4}[accessor.type]
        assert accessor.componentType == pygltflib.FLOAT
        part = blob[view.byteOffset : view.byteOffset + view.byteLength]
        return np.frombuffer(part, np.float32).reshape(accessor.count, width)

    [animation] = document.animations
    found = {}
    for channel in animation.channels:
        sampler = animation.samplers[channel.sampler]
        key = (document.nodes[channel.target.node].name, channel.target.path)
        found[key] = (numbers(sampler.output), sampler.interpolation)
        times = numbers(sampler.input)[:, 0]
    return found, times


def test_glb_moves(tmp_path):
    found, times = animated(written(tmp_path, ".glb"))
    np.testing.assert_allclose(times, np.arange(FRAMES) / RATE, atol=1e-6)
    points = np.stack([found[joint, "translation"][0] for joint in JOINTS], axis=1)
    gone = np.isnan(wanted()[..., 0])
    for place, joint in enumerate(JOINTS):
        size, kind = found[joint, "scale"]
        assert kind == "STEP"
        np.testing.assert_array_equal(size, np.repeat(~gone[:, place, None], 3, axis=1))
    assert_raised(np.where(gone[..., None], np.nan, points))


def turned(quaternion, vector):
    """q v q* by the formula of Rodrigues for unit quaternions (x, y, z, w)."""
    axis, w = quaternion[:3], quaternion[3]
    return vector + 2 * np.cross(axis, np.cross(axis, vector) + w * vector)


def test_glb_bones_reach_from_joint_to_joint(tmp_path):
    found, _ = animated(written(tmp_path, ".glb"))
    for joint, parent in H36M_16.bones:
        name = f"{JOINTS[joint]} - {JOINTS[parent]}"
        turns, sizes = found[name, "rotation"][0], found[name, "scale"][0]
        for frame in SEEN:
            vector = wanted()[frame, parent] - wanted()[frame, joint]
            if np.isnan(vector).any():
                assert not sizes[frame].any()
                continue
            np.testing.assert_allclose(
                turned(turns[frame], sizes[frame] * (0, 1, 0)), vector, atol=MILLIMETER
            )
        assert not sizes[list(NOBODY)].any()


def test_glb_bones_turn_the_short_way(tmp_path, rng):
    """Of the two quaternions of a rotation, that closer to the frame before."""
    found, _ = animated(written(tmp_path, ".glb", anywhere(rng)[0]))
    for (_, path), (turns, _) in found.items():
        if path == "rotation":
            assert (np.einsum("fi,fi->f", turns[1:], turns[:-1]) >= 0).all()


def test_glb_at_rest(tmp_path):
    """Programs that show no movement see the first pose, with colors by side."""
    scene = trimesh.load(written(tmp_path, ".glb"))

    def side_of(node):
        geometry = scene.geometry[scene.graph[node][1]]
        red, _, blue, _ = geometry.visual.material.baseColorFactor
        return "left" if red > blue else "right" if blue > red else "middle"

    for place, joint in enumerate(JOINTS):
        matrix, geometry = scene.graph[joint]
        np.testing.assert_allclose(matrix[:3, 3], wanted()[0, place], atol=MILLIMETER)
        side = joint.partition("_")[0]
        assert side_of(joint) == (side if side in ("left", "right") else "middle")
        assert scene.geometry[geometry].is_watertight
    assert side_of("left_shoulder - thorax") == side_of("left_knee - left_hip") == "left"
    assert side_of("right_hip - pelvis") == "right"
    assert side_of("thorax - spine") == "middle"
    # Balls end 3 cm beyond the centers, at the feet and above the hand.
    assert scene.bounds[:, 1] == pytest.approx([-0.03, 1.88], abs=MILLIMETER)


@pytest.mark.parametrize("suffix", [".trc", ".c3d", ".bvh", ".glb"])
def test_one_frame_needs_no_rate(tmp_path, suffix):
    poses = raised_arm(fps=None)
    columns = {
        field.name: getattr(poses, field.name)[:1]
        for field in dataclasses.fields(poses)
        if isinstance(getattr(poses, field.name), np.ndarray)
    }
    path = written(tmp_path, suffix, dataclasses.replace(poses, **columns))
    match suffix:
        case ".trc":
            points = np.genfromtxt(path, skip_header=5)[2:].reshape(16, 3)
        case ".c3d":
            points = ezc3d.c3d(str(path))["data"]["points"][:3, :, 0].T / 1000
        case ".bvh":
            points = joints_of(pybvh.read_bvh_file(path))[0]
        case ".glb":
            assert not pygltflib.GLTF2().load(str(path)).animations
            scene = trimesh.load(path)
            points = [scene.graph[joint][0][:3, 3] for joint in JOINTS]
    np.testing.assert_allclose(points, wanted()[0], atol=MILLIMETER)
