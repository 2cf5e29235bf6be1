import json
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
from exported_networks import KINDS, random_checkpoint
from keypoints.detector_files import points_of, write_alphapose

from rsnet_jax import Lifter
from rsnet_jax.checkpoints.orbax_folder import save_checkpoint
from rsnet_jax.pose.layouts import COCO_17, HALPE_26

pytest.importorskip("onnx")
EXAMPLE = Path(__file__).parents[2] / "examples/onnx_predict.py"


def test_export_says_the_difference_and_predict_takes_the_file(cli, refused, network, tmp_path):
    out = tmp_path / "model.onnx"
    code, printed, err = cli("export", network, "--out", out, "--flip-test", "--license", "MIT")
    assert (code, err) == (0, "")
    assert "RS-Net, width" in printed and f"wrote {out}" in printed
    assert "for 1 pose, " in printed and "m for 64 poses" in printed
    keypoints = tmp_path / "people.json"
    write_alphapose(keypoints, points_of(COCO_17))
    paths = {}
    for name, weights in (("jax", network), ("onnx", out)):
        paths[name] = tmp_path / f"{name}.npz"
        arguments = ["--size", "640x480", "--fps", 25, "--out", paths[name]]
        code, _, err = cli("predict", keypoints, "--checkpoint", weights, *arguments)
        assert code == 0, err
    with np.load(paths["jax"]) as by_jax, np.load(paths["onnx"]) as by_onnx:
        np.testing.assert_allclose(by_onnx["poses"], by_jax["poses"], rtol=0, atol=1e-5)
        assert json.loads(str(by_onnx["header"]))["checkpoint"] == str(out)
    # Where weights are wanted, the file is no help; and nothing is overwritten.
    assert "an exported network, without weights" in refused("info", out)
    assert "exists already; give another name" in refused("export", network, "--out", out)


def test_bad_exports_are_refused_and_leave_nothing(refused, network, tmp_path, monkeypatch):
    out = tmp_path / "a.onnx"
    assert refused("export") == (
        "which CHECKPOINT? Give a folder, a .safetensors or a published .pth"
    )
    assert refused("export", network).startswith("where to? --out NAME.onnx or")
    assert "*.onnx or *.stablehlo was wanted, not a.pb" in refused(
        "export", network, "--out", "a.pb"
    )
    for size in ("640", "0x3", "640x-1", "axb"):
        line = refused("export", network, "--out", out, "--pixels", size)
        assert line == f"pixels: WIDTHxHEIGHT was wanted, such as 1920x1080, not {size}"
    assert "there is no file" in refused("export", tmp_path / "b.pth", "--out", out)
    keypoints, wrong = tmp_path / "people.json", tmp_path / "wrong.onnx"
    write_alphapose(keypoints, points_of(COCO_17))
    wrong.write_text("nothing")
    arguments = ["predict", keypoints, "--size", "640x480", "--out", tmp_path / "a.npz"]
    assert "not a readable ONNX file" in refused(*arguments, "--checkpoint", wrong)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    line = refused(*arguments, "--checkpoint", wrong)
    assert line.endswith("onnxruntime, which is not installed: pip install 'rsnet-jax[onnx]'")
    line = refused("export", network, "--out", out)
    assert line.endswith("onnxruntime, which is not installed: pip install 'rsnet-jax[onnx]'")
    monkeypatch.setitem(sys.modules, "onnx", None)
    line = refused("export", network, "--out", out)
    assert line.endswith("needs onnx, which is not installed: pip install 'rsnet-jax[onnx]'")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["people.json", "wrong.onnx"]


@pytest.mark.parametrize(
    ("layout", "confidence"), [(COCO_17, False), (HALPE_26, False), (HALPE_26, True)]
)
def test_example_lifts_as_the_lifter_does(cli, tmp_path, monkeypatch, layout, confidence):
    model = KINDS["rsnet"]
    if confidence:
        model = model.model_copy(update={"input_channels": 3})
    checkpoint = random_checkpoint(model)
    save_checkpoint(tmp_path / "weights", checkpoint)
    out = tmp_path / "model.onnx"
    code, *_ = cli(
        *("export", tmp_path / "weights", "--out", out, "--flip-test", "--pixels", "640x480")
    )
    assert code == 0
    points = points_of(layout)
    write_alphapose(tmp_path / "people.json", points)
    paths = [out, tmp_path / "people.json", tmp_path / "poses.npy"]
    monkeypatch.setattr(sys, "argv", [str(EXAMPLE), *map(str, paths)])
    runpy.run_path(str(EXAMPLE), run_name="__main__")
    lifter = Lifter(checkpoint)
    want = lifter(points[..., :2], points[..., 2], image_size=(640, 480), layout=layout.name)
    np.testing.assert_allclose(np.load(paths[-1]), want, rtol=1e-4, atol=1e-5)


def test_the_example_is_short_and_needs_two_libraries():
    text = EXAMPLE.read_text()
    lines = [line for line in text.splitlines() if line.startswith(("import ", "from "))]
    assert {line.split()[1] for line in lines} == {"json", "sys", "pathlib", "numpy", "onnxruntime"}
    assert len(text.splitlines()) <= 40
