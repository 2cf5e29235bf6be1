import json
import shutil

import mpi_files
import numpy as np
import pytest
from cli.conftest import contents

PREPARED = "data_mpi_inf_3dhp.npz"
MEASURE = ("--data.dataset", "mpi_inf_3dhp", "--data.root")


@pytest.fixture
def sequences():
    return mpi_files.make_all()


@pytest.fixture
def spin(tmp_path, sequences):
    path = tmp_path / "mpi_inf_3dhp_valid.npz"
    np.savez(path, **mpi_files.spin_arrays(sequences))
    return path


@pytest.fixture
def official(tmp_path, sequences):
    return mpi_files.write_official(tmp_path / "mpi_inf_3dhp_test_set", sequences)


def test_both_sources_give_the_same_rows(cli, spin, official, tmp_path, sequences):
    code, out, err = cli("prepare", "mpi-inf-3dhp", "--source", spin, "--out", tmp_path / "a")
    assert (code, err) == (0, "")
    assert f"wrote 27 frames to {tmp_path / 'a' / PREPARED}" in out
    assert "  TS1  gs            6\n" in out and "  TS6  outdoor       2\n" in out
    assert "Note: TS1 has 6 frames, where 603 were expected." in out
    assert cli("prepare", "mpi-inf-3dhp", "--source", official, "--out", tmp_path / "b")[0] == 0
    assert contents(tmp_path / "a") == contents(tmp_path / "b") == [PREPARED, "manifest.json"]
    a, b = (np.load(tmp_path / name / PREPARED) for name in "ab")
    assert set(a) == {"pose3d", "pose2d", "sequence", "frame", "scene", "header"}
    for name in ("sequence", "scene"):
        np.testing.assert_array_equal(a[name], b[name])
    np.testing.assert_array_equal(a["frame"] + 2, b["frame"])  # two invalid ones before them
    for name in ("pose3d", "pose2d"):
        np.testing.assert_allclose(a[name], b[name], atol=1e-6)
    (entry,) = json.loads((tmp_path / "b" / "manifest.json").read_text())["prepared"]
    assert [file["name"] for file in entry["sources"]][:2] == [
        "TS1/annot_data.mat",
        "TS2/annot_data.mat",
    ]
    assert entry["counts"] == {"TS1": 6, "TS2": 5, "TS3": 4, "TS4": 7, "TS5": 3, "TS6": 2}
    assert entry["options"] == {"poses": "univ_annot3"} and "Mehta" in entry["citation"]


def test_people_as_they_are(cli, official, tmp_path, refused, spin):
    options = ["--source", official, "--poses", "annot3", "--out", tmp_path / "a"]
    assert cli("prepare", "mpi-inf-3dhp", *options)[0] == 0
    relative = np.concatenate([made.relative for made in mpi_files.make_all()])
    stored = np.load(tmp_path / "a" / PREPARED)["pose3d"]
    np.testing.assert_allclose(stored, 1.1 * relative, atol=1e-6)
    assert complaint(cli, "--source", spin, "--poses", "annot3") == (
        "poses: annot3 is chosen in the official test set only"
    )


def complaint(cli, *options):
    code, out, err = cli("prepare", "mpi-inf-3dhp", *options)
    assert (code, out) == (2, "") and err.count("\n") == 1
    return err.removeprefix("rsnet-jax prepare: error: ").strip()


def test_bad_sources_leave_nothing_behind(cli, official, spin, tmp_path):
    out = tmp_path / "out"
    assert complaint(cli).startswith("which --source? Give mpi_inf_3dhp_valid.npz of SPIN")
    assert complaint(cli, "--source", tmp_path / "no", "--out", out).endswith(
        "no such file or folder"
    )
    shutil.rmtree(official / "TS6")
    message = complaint(cli, "--source", official, "--out", out)
    assert "no TS6/annot_data.mat" in message
    arrays = mpi_files.annotations(mpi_files.make("TS6", 3))
    arrays["univ_annot3"] /= 1000
    mpi_files.write_v73(official / "TS6" / "annot_data.mat", arrays)
    message = complaint(cli, "--source", official, "--out", out)
    assert "TS6/annot_data.mat: univ_annot3 (TS6): millimeters are wanted" in message
    spin.write_bytes(spin.read_bytes()[:1000])
    assert "damaged or cut short" in complaint(cli, "--source", spin, "--out", out)
    assert not out.exists()


