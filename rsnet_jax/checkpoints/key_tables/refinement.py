"""The published tensors of the refinement, which several networks share."""

from rsnet_jax.checkpoints.key_tables.entry import Entry, Tensors, linear, same, some
from rsnet_jax.config import HasRefinement
from rsnet_jax.errors import CheckpointError


def refine_table(model: HasRefinement, joints: int) -> list[Entry]:
    """Every tensor of a published refinement of this size."""
    hidden = model.refine_hidden
    first, last = ("params", "hidden_layer"), ("params", "weights_layer")
    return [
        linear((*first, "kernel"), "post_refine.0.weight", chan=6 * joints, out=hidden),
        same((*first, "bias"), "post_refine.0.bias", (hidden,)),
        linear((*last, "kernel"), "post_refine.3.weight", chan=hidden, out=2 * joints),
        same((*last, "bias"), "post_refine.3.bias", (2 * joints,)),
    ]


def infer_hidden(tensors: Tensors, *, source: str) -> int:
    """Reads the hidden units off a published refinement.

    Raises:
        CheckpointError: the tensors are not those of a refinement.
    """
    weight = tensors.get("post_refine.0.weight")
    if weight is None or weight.ndim != 2:
        raise CheckpointError(
            f"{source}: not a refinement: no usable post_refine.0.weight (found {some(tensors)})"
        )
    return weight.shape[0]
