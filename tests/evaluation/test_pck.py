"""PCK and AUC of made-up errors, worked out by hand."""

import jax.numpy as jnp
import mpi_files
import numpy as np
import pytest

from rsnet_jax.checkpoints.load import load_checkpoint
from rsnet_jax.config import Config, ParallelConfig, RSNetConfig
from rsnet_jax.data.mpi_inf_3dhp.pose_table import PoseTable
from rsnet_jax.data.mpi_inf_3dhp.read import as_frames, load_mpi_inf_3dhp
from rsnet_jax.distributed.devices import Devices
from rsnet_jax.errors import ConfigError
from rsnet_jax.evaluation import program
from rsnet_jax.evaluation.evaluator import Evaluator, evaluate
from rsnet_jax.evaluation.settings import EvaluationSettings

SEQUENCES = ("TS1", "TS2", "TS3", "TS4", "TS5", "TS6")
CEILING = 3000 / 31  # of AUC: no error is below the first of the 31 limits, 0 mm


@pytest.fixture
def measure(monkeypatch):
    """Reports of poses with given errors: `measure({"TS1": meters (frame, 16), ...}, ...)`.

    The compiled program is that of an evaluation, with predictions that are the truth, moved along
    x by the errors. The truth is at 0, so that float32 keeps the errors as they are given.
    """

    def predict(*args, **kwargs):
        def step(variables, refinement_variables, batch, key):
            offset = jnp.pad(batch.keypoints_2d[..., :1], ((0, 0), (0, 0), (0, 2)))
            return {"lifted": batch.joints_3d + offset}

        return step

    monkeypatch.setattr(program, "make_predict_step", predict)

    def report(errors, *, devices=1, **settings):
        lengths = [len(part) for part in errors.values()]
        rows = sum(lengths)
        points = np.zeros((rows, 16, 2))
        points[..., 0] = np.concatenate(list(errors.values()))
        sequence = np.repeat(np.arange(len(errors)), lengths)
        table = PoseTable(np.zeros((rows, 16, 3)), points, sequence, np.arange(rows), tuple(errors))
        config = Config(model=RSNetConfig(width=2, blocks=1))
        chosen = Devices.choose(ParallelConfig(devices=devices))
        settings = EvaluationSettings(**settings)
        evaluator = Evaluator(config, as_frames(table), chosen, refine=False, settings=settings)
        return evaluator({}, None).report

    return report


def errors_of(frames, joints=()):
    """No error but that of some joints: {joint: meters}."""
    errors = np.zeros((frames, 16))
    for joint, meters in dict(joints).items():
        errors[:, joint] = meters
    return errors


def test_perfect_poses_and_the_ceiling_of_auc(measure):
    lifted = measure({"TS1": errors_of(3)})["lifted"]
    assert lifted["pck150"] == {"all": 100, "gs": 100}
    assert lifted["auc"] == pytest.approx({"all": CEILING, "gs": CEILING})
    assert lifted["auc_without_root"]["all"] == pytest.approx(96.774, abs=1e-3)
    assert lifted["mpjpe"] == 0


def test_an_error_at_the_limit_is_not_below_it(measure):
    """Of joints 1 to 15, five are 150 mm off, five 149.9 mm, five 5 mm."""
    far = {joint: 0.15 for joint in range(1, 6)} | {joint: 0.1499 for joint in range(6, 11)}
    lifted = measure({"TS1": errors_of(2, far | {joint: 0.005 for joint in range(11, 16)})})[
        "lifted"
    ]
    assert lifted["pck150"]["all"] == pytest.approx(100 * 11 / 16)
    assert lifted["pck150_without_root"]["all"] == pytest.approx(100 * 10 / 15)
    # Of the 31 limits the root is below 30, a joint of 149.9 mm below the last one, and one of
    # 5 mm below all but the first two.
    assert lifted["auc"]["all"] == pytest.approx(100 * (30 + 5 * 1 + 5 * 29) / (16 * 31))
    assert lifted["auc_without_root"]["all"] == pytest.approx(100 * (5 * 1 + 5 * 29) / (15 * 31))
    assert lifted["mpjpe"] == pytest.approx((5 * 150 + 5 * 149.9 + 5 * 5) / 16)


