import dataclasses

import numpy as np
import pytest
from comparisons import SEMGCN, save, tiny, write_h36m

from rsnet_jax.config import DataConfig, TrainConfig
from rsnet_jax.data.load import load_frames
from rsnet_jax.errors import ConfigError, DataError
from rsnet_jax.evaluation.compare.clips import clips_of
from rsnet_jax.evaluation.compare.comparison import Entry, compare, other_settings
from rsnet_jax.evaluation.compare.pose_errors import pose_errors
from rsnet_jax.evaluation.compare.predictions import read_predictions
from rsnet_jax.evaluation.compare.report import Cost, compare_report
from rsnet_jax.evaluation.evaluator import evaluate
from rsnet_jax.evaluation.settings import EvaluationSettings
from rsnet_jax.pose.skeleton import H36M_17

SETTINGS = EvaluationSettings(flip_test=False)
METRICS = ("mpjpe", "pa_mpjpe", "n_mpjpe")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = write_h36m(tmp_path_factory.mktemp("h36m"))
    return DataConfig(root=folder, detections="hr")


@pytest.fixture(scope="module")
def frames(data):
    return load_frames(data, "test")


@pytest.fixture(scope="module")
def network():
    return tiny(refine=True)


@pytest.fixture(scope="module")
def evaluated(network, frames):
    """The network by itself, as `rsnet-jax evaluate` measures it."""
    return evaluate(network, frames, settings=SETTINGS, keep_predictions=True)


SEEDS = (3, 4)


@pytest.fixture(scope="module")
def seeds():
    return tuple(tiny(seed=seed) for seed in SEEDS)


@pytest.fixture(scope="module")
def report(network, seeds, data):
    entries = [
        Entry("a", (network,)),
        Entry("seventeen", (tiny(SEMGCN, skeleton=H36M_17),)),
        Entry("seeds", seeds),
    ]
    costs = {("a", "refined"): Cost(parameters=5, operations=6)}
    tables = compare(entries, data, settings=SETTINGS)
    return compare_report(tables, costs=costs, settings=SETTINGS, resamples=200)


def report_of(entries, data):
    return compare_report(compare(entries, data), costs={}, settings=SETTINGS, resamples=100)


def test_scores_are_those_of_evaluate(report, evaluated):
    assert (report["dataset"], report["detections"]) == ("h36m", "hr")
    lifted, refined, _ = report["tables"][0]["rows"]
    assert (lifted["name"], lifted["stage"], refined["stage"]) == ("a", "lifted", "refined")
    assert lifted["network"] == "RS-Net, width 4, 1 blocks, 2 hops" and lifted["seeds"] == [0]
    assert not lifted["true_root"] and refined["true_root"]
    assert report["flip_test"] is refined["flip_test"] is False
    assert (lifted["parameters"], refined["parameters"]) == (None, 5)
    assert refined["operations_per_pose"] == 6
    for row in (lifted, refined):
        for metric in METRICS:
            wanted = evaluated.report[row["stage"]][metric]
            assert row[metric] == pytest.approx(wanted, rel=1e-6)
            assert list(row[metric]) == list(wanted)
            assert row[f"{metric}_sd"] is None


def test_differences_are_to_the_first_row(report):
    lifted, *others = report["tables"][0]["rows"]
    assert lifted["difference"] is None
    for row in others:
        for metric in METRICS:
            difference = row["difference"][metric]
            gained = row[metric]["average"] - lifted[metric]["average"]
            assert difference["mean"] == pytest.approx(gained, rel=1e-4)
            assert difference["low"] < gained < difference["high"]
    assert "the test subjects have 5 clips only" in " ".join(report["remarks"])


def test_seeds_have_a_mean_and_a_standard_deviation(report, seeds, frames):
    each = [evaluate(one, frames, settings=SETTINGS).report["lifted"]["mpjpe"] for one in seeds]
    row = report["tables"][0]["rows"][-1]
    assert row["name"] == "seeds" and row["seeds"] == list(SEEDS) and len(row["sources"]) == 2
    for column in ("average", "Walking"):
        one, other = (values[column] for values in each)
        assert row["mpjpe"][column] == pytest.approx((one + other) / 2, rel=1e-6)
        # of two values, the sample's standard deviation is their distance / sqrt(2)
        assert row["mpjpe_sd"][column] == pytest.approx(abs(one - other) / 2**0.5, rel=1e-3)
    assert row["mpjpe_each"] == pytest.approx([values["average"] for values in each], rel=1e-6)


def test_scores_on_other_joints_stand_in_tables_of_their_own(report):
    names = [[row["name"] for row in table["rows"]] for table in report["tables"]]
    assert names == [["a", "a", "seeds"], ["seventeen"]]
    sixteen, seventeen = report["tables"]
    assert (sixteen["joints"], sixteen["views"], sixteen["clips"]) == (16, 100, 5)
    assert (seventeen["joints"], seventeen["skeleton"]) == (17, "h36m_17")
    assert seventeen["rows"][0]["difference"] is None  # nothing that it compares with


