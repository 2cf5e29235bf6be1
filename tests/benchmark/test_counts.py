import jax
import pytest
from counts import PROGRAMS, SIZES, TOLERANCE, count, recorded, this_version

from rsnet_jax.config import Config


def test_product_is_counted_as_a_product():
    shape = jax.ShapeDtypeStruct((32, 48), "float32"), jax.ShapeDtypeStruct((48, 16), "float32")
    counts = count(jax.jit(lambda a, b: a @ b).lower(*shape).compile())
    assert counts["flops"] == pytest.approx(2 * 32 * 48 * 16, rel=0.01)
    assert counts["bytes"] == pytest.approx(4 * (32 * 48 + 48 * 16 + 32 * 16), rel=0.01)
    assert counts["kernels"] >= 1


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("size", ["small", pytest.param("published", marks=pytest.mark.slow)])
def test_no_program_has_grown_or_shrunk(program, size):
    known = recorded().get(this_version())
    if known is None:
        pytest.skip(f"nothing recorded for {this_version()}: python benchmarks/counts.py --record")
    model, batch = SIZES[size]
    compiled = PROGRAMS[program](Config(model=model), batch)
    wanted = known[size][f"{program}, float32"]
    assert count(compiled) == pytest.approx(wanted, rel=TOLERANCE), (
        "if that is meant: python benchmarks/counts.py --record"
    )
