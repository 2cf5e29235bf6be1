"""Data that a few bytes of a file stand for, and that no program should unfold."""


def nested(levels, wrap=lambda inner: [inner]):
    """A value inside so many containers."""
    value = None
    for _ in range(levels):
        value = wrap(value)
    return value


def unfolding(levels, wrap=lambda inner: [inner] * 10):
    """A value of a few objects that holds 10**levels values, since containers are shared."""
    return nested(levels, wrap)


def pickled_nested(levels):
    """The pickle of a list in a list in a list, which `pickle.dumps` cannot write."""
    return b"]" * levels + b"a" * (levels - 1) + b"."


def pickled_tuples(levels):
    return b")" + b"\x85" * (levels - 1) + b"."
