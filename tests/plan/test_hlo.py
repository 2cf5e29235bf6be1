"""Programs written by hand, in the manner of libtpu's."""

import pytest

from rsnet_jax.plan.hlo import array_of, count_kernels, parse
from rsnet_jax.plan.loop_cost import loop_cost, main_loop
from rsnet_jax.plan.peak_memory import peak_live_buffers

COST = 'backend_config={"window_config":{"estimated_cycles":"%d"}}'
META = 'metadata={op_name="jit(run)/while/body/%s" stack_frame_id=%d}'
PROGRAM = f"""HloModule jit_run, is_scheduled=true, entry_computation_layout={{(f32[8,128])->f32[8,128]}}

FileNames
1 "/somewhere/rsnet_jax/training/steps.py"
2 "/somewhere/rsnet_jax/models/rsnet.py"

FunctionNames
1 "run"

FileLocations
1 {{file_name_id=1 function_name_id=1 line=30 end_line=30 column=1 end_column=9}}
2 {{file_name_id=2 function_name_id=1 line=7 end_line=8 column=1 end_column=9}}

StackFrames
1 {{file_location_id=1 parent_frame_id=1}}
2 {{file_location_id=2 parent_frame_id=1}}

%product (left: f32[8,128], right: f32[128,128]) -> f32[8,128] {{
  %left = f32[8,128]{{1,0:T(8,128)}} parameter(0)
  %right = f32[128,128]{{1,0:T(8,128)}} parameter(1)
  ROOT %dot.1 = f32[8,128]{{1,0:T(8,128)}} dot(%left, %right), lhs_contracting_dims={{1}}, rhs_contracting_dims={{0}}
}}

%take (table: f32[1000,128], row: s32[8]) -> f32[8,128] {{
  %table = f32[1000,128]{{1,0:T(8,128)}} parameter(0)
  %row = s32[8]{{0:T(128)}} parameter(1)
  ROOT %gather.1 = f32[8,128]{{1,0:T(8,128)}} gather(%table, %row), offset_dims={{1}}, slice_sizes={{1,128}}
}}

%add (a: f32[], b: f32[]) -> f32[] {{
  %a = f32[] parameter(0)
  %b = f32[] parameter(1)
  ROOT %sum = f32[] add(%a, %b)
}}

%inner_body (carried: (f32[8,128])) -> (f32[8,128]) {{
  %carried = (f32[8,128]{{1,0:T(8,128)}}) parameter(0)
  %value = f32[8,128]{{1,0:T(8,128)}} get-tuple-element(%carried), index=0
  %negate.1 = f32[8,128]{{1,0:T(8,128)}} negate(%value), {META % ("inner/neg", 1)}, {COST % 10}
  ROOT %back = (f32[8,128]{{1,0:T(8,128)}}) tuple(%negate.1)
}}

%inner_condition (carried: (f32[8,128])) -> pred[] {{
  %carried = (f32[8,128]{{1,0:T(8,128)}}) parameter(0)
  ROOT %yes = pred[] constant(true)
}}

%body (state: (f32[8,128], f32[1000,128], f32[128,128], s32[8])) -> (f32[8,128], f32[1000,128], f32[128,128], s32[8]) {{
  %state = (f32[8,128]{{1,0:T(8,128)}}, f32[1000,128]{{1,0:T(8,128)}}, f32[128,128]{{1,0:T(8,128)}}, /*index=3*/s32[8]{{0:T(128)}}) parameter(0)
  %x = f32[8,128]{{1,0:T(8,128)}} get-tuple-element(%state), index=0
  %frames = f32[1000,128]{{1,0:T(8,128)}} get-tuple-element(%state), index=1
  %weight = f32[128,128]{{1,0:T(8,128)}} get-tuple-element(%state), index=2
  %rows = s32[8]{{0:T(128)}} get-tuple-element(%state), index=3
  %scalar = s32[] constant(3)
  %scalar_sum = s32[] add(%scalar, %scalar)
  %copy-start.1 = (f32[128,128]{{1,0:T(8,128)S(1)}}, f32[128,128]{{1,0:T(8,128)}}, u32[]{{:S(2)}}) copy-start(%weight)
  %batch = f32[8,128]{{1,0:T(8,128)}} fusion(%frames, %rows), kind=kLoop, calls=%take, {META % ("gather", 1)}
  %copy-done.1 = f32[128,128]{{1,0:T(8,128)S(1)}} copy-done(%copy-start.1)
  %layer.1 = f32[8,128]{{1,0:T(8,128)}} fusion(%batch, %copy-done.1), kind=kOutput, calls=%product, {META % ("gelu_0/dot", 2)}, {COST % 100}
  %layer.2 = f32[8,128]{{1,0:T(8,128)S(1)}} fusion(%layer.1, %copy-done.1), kind=kOutput, calls=%product, {META % ("gelu_1/dot", 2)}, {COST % 120}
  %moved = f32[8,128]{{0,1:T(8,128)}} copy(%layer.2), {COST % 7}
  %packed = (f32[8,128]{{1,0:T(8,128)}}) tuple(%layer.1)
  %inner = (f32[8,128]{{1,0:T(8,128)}}) while(%packed), condition=%inner_condition, body=%inner_body, backend_config={{"known_trip_count":{{"n":"5"}}}}
  %turned = f32[8,128]{{1,0:T(8,128)}} get-tuple-element(%inner), index=0
  %both = (f32[8,128]{{1,0:T(8,128)}}, bf16[3,5]{{1,0:T(8,128)(2,1)}}) all-reduce(%turned, %moved), replica_groups={{{{0,1}}}}, to_apply=%add
  %one = f32[8,128]{{1,0:T(8,128)}} all-reduce(%turned), replica_groups={{{{0,1}}}}, to_apply=%add
  %all = (f32[8,128]{{1,0:T(8,128)}}, f32[16,128]{{1,0:T(8,128)}}) all-gather-start(%turned), dimensions={{0}}
  %all-done = f32[16,128]{{1,0:T(8,128)}} all-gather-done(%all)
  ROOT %next = (f32[8,128]{{1,0:T(8,128)}}, f32[1000,128]{{1,0:T(8,128)}}, f32[128,128]{{1,0:T(8,128)}}, s32[8]{{0:T(128)}}) tuple(%one, %frames, %weight, %rows)
}}

%condition (state: (f32[8,128], f32[1000,128], f32[128,128], s32[8])) -> pred[] {{
  %state = (f32[8,128]{{1,0:T(8,128)}}, f32[1000,128]{{1,0:T(8,128)}}, f32[128,128]{{1,0:T(8,128)}}, s32[8]{{0:T(128)}}) parameter(0)
  ROOT %go = pred[] constant(true)
}}

ENTRY %main (x: f32[8,128], frames: f32[1000,128], weight: f32[128,128], rows: s32[8]) -> f32[8,128] {{
  %x.1 = f32[8,128]{{1,0:T(8,128)}} parameter(0)
  %frames.1 = f32[1000,128]{{1,0:T(8,128)}} parameter(1)
  %weight.1 = f32[128,128]{{1,0:T(8,128)}} parameter(2)
  %rows.1 = s32[8]{{0:T(128)}} parameter(3)
  %outside = f32[8,128]{{1,0:T(8,128)}} copy(%x.1), {COST % 5000}
  %start = (f32[8,128]{{1,0:T(8,128)}}, f32[1000,128]{{1,0:T(8,128)}}, f32[128,128]{{1,0:T(8,128)}}, s32[8]{{0:T(128)}}) tuple(%outside, %frames.1, %weight.1, %rows.1)
  %loop = (f32[8,128]{{1,0:T(8,128)}}, f32[1000,128]{{1,0:T(8,128)}}, f32[128,128]{{1,0:T(8,128)}}, s32[8]{{0:T(128)}}) while(%start), condition=%condition, body=%body
  ROOT %result = f32[8,128]{{1,0:T(8,128)}} get-tuple-element(%loop), index=0
}}
"""  # noqa: E501
X = 8 * 128 * 4  # bytes of one (8, 128) array
WEIGHT = 128 * 128 * 4