def by_clip(frames, poses):
    """The layout of VideoPose3D: subject -> clip -> one array per camera."""
    content = {}
    for number, name in enumerate(frames.sequences):
        subject, clip, _ = name.split("/")
        array = poses[frames.sequence == number]
        content.setdefault(subject, {}).setdefault(clip, []).append(array)
    return content


def stacked(content):
    """One array (camera, frame, joint, 3) per clip."""
    return {
        subject: {clip: np.stack(cameras) for clip, cameras in clips.items()}
        for subject, clips in content.items()
    }


def test_predictions_of_any_layout_have_the_scores_of_their_network(
    evaluated, data, frames, tmp_path
):
    rows, poses = evaluated.predictions, evaluated.predictions["lifted_pose"]
    absolute = poses + np.array([1.0, 2, 3], np.float32)
    order = np.random.default_rng(0).permutation(len(poses))
    labels = {name: rows[name] for name in ("sequence", "index")}
    files = {
        "in order": {"poses": poses},
        "millimeters": {"poses": 1000 * poses, "units": np.array("millimeters")},
        "absolute": {"poses": absolute.astype(np.float64)},
        "labeled": {"poses": poses[order], **{k: v[order] for k, v in labels.items()}},
        "labeled by action": {"poses": poses, "action": rows["action"]},
        "by clip": {"poses": by_clip(frames, poses)},
        "stacked": {"poses": stacked(by_clip(frames, poses))},
        "as evaluate writes it": rows,
    }
    entries = [
        Entry(name, (read_predictions(save(tmp_path / f"{name}.npz", **content)),))
        for name, content in files.items()
    ]
    found = {
        (row["name"], row["stage"]): row for row in report_of(entries, data)["tables"][0]["rows"]
    }
    assert list(found)[-1] == ("as evaluate writes it", "refined")
    assert len(found) == len(files) + 1
    for (_, stage), row in found.items():
        for metric in METRICS:
            wanted = evaluated.report[stage][metric]["average"]
            assert row[metric]["average"] == pytest.approx(wanted, rel=1e-4)
        assert row["true_root"] == (stage == "refined")
        assert row["seeds"] == [None] and row["network"] == "predictions of another program"
        assert row["flip_test"] is None


def test_what_a_file_says_of_its_predictions_is_told(evaluated, data, tmp_path):
    poses = evaluated.predictions["lifted_pose"]
    path = save(tmp_path / "a.npz", poses=poses, flip_test=np.array(True), true_root=True,
                parameters=np.array(1234))  # fmt: skip
    stored = read_predictions(path)
    assert (stored.flip_test, stored.true_root, stored.parameters) == (True, True, 1234)
    row = report_of([Entry("a", (stored,))], data)["tables"][0]["rows"][0]
    assert row["flip_test"] is True and row["true_root"] is True


def test_predictions_of_every_frame_serve_a_stride(evaluated, data, frames, tmp_path):
    """Rows are found by their labels, or by the stride of the clip."""
    rows, poses = evaluated.predictions, evaluated.predictions["lifted_pose"]
    labels = {name: rows[name] for name in ("sequence", "index")}
    contents = [{"poses": by_clip(frames, poses)}, {"poses": poses, **labels}]
    every = data.model_copy(update={"every": 2})
    entries = [
        Entry(str(n), (read_predictions(save(tmp_path / f"{n}.npz", **content)),))
        for n, content in enumerate(contents)
    ]
    [table] = report_of(entries, every)["tables"]
    kept = rows["lifted_mpjpe_mm"][rows["index"] % 2 == 0]
    actions = rows["action"][rows["index"] % 2 == 0]
    wanted = np.mean([kept[actions == name].mean() for name in set(actions)])
    assert table["views"] == len(kept) == 4 * (3 + 2 + 3 + 2 + 4)
    for row in table["rows"]:
        assert row["mpjpe"]["average"] == pytest.approx(wanted, rel=1e-5)


def test_poses_that_follow_nothing_are_doubted(evaluated, data, tmp_path):
    path = save(tmp_path / "a.npz", poses=evaluated.predictions["lifted_pose"] * [1, -1, -1])
    told = report_of([Entry("mine", (read_predictions(path),))], data)["remarks"]
    assert any("mine: its P1 is above the" in remark for remark in told)


def refused_file(data, tmp_path, **content):
    with pytest.raises(DataError) as caught:
        stored = read_predictions(save(tmp_path / "bad.npz", **content))
        compare([Entry("a", (stored,))], data)
    told = str(caught.value)
    assert told.startswith(f"{tmp_path / 'bad.npz'}: ") and told.isprintable()
    return told.split(".npz: ", 1)[1]


