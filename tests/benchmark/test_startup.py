import pytest

from rsnet_jax.benchmark.comparison import Settings
from rsnet_jax.benchmark.report import row_lines
from rsnet_jax.benchmark.startup import measure_first_pose

pytest.importorskip("onnx")


@pytest.mark.slow
def test_first_pose_comes_sooner_without_jax():
    empty, filled = measure_first_pose(Settings(width=4, seconds=0))
    assert set(empty.times.repeats) == {"ours", "ours by ONNX"}
    assert all(len(times) == 3 for times in empty.times.repeats.values())
    # A third was measured; a busy machine blurs it.
    assert empty.times.ratio("ours by ONNX", to="ours").median < 1 / 2
    assert filled.times.ratio("ours by ONNX", to="ours").median < 1
    lines = "\n".join(row_lines(empty))
    assert "first pose of a Lifter, from the start of the interpreter, empty cache" in lines
