import copy
import dataclasses
import json
import shutil
import struct

import pytest

from rsnet_jax.checkpoints.about import About, Origin, describe_weights, read_about
from rsnet_jax.checkpoints.load import load_checkpoint, saved_steps
from rsnet_jax.checkpoints.orbax_folder import save_checkpoint
from rsnet_jax.checkpoints.safetensors_file import save_safetensors
from rsnet_jax.config import SETTINGS, Config
from rsnet_jax.errors import CheckpointError
from rsnet_jax.pose.skeleton import H36M_16, H36M_17

NAMES = ", ".join(SETTINGS)


@pytest.fixture
def about():
    described = describe_weights(Config(), H36M_16, H36M_17, source="x", step=3)
    stored = described | {"format": 1, "refinement": False, "progress": None, "mpjpe": 51.25}
    return json.loads(json.dumps(stored))


def refusal(values):
    with pytest.raises(CheckpointError) as caught:
        read_about(values, name="hr")
    told = str(caught.value)
    assert told.startswith("hr: ") and told.isprintable() and len(told) < 600
    return told.removeprefix("hr: ")


def test_what_was_described_is_read(about):
    read = read_about(about, name="hr")
    assert read.config == Config() and read.skeletons == (H36M_16, H36M_17)
    assert (read.step, read.mpjpe, read.refinement, read.progress) == (3, 51.25, False, None)


def test_earlier_versions_have_one_skeleton(about):
    del about["keypoint_skeleton"], about["progress"], about["mpjpe"]
    assert read_about(about, name="hr").skeletons == (H36M_16, H36M_16)


def line(count):
    """A skeleton whose joints are a line."""
    return {
        "name": "line",
        "joints": [f"j{i}" for i in range(count)],
        "parents": list(range(-1, count - 1)),
        "left": [],
        "right": [],
    }


@pytest.mark.parametrize(
    ("field", "value", "told"),
    [
        ("config.model.hops", 200_000, "model.hops: should be less than or equal to 32"),
        ("config.model.hops", 10**9, "model.hops: should be less than or equal to 32"),
        ("config.model.blocks", 100_000, "model.blocks: should be less than or equal to 64"),
        ("config.model.width", 1e30, "model.width: should be a valid integer, got 1e+30"),
        ("config.model.width", 10**30, "config.model.width: an integer of at most 64 bits"),
        ("config.model.width", -3, "model.width: should be greater than or equal to 1"),
        ("config.model.width", None, "model.width: should be a valid integer, got None"),
        ("config.model.name", ["rsnet"], f"model.name: one of {NAMES} was wanted"),
        ("config.model.name", "x" * 9999, f"model.name: one of {NAMES} was wanted, got"),
        ("config.model.hops ", 4, "unknown setting model.hops"),
        ("config.model", [], "model: should be"),
        ("config", None, "config: should be"),
        ("skeleton", line(30_000), "skeleton.joints: Tuple should have at most 512 items"),
        ("skeleton", line(513), "skeleton.joints: Tuple should have at most 512 items"),
        ("skeleton", line(1), "skeleton.joints: Tuple should have at least 2 items"),
        ("skeleton", [1, 2], "skeleton: should be a valid dictionary"),
        ("skeleton", "h36m", "skeleton: should be a valid dictionary"),
        ("skeleton.name", ["h36m"], "skeleton.name: should be a valid string, got ['h36m']"),
        ("skeleton.name", "\x1b[2J", r"skeleton.name: a printable name of at most 100 characters"),
        ("skeleton.name", "x" * 101, "skeleton.name: a printable name"),
        ("skeleton.joints", list(range(16)), "skeleton.joints.0: should be a valid string, got 0"),
        ("skeleton.joints", [["a"]] * 16, "skeleton.joints.0: should be a valid string"),
        ("skeleton.joints", {"a": 1}, "skeleton.joints: should be a valid tuple"),
        ("skeleton.joints", "x" * 16, "skeleton.joints: should be a valid tuple"),
        ("skeleton.parents", [-1.0] * 16, "skeleton.parents.0: should be a valid integer, got -1."),
        ("skeleton.parents", [-1] * 16, "skeleton: skeleton 'h36m_16': parents must be -1"),
        ("skeleton.parents", [True] * 16, "skeleton.parents.0: should be a valid integer"),
        ("skeleton.left", [4.0], "skeleton.left.0: should be a valid integer, got 4.0"),
        ("skeleton.left", [10**9], "skeleton.left.0: should be less than 512"),
        ("skeleton.left", [], "left and right joints do not pair up"),
        ("skeleton.center", [], "unknown field skeleton.center"),
        ("keypoint_skeleton.left", ["4"], "keypoint_skeleton.left.0: should be a valid integer"),
        ("refinement", "no", "refinement: should be a valid boolean, got 'no'"),
        ("step", "7", "step: should be a valid integer, got '7'"),
        ("step", -7, "step: should be greater than or equal to 0, got -7"),
        ("mpjpe", "x", "mpjpe: should be a valid number, got 'x'"),
        ("mpjpe", float("nan"), "mpjpe: should be greater than or equal to 0, got nan"),
        ("progress", 3, "progress: should be a valid dictionary, got 3"),
        ("format", 2, "written by a newer rsnet_jax (format 2, this one reads up to 1)"),
        ("format", "1", "format: should be a valid integer, got '1'"),
        ("speed", 1, "unknown field speed"),
        ("source", 5, "source: should be a valid string, got 5"),
    ],
)
def test_each_field_is_typed_and_bounded(about, field, value, told):
    *parents, name = field.split(".")
    part = about
    for parent in parents:
        part = part[parent]
    part[name] = value
    assert told in refusal(about)


