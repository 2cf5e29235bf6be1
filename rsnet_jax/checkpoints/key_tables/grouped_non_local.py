"""The published tensors of the non-local block over pairs of joints, which networks share."""

from rsnet_jax.checkpoints.key_tables.entry import Entry, batch_norm, same


def grouped_non_local(module: str, key: str, *, chan: int) -> list[Entry]:
    """Every tensor of a block; `module` is its path, `key` its published prefix."""
    base, inner = ("params", module), chan // 2
    table = []
    for ours, published, size, out in [
        ("theta", "theta", chan, inner),
        ("phi", "phi.0", chan, inner),
        ("g", "g.0", chan, inner),
        ("out", "W.0", inner, chan),
    ]:
        table.append(_convolution((*base, ours, "kernel"), f"{key}.{published}.weight", size, out))
        table.append(same((*base, ours, "bias"), f"{key}.{published}.bias", (out,)))
    score = (1, 2 * inner, 1, 1)
    return [
        *table,
        Entry(
            (*base, "score"),
            (f"{key}.concat_project.0.weight",),
            score,
            lambda t: t[0].reshape(2 * inner),
            lambda a: [a.reshape(score)],
        ),
        *batch_norm((module, "norm"), f"{key}.W.1", chan=chan),
    ]


def _convolution(path: tuple[str, ...], key: str, chan: int, out: int) -> Entry:
    """torch stores (out, chan, 1), Flax (chan, out)."""
    return Entry(
        path,
        (key,),
        (out, chan, 1),
        lambda t: t[0].reshape(out, chan).T,
        lambda a: [a.T.reshape(out, chan, 1)],
    )