def test_the_root_is_a_free_joint(measure):
    """Everything is wrong, and one joint in 16 still counts as right."""
    lifted = measure({"TS4": errors_of(1, {joint: 1.0 for joint in range(1, 16)})})["lifted"]
    assert lifted["pck150"]["all"] == pytest.approx(100 / 16)
    assert lifted["auc"]["all"] == pytest.approx(CEILING / 16)
    assert lifted["pck150_without_root"]["all"] == lifted["auc_without_root"]["all"] == 0


def test_official_leaves_out_pelvis_and_spine(measure):
    """The spine is 1 m off, and a hip: 13 of 14 joints are right; MPJPE is that of all 16."""
    errors = {"TS1": errors_of(4, {7: 1.0, 1: 0.6})}
    report = measure(errors, convention="official")
    assert report["convention"] == "official" and len(report["joints"]) == 14
    assert not {"pelvis", "spine"} & set(report["joints"])
    lifted = report["lifted"]
    assert lifted["pck150"]["all"] == pytest.approx(100 * 13 / 14)
    assert lifted["auc"]["all"] == pytest.approx(CEILING * 13 / 14)
    assert lifted["mpjpe"] == pytest.approx(1600 / 16)
    assert lifted["pck150_without_root"] is None and lifted["auc_without_root"] is None
    assert "pck150_without_root" not in lifted["over_frames"]
    other = measure(errors)
    assert other["convention"] == "poseaug" and len(other["joints"]) == 16
    assert other["lifted"]["pck150"]["all"] == pytest.approx(100 * 14 / 16)


def test_all_pools_the_frames_of_scenes(measure):
    """TS1 and TS2: 6 frames, perfect. TS3: 3 frames with 8 of 16 joints. TS5: 1 frame with none."""
    errors = {
        "TS1": errors_of(4),
        "TS2": errors_of(2),
        "TS3": errors_of(3, {joint: 0.3 for joint in range(8, 16)}),
        "TS5": errors_of(1, {joint: 0.3 for joint in range(16)}),
    }
    lifted = measure(errors)["lifted"]
    pck = {"gs": 100, "no_gs": 50, "outdoor": 0, "all": (6 * 100 + 3 * 50 + 0) / 10}
    assert lifted["pck150"] == pytest.approx(pck)
    assert lifted["pck150"]["all"] != pytest.approx(np.mean([100, 50, 0]))
    assert {name: row["frames"] for name, row in lifted["scenes"].items()} == {
        **{"gs": 6, "no_gs": 3, "outdoor": 1}
    }
    assert {name: row["pck150"] for name, row in lifted["sequences"].items()} == pytest.approx(
        {"TS1": 100, "TS2": 100, "TS3": 50, "TS5": 0}
    )
    assert lifted["over_frames"]["pck150"] == pytest.approx(75)
    assert lifted["over_sequences"]["pck150"] == pytest.approx((100 + 100 + 50 + 0) / 4)
    assert lifted["scenes"]["no_gs"]["mpjpe"] == pytest.approx(150)
    assert lifted["over_sequences"]["mpjpe"] == pytest.approx((0 + 0 + 150 + 300) / 4)


def test_a_short_sequence_weighs_as_much_as_a_long_one_only_over_sequences(measure):
    """Ten perfect frames, and a thousand with all joints but the root 1 m off."""
    bad = {joint: 1.0 for joint in range(1, 16)}
    lifted = measure({"TS1": errors_of(10), "TS6": errors_of(1000, bad)})["lifted"]
    for name, perfect, wrong in (
        ("pck150", 100, 100 / 16),
        ("pck150_without_root", 100, 0),
        ("auc", CEILING, CEILING / 16),
        ("mpjpe", 0, 1000 * 15 / 16),
    ):
        frames = (10 * perfect + 1000 * wrong) / 1010
        assert lifted["over_frames"][name] == pytest.approx(frames)
        assert lifted["over_sequences"][name] == pytest.approx((perfect + wrong) / 2)
    assert lifted["over_frames"]["frames"] == 1010 and "frames" not in lifted["over_sequences"]


