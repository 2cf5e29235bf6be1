import dataclasses
import json

import h36m_files
import numpy as np
import pytest

from rsnet_jax.checkpoints.checkpoint import Checkpoint
from rsnet_jax.checkpoints.load import load_checkpoint
from rsnet_jax.config import Config, DataConfig, ParallelConfig, RSNetConfig
from rsnet_jax.data.load import load_frames
from rsnet_jax.distributed.devices import Devices
from rsnet_jax.errors import ConfigError, DataError
from rsnet_jax.evaluation.evaluator import Evaluator, evaluate
from rsnet_jax.evaluation.settings import EvaluationSettings
from rsnet_jax.models.build import init_refinement_variables, init_variables
from rsnet_jax.pose import metrics
from rsnet_jax.pose.skeleton import H36M_16, H36M_17, Skeleton


@pytest.fixture(scope="module")
def released(golden):
    return load_checkpoint(golden / "e2e_tiny")


@pytest.fixture(scope="module")
def synthetic():
    return load_frames(DataConfig(detections="noisy", every=12), "test")


@pytest.mark.parametrize("mode", ["default", "published"])
def test_real_motion_gives_the_figures_of_the_released_code(golden, mocap, released, mode):
    want = json.loads((golden / "e2e_tiny/expected.json").read_text())
    data = DataConfig(root=mocap / "cmu_mocap_tiny", detections="hr")
    settings = EvaluationSettings(published=mode == "published")
    report = evaluate(released, load_frames(data, "test"), settings=settings).report
    assert report["frames"] == want["frames"]
    for stage in ("lifted", "refined"):
        for metric, table in want[mode][stage].items():
            assert set(report[stage][metric]) == set(table)
            for action, figure in table.items():
                # Millimeters.
                assert report[stage][metric][action] == pytest.approx(figure, abs=0.01), action


def test_the_batch_size_changes_nothing(released, synthetic):
    one, other = (
        evaluate(released, synthetic, settings=EvaluationSettings(batch_size=size)).report
        for size in (64, 100)
    )
    for stage in ("lifted", "refined"):
        for metric, table in one[stage].items():
            for key, figure in table.items():
                assert other[stage][metric][key] == pytest.approx(figure, abs=1e-3)


def mirrored_by_hand(poses):
    left, right = [4, 5, 6, 10, 11, 12], [1, 2, 3, 13, 14, 15]
    mirrored = poses.copy()
    mirrored[:, left + right] = poses[:, right + left]
    mirrored[..., 0] *= -1
    return mirrored


def test_figures_are_those_of_the_predictions(released, synthetic):
    """Every figure of the report from the poses alone, by NumPy."""
    result = evaluate(released, synthetic, keep_predictions=True)
    kept = result.predictions
    target = synthetic.joints_3d.copy()
    target[:, 0] = 0
    plain, mirrored = (
        np.asarray(released.model.apply(released.variables, keypoints))
        for keypoints in (synthetic.keypoints_2d, mirrored_by_hand(synthetic.keypoints_2d))
    )
    lifted = (plain + mirrored_by_hand(mirrored)) / 2
    assert np.abs(lifted[:, 0]).max() > 0.01  # joint 0 of the network's output is not at the origin
    np.testing.assert_allclose(kept["lifted_pose"], lifted - lifted[:, :1], rtol=0, atol=1e-5)
    for stage in ("lifted", "refined"):
        pose = kept[f"{stage}_pose"]
        assert not pose[:, 0].any()
        distances = 1000 * np.linalg.norm(pose - target, axis=-1)
        np.testing.assert_allclose(kept[f"{stage}_mpjpe_mm"], distances.mean(axis=1), rtol=1e-5)
        # N-MPJPE of the centered pose, with the scale sum <p, t> / sum <p, p> that fits it best.
        scale = (pose * target).sum(axis=(1, 2)) / (pose * pose).sum(axis=(1, 2))
        scaled = 1000 * np.linalg.norm(scale[:, None, None] * pose - target, axis=-1)
        np.testing.assert_allclose(kept[f"{stage}_n_mpjpe_mm"], scaled.mean(axis=1), rtol=1e-4)
        np.testing.assert_allclose(
            list(result.report[stage]["per_joint_mpjpe"].values()),
            distances.mean(axis=0),
            rtol=1e-5,
            atol=1e-6,
        )
        for metric in ("mpjpe", "pa_mpjpe", "n_mpjpe"):
            error = kept[f"{stage}_{metric}_mm"]
            by_action = {a: error[kept["action"] == a].mean() for a in set(kept["action"])}
            by_action["average"] = np.mean(list(by_action.values()))
            assert result.report[stage][metric] == pytest.approx(by_action, rel=1e-5)
    assert len(kept["index"]) == len(synthetic)
    assert set(kept["subject"]) == {"S9", "S11"}
    assert kept["sequence"][0] == f"{kept['subject'][0]}/Walk/{kept['camera'][0]}"


