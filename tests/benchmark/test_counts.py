import jax
import pytest
from script_loader import load_script

from rsnet_jax.config import Config

counts = load_script("benchmarks/counts.py")


def test_counts_of_a_product_by_hand():
    shape = jax.ShapeDtypeStruct((32, 48), "float32"), jax.ShapeDtypeStruct((48, 16), "float32")
    found = counts.count(jax.jit(lambda a, b: a @ b).lower(*shape).compile())
    assert found["flops"] == pytest.approx(2 * 32 * 48 * 16, rel=0.01)
    assert found["bytes"] == pytest.approx(4 * (32 * 48 + 48 * 16 + 32 * 16), rel=0.01)
    assert found["kernels"] >= 1


@pytest.mark.parametrize("program", counts.PROGRAMS)
@pytest.mark.parametrize("size", ["small", pytest.param("published", marks=pytest.mark.slow)])
def test_counts_of_programs_are_the_recorded_ones(program, size):
    version = counts.this_version()
    known = counts.recorded().get(version)
    if known is None:
        pytest.skip(f"nothing recorded for {version}: python benchmarks/counts.py --record")
    model, batch = counts.SIZES[size]
    compiled = counts.PROGRAMS[program](Config(model=model), batch)
    wanted = known[size][f"{program}, float32"]
    assert counts.count(compiled) == pytest.approx(wanted, rel=counts.TOLERANCE), (
        "if the change is intended: python benchmarks/counts.py --record"
    )