def test_uneven_batches_on_several_devices_count_each_frame_once(measure, rng):
    errors = {
        name: rng.uniform(0, 0.3, (n, 16))
        for name, n in zip(SEQUENCES, (9, 14, 1, 7, 12, 30), strict=True)
    }
    pooled = np.concatenate(list(errors.values()))
    want = 100 * np.mean(1000 * pooled.astype(np.float32) < 150)
    one, four = (measure(errors, devices=devices, batch_size=10)["lifted"] for devices in (1, 4))
    assert one["pck150"]["all"] == pytest.approx(want)
    for name in ("pck150", "pck150_without_root", "auc", "auc_without_root", "per_joint_mpjpe"):
        assert four[name] == pytest.approx(one[name], rel=1e-6)


@pytest.fixture(scope="module")
def frames(tmp_path_factory):
    path = tmp_path_factory.mktemp("mpi") / "data_mpi_inf_3dhp.npz"
    np.savez(path, **mpi_files.prepared_arrays(mpi_files.make_all()))
    return load_mpi_inf_3dhp(path)


def test_figures_are_those_of_the_predictions(golden, frames):
    """Every figure from the poses of a network, by NumPy; its refinement is left out."""
    checkpoint = load_checkpoint(golden / "e2e_tiny")
    result = evaluate(checkpoint, frames, keep_predictions=True)
    kept, lifted = result.predictions, result.report["lifted"]
    assert result.report["refined"] is None and "refined_pose" not in kept
    assert "the refinement of the checkpoint is left out" in result.report["remarks"][0]
    assert (result.report["frames"], result.report["flip_test"]) == (27, True)
    assert set(kept) >= {"sequence", "scene", "frame", "lifted_pose", "lifted_pa_mpjpe_mm"}
    errors = 1000 * np.linalg.norm(kept["lifted_pose"] - frames.joints_3d, axis=-1)
    assert not errors[:, 0].any()
    for scene, row in lifted["scenes"].items():
        chosen = kept["scene"] == scene
        assert row["mpjpe"] == pytest.approx(errors[chosen].mean(), rel=1e-5)
        assert row["pa_mpjpe"] == pytest.approx(kept["lifted_pa_mpjpe_mm"][chosen].mean(), rel=1e-5)
        curve = [100 * np.mean(errors[chosen] < limit) for limit in range(0, 151, 5)]
        assert lifted["pck150"][scene] == pytest.approx(curve[-1])
        assert lifted["auc"][scene] == pytest.approx(np.mean(curve))
    all_joints = lifted["pck150"]["all"]
    assert 0 < all_joints < 100
    assert lifted["pck150_without_root"]["all"] == pytest.approx((16 * all_joints - 100) / 15)
    want = dict(zip(frames.skeleton.joints, errors.mean(axis=0), strict=True))
    assert lifted["per_joint_mpjpe"] == pytest.approx(want, rel=1e-5)
    chosen = kept["sequence"] == "TS4"
    assert kept["frame"][chosen].tolist() == [1, 2, 3, 4, 5, 6, 7]


def test_rows_without_sequences_have_one_total(measure):
    lifted = measure({"unnamed": errors_of(2, {3: 1.0})})["lifted"]
    assert lifted["pck150"] == {"all": 100 * 15 / 16} and lifted["over_sequences"] is None
    assert lifted["scenes"] == lifted["sequences"] == {}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"published": True}, "published: it repeats bugs of the official evaluation on Human3.6M"),
        ({"refine_dropout_seed": 1}, "refine-dropout-seed: poses of mpi_inf_3dhp are not refined"),
    ],
)
def test_settings_of_human36m_are_refused(golden, frames, settings, message):
    with pytest.raises(ConfigError, match=message):
        evaluate(
            load_checkpoint(golden / "e2e_tiny"), frames, settings=EvaluationSettings(**settings)
        )
