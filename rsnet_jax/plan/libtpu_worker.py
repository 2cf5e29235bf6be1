"""The process that compiles for one TPU topology; `libtpu.py` starts it.

libtpu locks the machine for one process and prints to the terminal, so it runs in a process that
does nothing else. The request is JSON on standard input. The answers are lines of JSON on the
original standard output; everything else that is printed goes to standard error.
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
from rsnet_jax.plan.figures import CompiledFigures, Memory
from rsnet_jax.plan.hlo import parse
from rsnet_jax.plan.loop_cost import loop_cost
from rsnet_jax.plan.peak_memory import peak_live_buffers
from rsnet_jax.plan.programs import (
    Program,
    devices_of,
    evaluation_program,
    training_program,
)
from rsnet_jax.plan.traced_cost import trace_cost


def devices_without_hardware(topology: str) -> Devices:
    """The chips of a topology that need not be present: programs can be compiled, not run."""
    from jax.experimental import topologies  # libtpu starts

    return devices_of(topologies.get_topology_desc(topology, platform="tpu").devices)


def compile_program(
    program: Program, *, top: int, save: Path | None, **sizes: int
) -> CompiledFigures:
    """Compiles a program and collects its figures.

    Args:
        program: the program, not yet compiled.
        top: number of operations and of arrays to list.
        save: file for the optimized program, if it is to be kept.
        sizes: batch, and steps_per_epoch or batches.
    """
    traced = trace_cost(program.trace().jaxpr)
    compiled, seconds = program.compile()
    memory: Any = compiled.memory_analysis()
    cost: Any = compiled.cost_analysis()
    text = compiled.as_text() or ""
    module = parse(text)
    if save is not None:
        save.write_text(text)
    kept = memory.argument_size_in_bytes + memory.output_size_in_bytes - memory.alias_size_in_bytes
    loop = loop_cost(module, iterations=program.iterations)
    return CompiledFigures(
        **sizes,
        turns=program.iterations,
        compile_seconds=seconds,
        memory=Memory(
            arguments=memory.argument_size_in_bytes,
            temporary=memory.temp_size_in_bytes,
            code=memory.generated_code_size_in_bytes,
            peak=kept + memory.temp_size_in_bytes + memory.generated_code_size_in_bytes,
        ),
        flops=cost["flops"],
        bytes=cost["bytes accessed"],
        traced=traced,
        loop=dataclasses.replace(loop, operations=loop.operations[:top]),
        buffers=peak_live_buffers(module, top=top),
    )


def main() -> None:
    """Reads the request, and answers for each task as soon as it is compiled."""
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
            answer(started=task["name"])
            if task["name"] == "evaluation":
                program, loop = evaluation_program(config, devices)
                sizes = {"batch": loop.batch, "batches": loop.batches}
            else:
                program, steps = training_program(config, devices)
                sizes = {"batch": config.train.batch_size, "steps_per_epoch": steps}
            save = Path(folder) / f"{task['file']}.hlo" if folder else None
            answer(done=compile_program(program, top=top, save=save, **sizes).as_json())
    except (jax.errors.JaxRuntimeError, RuntimeError, ValueError, OSError) as error:
        answer(failed=f"{type(error).__name__}: {error}")
        raise


if __name__ == "__main__":
    main()