def test_bad_predictions_are_refused_in_one_line(evaluated, data, frames, tmp_path):
    rows, poses = evaluated.predictions, evaluated.predictions["lifted_pose"]

    def told(**content):
        return refused_file(data, tmp_path, **content)

    assert "no predictions: poses or lifted_pose" in told(pose=poses)
    assert "99 poses for 100 views" in told(poses=poses[1:])
    assert "poses of 15 joints; the data have 16 (h36m_16)" in told(poses=poses[:, 1:])
    assert "(view, joint, 3) of floats" in told(poses=poses.astype(int))
    assert "(..., joint, 3) were wanted, not (100, 16, 2)" in told(poses=poses[..., :2])
    assert "is the unit another?" in told(poses=1000 * poses)
    assert "is the unit another?" in told(poses=poses, units=np.array("millimeters"))
    assert "units: meters or millimeters" in told(poses=poses, units=np.array("feet"))
    assert "flip_test: one bool was wanted, not 1" in told(poses=poses, flip_test=np.array(1))
    broken = poses.copy()
    broken[7, 3] = np.nan
    assert "S9/Walking 1/55011271, frame 2 is NaN" in told(poses=broken)
    labels = {"sequence": rows["sequence"], "index": rows["index"] + 1}
    assert "no pose for S9/Walking 1/54138969, frame 0" in told(poses=poses, **labels)
    assert "column action is not that of the data" in told(poses=poses, action=rows["action"][::-1])
    assert "labels have shape (99,)" in told(poses=poses, action=rows["action"][1:])
    clips = by_clip(frames, poses)
    assert "no predictions for subject 'S11'" in told(poses={"S9": clips["S9"]})
    lacking = clips | {"S9": {"Walking 1": clips["S9"]["Walking 1"]}}
    assert "no predictions for S9 'Eating'" in told(poses=lacking)
    three = clips | {"S9": clips["S9"] | {"Eating": clips["S9"]["Eating"][:3]}}
    assert "S9 'Eating': poses of 4 cameras were wanted, not of 3" in told(poses=three)
    short = clips | {"S9": clips["S9"] | {"Eating": [one[1:] for one in clips["S9"]["Eating"]]}}
    assert "3 poses for the 4 frames from S9/Eating/54138969, frame 0 on" in told(poses=short)
    assert told(poses=poses, refined_pose=np.zeros((100, 17, 3))) == "poses of 16 and 17 joints"


def test_members_of_an_entry_are_seeds_of_one_network(evaluated, tmp_path):
    one = tiny()
    path = save(tmp_path / "a.npz", poses=evaluated.predictions["lifted_pose"])
    cases = {
        "holds the weights of": (one, dataclasses.replace(one, source="again")),
        "are not two seeds of one network (RS-Net, width 4, 1 blocks, 2 hops and SemGCN": (
            one,
            tiny(SEMGCN),
        ),
        "are not two seeds of one network": (one, tiny(seed=1, refine=True)),
        "have other joints": (one, tiny(skeleton=H36M_17)),
        "are weights and predictions": (one, read_predictions(path)),
    }
    for message, members in cases.items():
        with pytest.raises(ConfigError) as caught:
            Entry("mine", members)
        assert message in str(caught.value) and str(caught.value).startswith("mine: ")


def test_runs_that_differ_in_more_than_their_seed_are_told():
    def run(seed, **train):
        one = tiny(seed=seed)
        config = one.config.model_copy(update={"train": TrainConfig(**train)})
        return dataclasses.replace(one, config=config)

    assert other_settings([run(0), run(1, save_minutes=1.0)]) == []
    assert other_settings([run(0), run(1, epochs=3, mirror=False)]) == [
        *("train.epochs", "train.mirror"),
    ]
    published = dataclasses.replace(run(1, epochs=3), step=None)  # whose settings are not known
    assert other_settings([run(0), published]) == []


def test_names_differ_and_other_protocols_are_not_compared(data, tmp_path):
    two = [Entry("a", (tiny(),)), Entry("a", (tiny(seed=1),))]
    with pytest.raises(ConfigError, match="two entries are called a; give NAME=PATH"):
        compare(two, data)
    mpi = DataConfig(dataset="mpi_inf_3dhp", root=tmp_path)
    with pytest.raises(ConfigError, match="PCK and AUC"):
        compare(two[:1], mpi)
    with pytest.raises(DataError, match="skeleton h36m_17"):
        compare([Entry("a", (tiny(skeleton=H36M_17),))], DataConfig(every=48, actions=("Run",)))


def test_clips_are_seen_by_several_cameras(frames):
    clips = clips_of(frames)
    assert clips.names == (
        ("S9", "Walking 1"), ("S9", "Eating"), ("S9", "Walking"), ("S11", "Eating"),
        ("S11", "Sitting"),
    )  # fmt: skip
    assert np.bincount(clips.clip).tolist() == [20, 16, 24, 12, 28]


def test_errors_do_not_depend_on_the_parts_of_the_work(frames, monkeypatch, rng):
    poses = rng.normal(size=(100, 16, 3)).astype(np.float32)
    whole = pose_errors(poses, frames)
    monkeypatch.setattr("rsnet_jax.evaluation.compare.pose_errors.ROWS", 30)
    for name, column in pose_errors(poses, frames).items():
        np.testing.assert_allclose(column, whole[name], rtol=1e-5)
    truth = frames.joints_3d.copy()
    truth[:, 0] = 0
    by_hand = 1000 * np.linalg.norm(poses - truth, axis=-1).mean(axis=1)
    np.testing.assert_allclose(whole["mpjpe"], by_hand, rtol=1e-5)