@pytest.fixture(scope="module")
def module():
    return parse(PROGRAM)


@pytest.fixture(scope="module")
def cost(module):
    return loop_cost(module)


@pytest.mark.parametrize(
    ("dtype", "dims", "layout", "space", "size"),
    [
        ("f32", "384,16", "1,0", 0, 384 * 16 * 4),
        ("f32", "384,16", "1,0:T(8,128)", 0, 384 * 128 * 4),
        ("f32", "384,16", "0,1:T(8,128)S(1)", 1, 384 * 16 * 4),
        ("bf16", "3,5", "1,0:T(8,128)(2,1)", 0, 8 * 128 * 2),
        ("f32", "100", "0:T(128)", 0, 128 * 4),
        ("pred", "7", "0", 0, 7),
        ("u32", "", ":S(2)", 2, 4),
        ("f8e4m3fn", "4", "0", 0, 4),
        ("s32", "2,3", "", 0, 24),
    ],
)
def test_size_of_an_array_includes_the_padding_of_its_layout(dtype, dims, layout, space, size):
    array = array_of(dtype, dims, layout)
    assert (array.space, array.size) == (space, size)


def test_payload_of_an_array_excludes_padding():
    assert array_of("bf16", "3,5", "1,0:T(8,128)(2,1)").payload == 3 * 5 * 2