@pytest.fixture
def usual(tmp_path):
    """2,929 rows without names, as PoseAug has them."""
    counts = {"TS1": 603, "TS2": 540, "TS3": 505, "TS4": 553, "TS5": 276, "TS6": 452}
    parts = [mpi_files.make(name, count) for name, count in counts.items()]
    np.savez(tmp_path / "test_3dhp.npz", **mpi_files.poseaug_arrays(parts))
    return tmp_path / "test_3dhp.npz"


def test_report_of_the_usual_file(cli, golden, usual, tmp_path, monkeypatch):
    monkeypatch.chdir(golden)  # a short path
    output = tmp_path / "out.json"
    options = ["--parallel.devices", 1, "--json", output]
    code, out, err = cli("evaluate", "e2e_tiny", *MEASURE, usual, *options)
    assert code == 0
    report = json.loads(output.read_text())
    assert (report["dataset"], report["frames"]) == ("mpi_inf_3dhp", 2929)
    assert (report["convention"], report["refined"]) == ("poseaug", None)
    lifted = report["lifted"]
    for name in ("pck150", "pck150_without_root", "auc", "auc_without_root"):
        assert set(lifted[name]) == {"all", "gs", "no_gs", "outdoor"}
    assert lifted["scenes"]["gs"]["frames"] == 1143
    assert lifted["mpjpe"] == lifted["over_frames"]["mpjpe"]
    lines = out.splitlines()
    assert max(map(len, lines)) <= 80

    def row(start):
        (line,) = (line for line in lines if line.startswith(start))
        return line.removeprefix(start).split()

    names = ("mpjpe", "pa_mpjpe", "pck150", "auc", "pck150_without_root", "auc_without_root")
    for start, figures in (
        ("all, over frames", lifted["over_frames"]),
        ("all, over sequences", lifted["over_sequences"]),
        ("outdoor (TS5 TS6)", lifted["scenes"]["outdoor"]),
        ("TS4", lifted["sequences"]["TS4"]),
    ):
        assert row(start)[-6:] == [f"{figures[name]:.2f}" for name in names]
    assert row("TS4")[0] == "553"
    text = " ".join(out.split())
    assert "Note: the file names no sequences: its 2,929 rows are assumed to be TS1 (603)" in text
    assert "Note: the refinement of the checkpoint is left out" in text
    assert "poseaug: PCK and AUC over 16 joints, the pelvis among them" in text and err == ""


def test_official_convention_and_predictions(cli, network, usual, tmp_path, sequences):
    path = tmp_path / "a" / PREPARED
    path.parent.mkdir()
    np.savez(path, **mpi_files.prepared_arrays(sequences))
    output, predictions = tmp_path / "out.json", tmp_path / "out.npz"
    code, out, err = cli(
        "evaluate", network, *MEASURE, path.parent, "--convention", "official",
        "--json", output, "--predictions", predictions,
    )  # fmt: skip
    assert (code, err) == (0, "")
    report, rows = json.loads(output.read_text()), np.load(predictions)
    assert report["convention"] == "official" and len(report["joints"]) == 14
    assert report["lifted"]["pck150_without_root"] is None
    assert "without pelvis and spine" in out and "Note" not in out
    errors = 1000 * np.linalg.norm(rows["lifted_pose"] - np.load(path)["pose3d"], axis=-1)
    chosen = [joint for joint in range(16) if joint not in (0, 7)]
    assert report["lifted"]["pck150"]["all"] == pytest.approx(
        100 * (errors[:, chosen] < 150).mean()
    )
    assert report["lifted"]["mpjpe"] == pytest.approx(errors.mean(), rel=1e-5)
    np.testing.assert_array_equal(rows["sequence"], np.load(path)["sequence"])