def test_published_p2_credits_the_batch_mean(released, synthetic):
    settings = EvaluationSettings(published=True, batch_size=50, flip_test=False)
    result = evaluate(released, synthetic, settings=settings, keep_predictions=True)
    kept = result.predictions
    target = synthetic.joints_3d.copy()
    target[:, 0] = 0
    true = 1000 * np.asarray(metrics.pa_mpjpe(kept["lifted_pose"], target))
    assert len(true) % 50 != 0  # an uneven last batch
    for start in range(0, len(true), 50):
        credited = kept["lifted_pa_mpjpe_mm"][start : start + 50]
        np.testing.assert_allclose(credited, true[start : start + 50].mean(), rtol=1e-4)


@pytest.fixture(scope="module")
def small():
    """Untrained, with a head, and with the dropout of its head on where asked for."""
    config = Config(model=RSNetConfig(width=4, blocks=1))  # of the smoke preset: compiled already
    return Checkpoint(init_variables(config), init_refinement_variables(config), config)


@pytest.mark.parametrize(
    ("settings", "strategy"),
    [
        (EvaluationSettings(batch_size=50), "mesh"),
        (EvaluationSettings(batch_size=50, published=True, refine_dropout_seed=1), "pmap"),
    ],
    ids=["true", "published"],
)
def test_evaluation_on_four_devices_changes_rounding_only(small, synthetic, settings, strategy):
    """Neither the last batch nor a batch that does not divide among the devices is even."""
    assert len(synthetic) % 50 and 50 % 4
    one, four = (
        evaluate(
            small,
            synthetic,
            settings=settings,
            parallel=ParallelConfig(devices=devices, strategy=strategy),
            keep_predictions=True,
        )
        for devices in (1, 4)
    )
    for name, want in one.predictions.items():
        if name.endswith(("_mm", "_pose")):
            # Millimeters and meters.
            tolerance = 1e-2 if name.endswith("_mm") else 1e-5
            np.testing.assert_allclose(four.predictions[name], want, rtol=0, atol=tolerance)
        else:
            np.testing.assert_array_equal(four.predictions[name], want)
    for stage in ("lifted", "refined"):
        for metric, table in one.report[stage].items():
            assert four.report[stage][metric] == pytest.approx(table, rel=1e-5)


@pytest.mark.parametrize(
    ("settings", "strategy"),
    [
        (EvaluationSettings(batch_size=50), "mesh"),
        (EvaluationSettings(batch_size=50, published=True, refine_dropout_seed=1), "pmap"),
    ],
    ids=["true", "published"],
)
def test_evaluation_of_a_stream_is_that_of_the_table(small, synthetic, settings, strategy):
    """To the bit; neither the last call, the last batch nor the share of a device is full."""
    table, stream = (
        evaluate(
            small,
            synthetic,
            settings=settings,
            parallel=ParallelConfig(devices=4, strategy=strategy),
            residency=residency,
            keep_predictions=True,
        )
        for residency in ("device", "stream")
    )
    assert stream.report == table.report
    for name, want in table.predictions.items():
        np.testing.assert_array_equal(stream.predictions[name], want)


