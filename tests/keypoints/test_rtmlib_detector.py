"""rtmlib with made-up models: they find two boxes and one place in each, whatever is to be seen."""

import numpy as np
import pytest

from rsnet_jax.errors import DataError
from rsnet_jax.keypoints.detectors.detect import open_detector

onnx = pytest.importorskip("onnx")
pytest.importorskip("rtmlib")

BOXES = np.array([[[8, 16, 24, 48, 0.9], [32, 0, 48, 32, 0.8], [0, 0, 9, 9, 0.1]]], np.float32)
"""Left, top, right, bottom, score, in the detector's picture of 64x64; the last is too unsure."""


def save_model(path, *, size, outputs):
    """An ONNX file whose outputs are constants, whatever its picture of height x width."""
    from onnx import TensorProto, helper, numpy_helper

    picture = helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 3, *size])
    nodes, results = [], []
    for number, values in enumerate(outputs):
        constant = numpy_helper.from_array(values.astype(np.float32))
        name = f"out{number}"
        nodes.append(helper.make_node("Constant", [], [name], value=constant))
        results.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, values.shape))
    graph = helper.make_graph(nodes, "constants", [picture], results)
    opset = [helper.make_opsetid("", 13)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=8), path)
    return path


def peaks(places, length, joints=26):
    """(1, joint, place): a peak of 0.7 at one place, as RTMPose tells x or y."""
    values = np.zeros((1, joints, length))
    values[0, np.arange(joints), places] = 0.7
    return values


@pytest.fixture
def models(tmp_path):
    """A detector of people of 64x64, and one of joints of 24 wide and 32 high.

    The latter tells places in half pixels: joint n is at (n / 2, 8), n from 0 to 25.
    """
    people = save_model(tmp_path / "people.onnx", size=(64, 64), outputs=[BOXES])
    x, y = peaks(np.arange(26), 48), peaks(np.full(26, 16), 64)
    return people, save_model(tmp_path / "joints.onnx", size=(32, 24), outputs=[x, y])


def test_two_people_are_found_where_their_boxes_are(models, capfd):
    """The picture, 128x128, is twice as large as that of the detector. The first box is then 32x64
    around (32, 64), with rtmlib's margin of 1/4 and the sides 3 to 4: 60x80 from (2, 24) on. Joint
    n of the network, at (n / 2, 8) of 24x32, is at (2 + 60/24 n/2, 24 + 80/32 * 8) there. The
    second one is the same around (80, 32).
    """
    with open_detector("rtmlib", models, still=False) as detector:
        points, scores = detector(np.zeros((128, 128, 3), np.uint8))
    n = np.arange(26)
    first = np.stack([2 + 2.5 * n / 2, np.full(26, 44)], axis=-1)
    np.testing.assert_allclose(points, [first, first + [48, -32]], atol=1e-4)
    np.testing.assert_allclose(scores, np.full((2, 26), 0.7), atol=1e-6)
    assert detector.layout.name == "halpe26"
    assert capfd.readouterr() == ("", "")  # rtmlib prints what it loads


def test_nobody_is_nobody(models, tmp_path):
    nobody = save_model(tmp_path / "nobody.onnx", size=(64, 64), outputs=[BOXES[:, 2:]])
    with open_detector("rtmlib", (nobody, models[1]), still=False) as detector:
        points, scores = detector(np.zeros((128, 128, 3), np.uint8))
    assert points.shape == (0, 26, 2) and scores.shape == (0, 26)


def test_of_the_classes_of_coco_only_people_count(models, tmp_path):
    """Without the selection of boxes in the model: 8 cells of a picture of 32x16 of 8x8 pixels, 2
    of 16x16, none of 32x32. Cells 0 and 3 are sure, of class 0 (person) and of class 1."""
    cells = np.zeros((1, 10, 5 + 80))
    cells[0, [0, 3], 4] = 1
    cells[0, 0, 5] = cells[0, 3, 6] = 0.9
    coco = save_model(tmp_path / "coco.onnx", size=(16, 32), outputs=[cells])
    with open_detector("rtmlib", (coco, models[1]), still=False) as detector:
        points, _ = detector(np.zeros((16, 32, 3), np.uint8))
    # Cell 0: the box of 8x8 around (0, 0), with its margin 10x13.3: from (-5, -6.67) on.
    assert points.shape == (1, 26, 2)
    np.testing.assert_allclose(points[0, 0], [-5, -20 / 3 + 8 / 32 * 40 / 3], atol=1e-4)


def test_files_that_are_no_such_models_are_refused(models, tmp_path):
    text = tmp_path / "text.onnx"
    text.write_text("hello")
    coco = save_model(
        tmp_path / "coco17.onnx", size=(32, 24), outputs=[peaks(0, 48, 17), peaks(0, 64, 17)]
    )
    cases = {
        "text.onnx: it cannot be read as an ONNX model": (text, models[1]),
        "coco17.onnx: RTMPose with the 26 joints of Halpe was wanted": (models[0], coco),
        "people.onnx: RTMPose with the 26 joints": (models[0], models[0]),
    }
    for message, files in cases.items():
        with pytest.raises(DataError) as raised, open_detector("rtmlib", files, still=False):
            pass
        assert message in str(raised.value) and "\n" not in str(raised.value)