def test_settings_of_another_data_set_are_not_taken_over(cli, finished_run, sequences, tmp_path):
    """A run's own data settings, such as its stride over frames, do not hold for the test set."""
    assert "every: 20" in (finished_run.workdir / "config.yaml").read_text()
    path, output = tmp_path / "test_3dhp.npz", tmp_path / "out.json"
    np.savez(path, **mpi_files.poseaug_arrays(sequences))
    assert cli("evaluate", finished_run.workdir, *MEASURE, path, "--json", output)[0] == 0
    assert json.loads(output.read_text())["frames"] == 27


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--published"], "published: it repeats bugs of the official evaluation on Human3.6M"),
        (["--split", "train"], "data.dataset mpi_inf_3dhp is a test set: train on h36m"),
        (["--data.detections", "hr"], "data.detections: mpi_inf_3dhp has gt keypoints only"),
        (["--data.every", "5"], "data.every: mpi_inf_3dhp is measured whole"),
    ],
)
def test_what_makes_no_sense_is_refused(refused, network, tmp_path, options, message):
    assert refused("evaluate", network, *MEASURE, tmp_path, *options).startswith(message)


def test_conventions_belong_to_mpi_inf_3dhp(refused, network):
    message = refused("evaluate", network, "--convention", "official")
    assert message.startswith("convention: official is one of PCK and AUC, by which mpi_inf_3dhp")


def test_training_is_refused(refused, tmp_path):
    message = refused("train", "--workdir", tmp_path / "run", *MEASURE, tmp_path)
    assert message == "data.dataset mpi_inf_3dhp is a test set: train on h36m, then evaluate on it"
    assert contents(tmp_path) == []


def test_check_data_of_a_prepared_file(cli, sequences, tmp_path):
    np.savez(tmp_path / PREPARED, **mpi_files.prepared_arrays(sequences))
    for path in (tmp_path, tmp_path / PREPARED):
        code, out, err = cli("check-data", path)
        assert (code, err) == (0, "")
        assert f"{PREPARED}: 27 frames, 16 joints, test set of MPI-INF-3DHP\n" in out
        assert "TS4 no_gs: 7 frames, 3D up to 0." in out and out.endswith("no problems\n")
        assert f"remark: {PREPARED}: TS1 has 6 frames, where 603 were expected" in out
        assert max(map(len, out.splitlines())) <= 80


def test_check_data_lists_the_problems_of_all_sequences(cli, sequences, tmp_path):
    arrays = mpi_files.prepared_arrays(sequences)
    arrays["pose3d"][6:11] *= 1000  # TS2
    arrays["pose2d"][25:] *= [1, -1]  # TS6
    np.savez(tmp_path / PREPARED, **arrays)
    code, out, err = cli("check-data", tmp_path)
    problems = [line for line in out.splitlines() if line.startswith("PROBLEM: ")]
    assert code == 2 and err.endswith(": 2 problems, see above\n") and len(problems) == 2
    assert problems[0].startswith(f"PROBLEM: {PREPARED}: pose3d (TS2): meters are wanted")
    assert problems[1].startswith(f"PROBLEM: {PREPARED}: pose2d (TS6): the 2D keypoints are not")
    arrays["pose3d"][3, 2, 1] = np.nan
    np.savez(tmp_path / PREPARED, **arrays)
    code, out, err = cli("check-data", tmp_path)
    assert code == 2 and "pose3d: row 3, right_knee: a coordinate is not finite" in out


def test_check_data_of_rows_without_names(cli, sequences, tmp_path):
    np.savez(tmp_path / "test_3dhp.npz", **mpi_files.poseaug_arrays(sequences))
    code, out, _ = cli("check-data", tmp_path)
    assert code == 0 and "remark: test_3dhp.npz: the file names no sequences" in out