def test_head_dropout_is_off_unless_asked_for(released, synthetic):
    plain, again, one, one_again, two = (
        evaluate(released, synthetic, settings=EvaluationSettings(refine_dropout_seed=seed)).report
        for seed in (None, None, 1, 1, 2)
    )
    assert plain == again
    assert one == one_again
    average = [r["refined"]["mpjpe"]["average"] for r in (plain, one, two)]
    assert len(set(average)) == 3
    assert plain["lifted"] == one["lifted"] == two["lifted"]


def test_precision_is_an_option(released, synthetic):
    exact, rough = (
        evaluate(
            released,
            synthetic,
            settings=EvaluationSettings(precision=precision),
            keep_predictions=True,
        ).predictions["lifted_pose"]
        for precision in ("highest", "bfloat16")
    )
    # Meters: bfloat16 keeps 8 bits of coordinates of some decimeters.
    assert 1e-4 < np.abs(exact - rough).mean() < 1e-2


def test_a_result_that_is_not_finite_is_an_error(released, synthetic):
    keypoints = synthetic.keypoints_2d.copy()
    keypoints[7, 3] = 1e30
    with pytest.raises(DataError, match="the result is not finite: lifted mpjpe average is nan"):
        evaluate(released, dataclasses.replace(synthetic, keypoints_2d=keypoints))


def test_another_skeleton_is_refused(released, synthetic):
    other = Skeleton(
        "other", *(getattr(H36M_16, f) for f in ("joints", "parents", "left", "right"))
    )
    with pytest.raises(DataError, match=r"skeleton other \(16 joints\), the data have h36m_16"):
        evaluate(dataclasses.replace(released, skeleton=other), synthetic)
    with pytest.raises(DataError, match="for 2D keypoints of skeleton h36m_16 .*data have other"):
        evaluate(released, dataclasses.replace(synthetic, keypoint_skeleton=other))
    with pytest.raises(ConfigError, match="refinement needs a 2D keypoint for each joint"):
        Evaluator(
            released.config,
            dataclasses.replace(synthetic, keypoint_skeleton=other),
            Devices.choose(ParallelConfig()),
            refine=True,
            settings=EvaluationSettings(),
        )


def test_17_joints_are_evaluated_under_their_own_names(tmp_path):
    h36m_files.write(tmp_path, h36m_files.make(neck=True))
    data = DataConfig(root=tmp_path, detections="hr", joint_set="h36m17")
    config = Config(model=RSNetConfig(width=3, blocks=1, refine_hidden=8), data=data)
    variables, refinement = (
        init(config, H36M_17) for init in (init_variables, init_refinement_variables)
    )
    frames = load_frames(data, "test")
    checkpoint = Checkpoint(variables, refinement, config, H36M_17)
    result = evaluate(checkpoint, frames, keep_predictions=True)
    target = frames.joints_3d.copy()
    target[:, 0] = 0
    for stage in ("lifted", "refined"):
        errors = np.linalg.norm(result.predictions[f"{stage}_pose"] - target, axis=-1)
        want = dict(zip(H36M_17.joints, 1000 * errors.mean(axis=0), strict=True))
        assert result.report[stage]["per_joint_mpjpe"] == pytest.approx(want, rel=1e-5)


@pytest.mark.parametrize(
    ("frames", "rows"),
    [
        (100, 100),  # all at once
        (1776, 111),  # 14 batches of 128 need 4 calls of 4: 16 of 111, with nothing to fill up
        (1000, 125),  # 2 calls of 4
    ],
)
def test_calls_have_full_batches(frames, rows):
    def size(**settings):
        settings = EvaluationSettings(**settings)
        return settings.choose_batch_size(frames, max_batch=128, max_batches_per_call=4)

    assert size() == rows
    assert size(batch_size=60) == 60
    assert size(published=True) == min(128, frames)
