import jax
import pytest
from counts import PROGRAMS, SIZES, TOLERANCE, count, kernels, recorded, this_version

from rsnet_jax.config import Config

# By hand: in the entry a product, a fusion, a call of one copy, a loop whose body has one fusion
# and whose condition has one comparison, and a sum; what is inside of fusions and of the sum's
# region is part of them.
HLO = """\
HloModule jit_step, is_scheduled=true, entry_computation_layout={(f32[4]{0})->f32[4]{0}}

%fused_computation (param_0: f32[4]) -> f32[4] {
  %param_0 = f32[4]{0} parameter(0)
  %negate.1 = f32[4]{0} negate(%param_0)
  ROOT %exponential.1 = f32[4]{0} exponential(%negate.1)
}

%region_0.1 (a: f32[], b: f32[]) -> f32[] {
  %a = f32[] parameter(0)
  %b = f32[] parameter(1)
  ROOT %add.1 = f32[] add(%a, %b)
}

%body.2 (arg: (s32[], f32[4])) -> (s32[], f32[4]) {
  %arg = (s32[], /*index=1*/f32[4]{0}) parameter(0)
  %x.1 = f32[4]{0} get-tuple-element(%arg), index=1
  %i.1 = s32[] get-tuple-element(%arg), index=0
  %fusion.9 = f32[4]{0} fusion(%x.1), kind=kLoop, calls=%fused_computation
  ROOT %tuple.1 = (s32[], f32[4]{0}) tuple(%i.1, %fusion.9)
}

%condition.2 (arg.1: (s32[], f32[4])) -> pred[] {
  %arg.1 = (s32[], f32[4]{0}) parameter(0)
  %i.2 = s32[] get-tuple-element(%arg.1), index=0
  %limit = s32[] constant(8)
  ROOT %compare.1 = pred[] compare(%i.2, %limit), direction=LT
}

%parallel_copy (p: f32[4]) -> f32[4] {
  %p = f32[4]{0} parameter(0)
  ROOT %copy.7 = f32[4]{0} copy(%p)
}

ENTRY %main.3 (x: f32[4], y: f32[4,4]) -> f32[4] {
  %x = f32[4]{0} parameter(0)
  %y = f32[4,4]{1,0:T(8,128)} parameter(1)
  %zero = s32[] constant(0)
  %dot.1 = f32[4]{0} dot(%x, %y), lhs_contracting_dims={0}, rhs_contracting_dims={0}
  %fusion.1 = f32[4]{0} fusion(%dot.1), kind=kLoop, calls=%fused_computation
  %bitcast.1 = f32[4]{0} bitcast(%fusion.1)
  %call.1 = f32[4]{0} call(%bitcast.1), to_apply=%parallel_copy
  %tuple.2 = (s32[], f32[4]{0}) tuple(%zero, %call.1)
  %while.1 = (s32[], /*index=1*/f32[4]{0}) while(%tuple.2), condition=%condition.2, body=%body.2
  %result.1 = f32[4]{0} get-tuple-element(%while.1), index=1
  %while.2 = (s32[], f32[4]{0}) while(%while.1), condition=%condition.2, body=%body.2
  ROOT %reduce.1 = f32[] reduce(%result.1, %zero), dimensions={0}, to_apply=%region_0.1
}
"""


def test_kernels_of_a_program_by_hand():
    assert kernels(HLO) == 6
    assert kernels(HLO.replace("call(%bitcast.1), to_apply", "fusion(%bitcast.1), calls")) == 6
    assert kernels(HLO.replace("bitcast(%fusion.1)", "copy(%fusion.1)")) == 7


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
