"""The published tensors of the non-local block over joints, which networks share."""

from rsnet_jax.checkpoints.key_tables.entry import Entry, batch_norm, convolution, same


def non_local_table(module: str, key: str, *, chan: int) -> list[Entry]:
    """Every tensor of a `NonLocalBlock`; `module` is its path, `key` its published prefix."""
    inner = chan // 2
    base = ("params", module)
    maps = [(name, name, chan, inner) for name in ("theta", "phi", "g")]
    table = []
    for ours, published, size, out in [*maps, ("out", "W.0", inner, chan)]:
        weight, bias = f"{key}.{published}.weight", f"{key}.{published}.bias"
        table.append(convolution((*base, ours, "kernel"), weight, chan=size, out=out))
        table.append(same((*base, ours, "bias"), bias, (out,)))
    return table + batch_norm((module, "norm"), f"{key}.W.1", chan=chan)