@pytest.mark.parametrize("field", ["config", "skeleton", "step", "refinement", "format", "source"])
def test_fields_that_are_missing(about, field):
    del about[field]
    assert f"{field} is missing" in refusal(about)


@pytest.mark.parametrize("values", [None, [], 3, "x", {}])
def test_what_is_no_description(values):
    refusal(values)


def test_fields_of_both_formats():
    assert set(About.model_fields) == set(Origin.model_fields) | {
        *("format", "refinement", "progress", "mpjpe", "members")
    }


@pytest.fixture
def tensors(golden, tmp_path):
    save_safetensors(tmp_path / "x.safetensors", load_checkpoint(golden / "e2e_tiny"))
    return tmp_path / "x.safetensors"


def edit_header(path, change):
    """Changes the JSON in front of the tensors in place: what tensors are, and the metadata."""
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    change(header)
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data[8 + length :])


def edit_metadata(path, change):
    def change_text(header):
        stored = header["__metadata__"]
        stored["rsnet_jax"] = change(stored["rsnet_jax"])

    edit_header(path, change_text)


def refused_file(path):
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(path)
    told = str(caught.value)
    assert str(path) in told and told.isprintable() and len(told) < 600
    return told


@pytest.mark.parametrize("dtype", ["F8_E4M3", "F8_E5M2", "F8_E8M0", "F4", "I8"])
def test_safetensors_of_types_that_numpy_lacks(tensors, dtype):
    def declare(header):
        name, about = next((n, a) for n, a in header.items() if a.get("dtype") == "F32")
        size = about["data_offsets"][1] - about["data_offsets"][0]
        header[name] = about | {"dtype": dtype, "shape": [size * (2 if dtype == "F4" else 1)]}

    edit_header(tensors, declare)
    told = refused_file(tensors)
    assert f"is of type {dtype}" in told if dtype != "I8" else "has shape" in told


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda text: "[" * 100_000 + "]" * 100_000, "its metadata: nested beyond 20 levels"),
        (lambda text: text[:-9], "its metadata: not readable JSON"),
        (lambda text: "[1]", "its metadata: should be a valid dictionary"),
        (lambda text: text.replace('"step": null', '"step": ' + "9" * 5000), "5,000 digits"),
        (lambda text: text.replace('"step": null', '"step": 1e999'), "step: should be a valid int"),
        (lambda text: text.replace("[-1, 0,", "[-1.0, 0,"), "parents.0: should be a valid integer"),
    ],
)
def test_metadata_of_safetensors(tensors, change, told):
    edit_metadata(tensors, change)
    assert told in refused_file(tensors)


@pytest.fixture
def folder(golden, tmp_path):
    save_checkpoint(tmp_path / "hr", load_checkpoint(golden / "e2e_tiny"))
    return tmp_path / "hr"


def test_a_folder_whose_description_was_changed(folder, tmp_path):
    path = folder / "about" / "metadata"
    good = json.loads(path.read_text())
    for change, told in (
        ({"skeleton": good["skeleton"] | {"name": ["h36m_16"]}}, "skeleton.name: should be a"),
        ({"refinement": 1}, "refinement: should be a valid boolean, got 1"),
        ({"keypoint_skeleton": dataclasses.asdict(H36M_17)}, "not a readable rsnet_jax checkpoint"),
    ):
        path.write_text(json.dumps(good | change))
        assert told in refused_file(folder)
    path.write_text("[" * 100_000)
    assert "not a readable rsnet_jax checkpoint" in refused_file(folder)


def test_steps_are_folders_with_a_number(folder):
    for name in ("7", "007", "²", "٣", "-3", "1e3", "9" * 200):
        shutil.copytree(folder, folder.parent / "checkpoints" / name)
    assert saved_steps(folder.parent / "checkpoints") == [7, int("9" * 200)]


def test_descriptions_are_not_changed_by_reading(about):
    before = copy.deepcopy(about)
    read_about(about, name="hr")
    assert about == before
