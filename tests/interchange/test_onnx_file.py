import json

import numpy as np
import pytest
from exported_networks import KINDS, VARIANTS, as_the_lifter_turns_them, random_checkpoint

from rsnet_jax import Lifter, load_torch_checkpoint
from rsnet_jax.errors import CheckpointError, ConfigError, OutputError
from rsnet_jax.interchange import check
from rsnet_jax.interchange.onnx_file import save_onnx
from rsnet_jax.interchange.onnx_network import load_onnx
from rsnet_jax.interchange.program import program_of
from rsnet_jax.models.build import NETWORKS
from rsnet_jax.pose.skeleton import H36M_16, H36M_17

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")
SIZE = (1000, 900)


def save(path, checkpoint, *, flip_test=False, pixels=None):
    program = program_of(checkpoint, flip_test=flip_test, pixels=pixels)
    return save_onnx(path, checkpoint, program, license_text="none", version="0")


def lift_by_jax(checkpoint, keypoints, *, flip_test):
    """Poses by the fast network, one call: the lifting of `Lifter` without anything around it."""
    lifter = Lifter(checkpoint, flip_test=flip_test)
    return lifter.lift_with_errors(keypoints)


def normalized(rng, checkpoint, rows=7):
    joints, channels = checkpoint.keypoint_skeleton.num_joints, checkpoint.model.input_channels
    keypoints = rng.uniform(-1, 1, size=(rows, joints, channels)).astype(np.float32)
    if channels == 3:
        keypoints[..., 2] = np.abs(keypoints[..., 2]) + 0.1
        keypoints[:, 5] = 0
    return keypoints


def test_every_network_is_among_those_tested():
    assert {model.name for model in KINDS.values()} == set(NETWORKS)


def check_network(model, tmp_path, rng):
    """Both kinds of files of a network say what JAX says, in any number of rows."""
    checkpoint = random_checkpoint(model)
    plain, whole = tmp_path / "plain.onnx", tmp_path / "whole.onnx"
    differences = save(plain, checkpoint)
    assert set(differences) == {1, 7, 64}
    keypoints = normalized(rng, checkpoint)
    session = onnxruntime.InferenceSession(plain.read_bytes())
    want = lift_by_jax(checkpoint, keypoints, flip_test=False)
    for rows in (1, 3, 7):
        got = session.run(None, {"keypoints": keypoints[:rows]})
        for mine, theirs in zip(got, want, strict=False):
            np.testing.assert_allclose(mine, theirs[:rows], rtol=1e-5, atol=1e-5)
    assert len(got) == 1 + getattr(model, "joint_errors", False)
    assert np.ptp(want[0]) > 1e-3

    # With flip test and pixels inside, against the flip test outside.
    save(whole, checkpoint, flip_test=True, pixels=SIZE)
    inside, outside = Lifter.load(whole), Lifter.load(plain)
    for mine, theirs in zip(
        inside.lift_with_errors(keypoints), outside.lift_with_errors(keypoints), strict=True
    ):
        np.testing.assert_allclose(mine, theirs, rtol=1e-4, atol=1e-5)  # pixels cost a digit


@pytest.mark.parametrize("name", KINDS)
def test_networks_compute_what_jax_computes(name, tmp_path, rng):
    check_network(KINDS[name], tmp_path, rng)


@pytest.mark.slow
@pytest.mark.parametrize("name", VARIANTS)
def test_variants_compute_what_jax_computes(name, tmp_path, rng):
    check_network(VARIANTS[name], tmp_path, rng)


def test_released_weights_give_the_numbers_of_the_authors_module(golden, tmp_path):
    path = golden / "rsnet" / "model_rsnet_3_eva_post_4711.pth"
    data = np.load(golden / "rsnet/forward.npz")
    save(tmp_path / "a.onnx", load_torch_checkpoint(path))
    session = onnxruntime.InferenceSession((tmp_path / "a.onnx").read_bytes())
    (got,) = session.run(None, {"keypoints": data["input_2d"].astype(np.float32)})
    want = data["output_3d"] - data["output_3d"][:, :1]
    np.testing.assert_allclose(got, want, rtol=0, atol=1e-5)


def test_pixels_and_missing_keypoints_go_in_as_they_are(tmp_path, rng):
    checkpoint = random_checkpoint(KINDS["rsnet_all"])
    save(tmp_path / "a.onnx", checkpoint, flip_test=True, pixels=SIZE)
    pixels = rng.uniform((0, 0), SIZE, size=(5, 16, 2)).astype(np.float32)
    scores = rng.uniform(0.1, 1, size=(5, 16)).astype(np.float32)
    scores[:, 3] = 0
    whole = np.concatenate([pixels, scores[..., None]], axis=-1)
    whole[:, 3, :2] = np.nan  # whatever stands there
    session = onnxruntime.InferenceSession((tmp_path / "a.onnx").read_bytes())
    poses, errors = session.run(["poses", "errors"], {"keypoints": whole})
    lifter = Lifter(checkpoint)
    want = lifter(pixels, scores, image_size=SIZE)
    poses = as_the_lifter_turns_them(poses, pixels, scores, size=SIZE)
    np.testing.assert_allclose(poses, want, rtol=1e-4, atol=1e-5)
    assert errors.shape == (5, 16) and (errors > 0).all()