def test_parse_reads_instructions(module):
    body = {one.name: one for one in module.computations["body"]}
    assert main_loop(module).called == {"condition": "condition", "body": "body"}
    layer = body["layer.1"]
    assert (layer.opcode, layer.operands, layer.cycles) == (
        "fusion",
        ("batch", "copy-done.1"),
        100,
    )
    assert (layer.op_name, module.source(layer)) == ("jit(run)/while/body/gelu_0/dot", "rsnet.py:7")
    assert len(body["state"].results) == 4 and body["rows"].index == 3
    assert body["inner"].trips == 5
    with pytest.raises(ValueError, match="ENTRY"):
        parse("HloModule nothing")


def test_cycles_are_of_one_loop_iteration(cost):
    # Not the copy outside the loop; the inner loop runs five times.
    assert cost.cycles == 100 + 120 + 7 + 5 * 10
    assert cost.cycles_by_kind == {
        "product": 220, "elementwise": 50, "copy": 7, "prefetch": 0, "gather": 0,
        "communication": 0,
    }  # fmt: skip
    assert cost.without_estimate == {"prefetch": 1, "gather": 1, "communication": 3}
    assert cost.kernels == 4 + 5 + 3


def test_operations_of_layers_that_differ_by_number_are_one_group(cost):
    first = cost.operations[0]
    assert (first.what, first.kind, first.source) == (
        "jit(run)/while/body/gelu_*/dot",
        "product",
        "rsnet.py:7",
    )
    assert (first.count, first.cycles) == (2, 220)


def test_hbm_bytes_exclude_arrays_on_the_chip(cost):
    moved = {
        operation.what.rsplit("/", 1)[-1]: operation.hbm_bytes for operation in cost.operations
    }
    assert moved["dot"] == (X + X) + X  # reads and writes; reads, its result stays on the chip
    assert moved["gather"] == X + 128 * 4 + X  # the rows that are wanted, their padded numbers
    assert moved["copy-start"] == WEIGHT
    assert moved["neg"] == 5 * (X + X)
    assert moved["copy"] == 128 * 128 * 4  # from the chip; eight numbers now lie in rows of 128


def test_bytes_of_collectives_exclude_padding(cost):
    found = {one.kind: one for one in cost.collectives}
    reduced = found["all-reduce"]
    assert (reduced.count, reduced.bytes, reduced.largest) == (2, 2 * X + 30, X + 30)
    assert (found["all-gather"].count, found["all-gather"].bytes) == (1, 2 * X)


def test_operations_are_sorted_by_cycles(cost):
    assert [one.cycles for one in cost.operations[:3]] == [220, 50, 7]


def test_loop_cost_refuses_a_program_without_a_loop(module):
    text = PROGRAM.replace("while(%start)", "custom-call(%start)")
    with pytest.raises(ValueError, match="no loop"):
        loop_cost(parse(text))


LIVES = """HloModule lives

%body (state: (f32[8,128])) -> (f32[8,128]) {
  %state = (f32[8,128]{1,0:T(8,128)}) parameter(0)
  %x = f32[8,128]{1,0:T(8,128)} get-tuple-element(%state), index=0
  %a = f32[8,128]{1,0:T(8,128)} negate(%x), metadata={op_name="a_0"}
  %here = f32[8,128]{1,0:T(8,128)S(1)} negate(%x), metadata={op_name="on the chip"}
  %b = f32[16,128]{1,0:T(8,128)} custom-call(%a), custom_call_target="b", metadata={op_name="b"}
  %same = f32[16,128]{1,0:T(8,128)} bitcast(%b)
  %copy-start = (f32[8,128]{1,0:T(8,128)}, f32[8,128]{1,0:T(8,128)S(1)}, u32[]{:S(2)}) copy-start(%here)
  %copy-done = f32[8,128]{1,0:T(8,128)} copy-done(%copy-start)
  %c = f32[8,128]{1,0:T(8,128)} custom-call(%same, %copy-done), custom_call_target="c", metadata={op_name="c"}
  ROOT %next = (f32[8,128]{1,0:T(8,128)}) tuple(%c)
}

%condition (state: (f32[8,128])) -> pred[] {
  %state = (f32[8,128]{1,0:T(8,128)}) parameter(0)
  ROOT %go = pred[] constant(true)
}

ENTRY %main (x: f32[8,128]) -> (f32[8,128]) {
  %x.1 = f32[8,128]{1,0:T(8,128)} parameter(0)
  %start = (f32[8,128]{1,0:T(8,128)}) tuple(%x.1)
  ROOT %loop = (f32[8,128]{1,0:T(8,128)}) while(%start), condition=%condition, body=%body
}
"""  # noqa: E501


