"""What the loop over batches does with the results that it stacks."""

import jax

from rsnet_jax.config import Config, RSNetConfig, TrainConfig
from rsnet_jax.plan.hlo import parse
from rsnet_jax.plan.programs import devices_of, evaluation_program

CONFIG = Config(
    model=RSNetConfig(width=4, blocks=1, refine_hidden=8),
    train=TrainConfig(batch_size=64, refine=True),
)


def test_each_batch_writes_its_own_results_only():
    """A compiler that copies the stack for every batch makes an evaluation quadratic."""
    program, made = evaluation_program(CONFIG, devices_of(jax.devices()[:1]))
    module = parse(program.function.lower(*program.arguments).compile().as_text())
    [loop] = [
        one
        for one in module.computations[module.entry]
        if one.opcode == "while" and one.trips == made.batches_per_call
    ]
    body = module.computations[loop.called["body"]]

    def updates(operation):
        inner = module.computations.get(operation.called.get("calls", ""), [operation])
        return inner[-1].opcode == "dynamic-update-slice"

    stacks = {one.results for one in body if updates(one)}
    assert len(stacks) >= 2  # per joint, per group
    copied = [one.name for one in body if one.opcode == "copy" and one.results in stacks]
    assert copied == []