def test_lifter_takes_an_exported_network_as_it_takes_a_checkpoint(tmp_path, rng):
    checkpoint = random_checkpoint(
        KINDS["semgcn"].model_copy(update={"non_local": False}), keypoint_skeleton=H36M_17
    )
    save(tmp_path / "a.onnx", checkpoint)
    ours, exported = Lifter(checkpoint), Lifter.load(tmp_path / "a.onnx")
    assert exported.skeleton == H36M_16 and exported.keypoint_skeleton == H36M_17
    pixels = rng.uniform((0, 0), (640, 480), size=(9, 17, 2)).astype(np.float32)
    got = exported(pixels, image_size=(640, 480))
    np.testing.assert_allclose(got, ours(pixels, image_size=(640, 480)), rtol=0, atol=1e-5)
    scores = np.where(rng.uniform(size=(9, 17)) < 0.1, 0, 0.9)
    got, want = (lifter(pixels, scores, image_size=(640, 480)) for lifter in (exported, ours))
    np.testing.assert_allclose(got, want, rtol=0, atol=1e-5)
    assert np.isnan(got).any()
    assert exported(pixels[:0], image_size=(640, 480)).shape == (0, 16, 3)
    without = Lifter.load(tmp_path / "a.onnx", flip_test=False)
    assert np.abs(without(pixels, image_size=(640, 480)) - exported(pixels, image_size=(640, 480)))[
        :, 1:
    ].max() > (1e-4)


def test_metadata_say_what_goes_in_and_what_comes_out(tmp_path):
    checkpoint = random_checkpoint(KINDS["rsnet_all"])
    save(tmp_path / "a.onnx", checkpoint, pixels=SIZE)
    model = onnx.load(tmp_path / "a.onnx")
    onnx.checker.check_model(model, full_check=True)
    assert [(opset.domain, opset.version) for opset in model.opset_import] == [("", 18)]
    words = {entry.key: entry.value for entry in model.metadata_props}
    assert words["units"] == "meters" and "z forward" in words["axes"]
    assert words["joints"] == ", ".join(H36M_16.joints)
    assert words["layout"] == words["keypoint_layout"] == "h36m16"
    assert words["license"] == "none" and words["root_joint"] == "pelvis"
    assert "pixels of an image of 1000 x 900" in words["input.keypoints"]
    assert "(batch, 16) float32" in words["output.errors"]
    assert json.loads(words["rsnet_jax"])["config"]["model"]["person_frame"] is True
    (taken,) = model.graph.input
    sizes = [dim.dim_param or dim.dim_value for dim in taken.type.tensor_type.shape.dim]
    assert (taken.name, sizes) == ("keypoints", ["batch", 16, 3])
    assert [output.name for output in model.graph.output] == ["poses", "errors"]
    names = {tensor.name for tensor in model.graph.initializer}
    assert "input/conv/bias_concat" in names and "non_local/theta/kernel" in names


def test_what_differs_from_jax_is_not_written(tmp_path, monkeypatch):
    monkeypatch.setattr(check, "TOLERANCE", -1.0)
    with pytest.raises(OutputError, match="for 1 poses it differs from JAX by .* were wanted"):
        save(tmp_path / "a.onnx", random_checkpoint(KINDS["hoif"]))
    assert list(tmp_path.iterdir()) == []


def test_what_an_exported_network_cannot_do_is_said(tmp_path):
    checkpoint = random_checkpoint(KINDS["hoif"])
    path = tmp_path / "a.onnx"
    save(path, checkpoint, flip_test=True)
    with pytest.raises(ConfigError, match="has the flip test inside"):
        Lifter.load(path, flip_test=False)
    with pytest.raises(ConfigError, match="computes in float32; precision bfloat16"):
        Lifter.load(path, precision="bfloat16")
    with pytest.raises(OutputError, match="exists already"):
        save(path, checkpoint)


def other_model(**metadata):
    """An ONNX file of something else: it doubles its input."""
    from onnx import TensorProto, helper

    value = [helper.make_tensor_value_info(n, TensorProto.FLOAT, ["batch", 3]) for n in "xy"]
    node = helper.make_node("Add", ["x", "x"], ["y"])
    graph = helper.make_graph([node], "g", [value[0]], [value[1]])
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8, producer_name="pytorch"
    )
    helper.set_model_props(model, metadata)
    return model.SerializeToString()


def test_files_of_something_else_are_refused(tmp_path):
    path = tmp_path / "a.onnx"
    with pytest.raises(CheckpointError, match=r"there is no file a\.onnx"):
        load_onnx(path)
    for content, reason in [
        (b"", "is empty"),
        (b"no model at all", "not a readable ONNX file"),
        (b"\x80\x02}q\x00.", "not a readable ONNX file"),
        (other_model(), "not written by rsnet-jax export but by pytorch"),
        (other_model(rsnet_jax="{"), "its metadata: not readable JSON"),
        (other_model(rsnet_jax="{}"), "its metadata: config is missing"),
        (other_model(rsnet_jax='{"format": 99}'), r"newer rsnet_jax \(format 99"),
    ]:
        path.write_bytes(content)
        with pytest.raises(CheckpointError, match=reason) as caught:
            load_onnx(path)
        assert "\n" not in str(caught.value)


def test_metadata_of_another_network_are_refused(tmp_path):
    checkpoint = random_checkpoint(KINDS["hoif"])
    save(tmp_path / "a.onnx", checkpoint)
    words = onnx.load(tmp_path / "a.onnx").metadata_props
    text = next(entry.value for entry in words if entry.key == "rsnet_jax")
    path = tmp_path / "b.onnx"
    path.write_bytes(other_model(rsnet_jax=text))
    with pytest.raises(CheckpointError, match="its inputs and outputs are .* metadata wants"):
        load_onnx(path)
