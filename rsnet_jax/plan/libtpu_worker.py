"""Compiles for one TPU topology in a process of its own; `compiler.py` starts it.

libtpu takes a machine for itself and writes to the terminal as it likes, so that this process has
no other work. A request comes as JSON on standard input; answers go, a line each, to what was
standard output when the process began.
"""

import dataclasses
import json
import os
import sys
from pathlib import Path
from typing import Any

import jax

from rsnet_jax.config import Config
from rsnet_jax.distributed.devices import Devices
from rsnet_jax.plan.hlo import parse
from rsnet_jax.plan.loop_cost import as_dict, loop_cost
from rsnet_jax.plan.peak_memory import peak_live_buffers
from rsnet_jax.plan.programs import (
    Program,
    devices_of,
    evaluation_program,
    training_program,
)
from rsnet_jax.plan.traced_cost import trace_cost


def devices_without_hardware(topology: str) -> Devices:
    """The chips of a topology, which need not be there: programs can only be compiled for them."""
    from jax.experimental import topologies  # libtpu starts

    return devices_of(topologies.get_topology_desc(topology, platform="tpu").devices)


def figures(program: Program, *, top: int, save: Path | None) -> dict[str, Any]:
    """Compiles a program; everything that can be told of it without running it, for JSON."""
    traced = trace_cost(program.trace().jaxpr)
    compiled, seconds = program.compile()
    memory: Any = compiled.memory_analysis()
    cost: Any = compiled.cost_analysis()
    text = compiled.as_text() or ""
    module = parse(text)
    if save is not None:
        save.write_text(text)
    kept = memory.argument_size_in_bytes + memory.output_size_in_bytes - memory.alias_size_in_bytes
    return {
        "turns": program.turns,
        "compile_seconds": seconds,
        "memory": {
            "arguments": memory.argument_size_in_bytes,
            "temporary": memory.temp_size_in_bytes,
            "code": memory.generated_code_size_in_bytes,
            "peak": kept + memory.temp_size_in_bytes + memory.generated_code_size_in_bytes,
        },
        "flops": cost["flops"],  # the compiler counts the body of a loop once
        "bytes": cost["bytes accessed"],
        "traced": dataclasses.asdict(traced),
        "loop": as_dict(loop_cost(module, turns=program.turns), top=top),
        "buffers": peak_live_buffers(module, top=top),
    }


def main() -> None:
    """Reads the request, answers each part of it as soon as it is done."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def answer(**values: Any) -> None:
        print(json.dumps(values), file=answers, flush=True)

    request = json.load(sys.stdin)
    top, folder = request["top"], request["save"]
    try:
        devices = devices_without_hardware(request["topology"])
        for task in request["tasks"]:
            config = Config(**task["config"])
            answer(begun=task["name"])
            made: dict[str, Any] = {}
            if task["name"] == "evaluation":
                program, cut = evaluation_program(config, devices)
                made = {"batch": cut.batch, "batches": cut.batches}
            else:
                program, steps = training_program(config, devices)
                made = {"batch": config.train.batch_size, "steps_per_epoch": steps}
            save = Path(folder) / f"{task['file']}.hlo" if folder else None
            answer(done=made | figures(program, top=top, save=save))
    except (jax.errors.JaxRuntimeError, RuntimeError, ValueError, OSError) as error:
        answer(failed=f"{type(error).__name__}: {error}")
        raise


if __name__ == "__main__":
    main()
