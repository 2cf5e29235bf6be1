import numpy as np
from PIL import Image

from rsnet_jax.pose.skeleton import H36M_16
from rsnet_jax.visualize.compared import Example, ranked, save_compared


def test_views_are_ranked_by_their_errors():
    errors = np.array([50.0, 10, 40, 20, 30])
    chosen = {rank: views.tolist() for rank, views in ranked(errors, 2).items()}
    assert chosen == {"best": [1, 3], "median": [3, 4], "worst": [0, 2]}
    assert ranked(errors, 1)["median"].tolist() == [4]
    assert {len(views) for views in ranked(errors, 9).values()} == {5}


def test_the_truth_is_pale_under_the_prediction(tmp_path):
    # A person of 1.6 m with all joints on the axis of y, left ones at x = 0.3; y points down.
    pose = np.zeros((16, 3), np.float32)
    pose[:, 1] = np.linspace(-0.8, 0.8, 16)
    pose[list(H36M_16.left), 0] = 0.3
    truth = pose + np.array([0, 0, 0.5], np.float32)  # farther from the camera
    examples = [Example(pose, truth, "S9/Walk$ing, frame 1", 500.0)]
    path = tmp_path / "compared.png"
    save_compared(path, {"best": examples, "worst": examples}, H36M_16, title="a\nb")
    pixels = np.asarray(Image.open(path).convert("RGB"), int)
    top, height = 46 + 28 + 42, 240
    view = pixels[top + 2 : top + height - 2]
    vermilion, pale = (0xD5, 0x5E, 0x00), (0xF2, 0xCF, 0xB2)  # 30 % of it on white

    def columns(color, left):
        part = view[:, left + 2 : left + 163]
        return np.argwhere(np.abs(part - color).max(axis=-1) < 12)[:, 1]

    camera, side = 12, 12 + 165
    # From the camera the two lie on each other; from the right, what is farther is at the right.
    assert columns(vermilion, camera).mean() > 80  # x = 0.3, to the right of the middle
    assert abs(columns(pale, camera).mean() - columns(vermilion, camera).mean()) < 6
    assert columns(pale, side).mean() - columns(vermilion, side).mean() > 30