def test_peak_live_buffers_by_hand():
    # When c is made: b (seen through a bitcast), what came from the chip, and c itself. Not a,
    # which b reads for the last time; not what stays on the chip, nor what the loop was given.
    found = peak_live_buffers(parse(LIVES), top=5)
    assert (found.bytes, found.during) == (2 * X + X + X, "c")
    largest = {one.what: (one.shape, one.count, one.bytes) for one in found.largest}
    assert largest == {
        "b": ("f32[16,128]", 1, 2 * X),
        "on the chip": ("f32[8,128]", 1, X),
        "c": ("f32[8,128]", 1, X),
    }


def test_loop_cost_refuses_another_number_of_iterations():
    marked = "condition=%condition, body=%body"
    known = PROGRAM.replace(marked, marked + ', backend_config={"known_trip_count":{"n":"9"}}')
    assert loop_cost(parse(known), iterations=9) == loop_cost(parse(PROGRAM), iterations=64)
    with pytest.raises(ValueError, match="internal error.* 8 iterations .* 9"):
        loop_cost(parse(known), iterations=8)


def test_inner_loops_of_unknown_length_are_counted(cost):
    assert cost.unknown_loops == 0
    found = loop_cost(parse(PROGRAM.replace('"known_trip_count":{"n":"5"}', "")))
    assert found.unknown_loops == 1
    assert found.cycles == 100 + 120 + 7 + 10


def cost_with(line, computation=""):
    """The cost of the program with another operation in place of its all-gather."""
    whole = next(row for row in PROGRAM.splitlines() if "all-gather-start" in row)
    done = next(row for row in PROGRAM.splitlines() if "all-gather-done" in row)
    text = PROGRAM.replace(whole + "\n", "  " + line + "\n").replace(done + "\n", "")
    return loop_cost(parse(text.replace("%add (a:", computation + "%add (a:")))


CALLED = """%called (given: f32[8,128]) -> f32[8,128] {
  %given = f32[8,128]{1,0:T(8,128)} parameter(0)
  ROOT %made = f32[8,128]{1,0:T(8,128)S(1)} OPERATION(%given)
}

"""
ASYNC = (
    "%go = ((f32[8,128]{1,0:T(8,128)}), f32[8,128]{1,0:T(8,128)S(1)}, u32[]{:S(2)}) "
    "async-start(%turned), calls=%called"
)


def test_unknown_asynchronous_operations_are_counted(cost):
    assert cost.unknown == {}
    assert cost_with("%go = (f32[], u32[]{:S(2)}) host-start(%turned)").unknown == {"host-start": 1}
    found = cost_with(ASYNC, CALLED.replace("OPERATION", "sort"))
    assert found.unknown == {"async-start": 1} and found.without_estimate["unknown"] == 1
    found = cost_with(ASYNC, CALLED.replace("OPERATION", "copy"))
    assert found.unknown == {} and found.without_estimate["prefetch"] == 2
    assert [one.hbm_bytes for one in found.operations if one.what == "async-start"] == [X]


def test_all_gather_of_several_arrays_is_one_collective():
    found = cost_with(
        "%all = ((f32[8,128]{1,0:T(8,128)}, bf16[8]{0}), (f32[16,128]{1,0:T(8,128)}, bf16[16]{0}),"
        " u32[]{:S(2)}, u32[]{:S(2)}) all-gather-start(%turned, %moved), dimensions={0}"
    )
    [gathered] = [one for one in found.collectives if one.kind == "all-gather"]
    assert (gathered.count, gathered.bytes) == (1, 2 * X + 16 * 2)
    found = cost_with("%one-start = f32[]{:T(128)} all-reduce-start(%scalar), to_apply=%add")
    [reduced] = [one for one in found.collectives if one.kind == "all-reduce"]
    assert (reduced.count, reduced.bytes) == (3, 2 * X + 30 + 4)


# By hand: in the entry a product, a fusion, a call of one copy, a loop whose body has one fusion
# and whose condition has one comparison, and a sum; what is inside of fusions and of the sum's
# region is part of them.
KERNELS = """\
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


def test_count_kernels_by_hand():
    def count(text):
        return count_kernels(parse(text))

    assert count(KERNELS) == 6
    assert count(KERNELS.replace("call(%bitcast.1), to_apply", "fusion(%bitcast.1), calls")) == 6
    assert count(KERNELS.replace("bitcast(%fusion.1)", "copy(%fusion.1)")) == 7
