"""Figures of a compiled program, made up, under the names of plan files of format 1."""

FIGURES = {
    "batch": 64,
    "steps_per_epoch": 100,
    "turns": 64,
    "compile_seconds": 12.5,
    "memory": {"arguments": 5e8, "temporary": 3e8, "code": 1e7, "peak": 8.1e8},
    "flops": 2e9,
    "bytes": 1e9,
    "traced": {
        "random_bits": 640, "flops": 197_000_000, "product_bytes": 1, "reduced_bytes": 9,
        "reductions": 1,
    },
    "loop": {
        "cycles": 3_000_000,
        "cycles_by_kind": {"product": 2_000_000, "copy": 1_000_000},
        "without_estimate": {"copy": 1200},
        "kernels": 7,
        "hbm_bytes": 819_000,
        "collectives": [{"kind": "all-reduce", "count": 1, "bytes": 9000, "largest": 9000}],
        "operations": [
            {
                "what": "jit(run)/while/body/closed_call/jvp(RSNet)/gelu_*/dot",
                "kind": "product", "source": "rsnet.py:1", "count": 2,
                "cycles": 1_500_000, "hbm_bytes": 4096,
            }
        ],
    },
    "buffers": {
        "bytes": 4_000_000,
        "during": "jit(run)/while/body/closed_call/transpose(jvp(RSNet))/x",
        "largest": [
            {"what": "made", "source": "a.py:1", "shape": "f32[8,8]", "count": 1,
             "bytes": 3_000_000},
        ],
    },
}  # fmt: skip
