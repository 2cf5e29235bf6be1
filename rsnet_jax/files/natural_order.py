"""The order in which people count files: "2.jpg" comes before "10.jpg"."""

import re


def natural_key(name: str) -> tuple[tuple[int, int, str], ...]:
    """A sort key under which "2.jpg" comes before "10.jpg"."""
    parts = re.split(r"(\d{1,15})", name)
    return tuple((0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts)
