"""Random damage to the bytes of a file, and to the descriptions inside."""

import io
import json
import pickle
import random
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from crafted_data import nested, pickled_nested, pickled_tuples, unfolding

DEEP = 100_000

ODD_JSON = (
    *("null", "true", "0", "-1", "2147483648", "1e30", "1e999", "NaN", "-0.5", '"4"', "[]", "{}"),
    *("[1]", '{"a": 1}', '""', '"rsnet"', '"x y"', "9" * 30, "9" * 5000, "[0, [0, [0]]]"),
    *(r'"\ud800"', r'"\u001b[2J"', r'"a\nb\u202e"', '"' + "x" * 200_000 + '"', "[" + "1," * 50_000),
    *("[" * DEEP + "]" * DEEP, '{"a":' * 500 + "1" + "}" * 500, "[" + "0," * 9999 + "0]", "nul"),
)
"""Texts to put in the place of a value of JSON; some are none."""

ODD_YAML = (
    *("~", "yes", "0", "-1", "1e30", ".inf", ".nan", "'4'", "[]", "{}", "[1]", "{a: 1}", "''"),
    *(
        "!!bool x",
        "!!int x",
        "!!float x",
        "!!timestamp x",
        "!!binary x",
        "!own x",
        "0x_",
        "2024-99-9",
    ),
    *("9" * 5000, "[" * 5000, "{a: " * 5000, "- " * 5000, "&a [*a, *a]", "*b", "&a b", "<<: *a"),
    *('"\\e[2J"', '"\\ud800"', '"\\UFFFFFFFF"', "\0", "\x1b[2J", "x" * 99_999, "1:30", "0b", "? a"),
    *("[a, b", "a: b: c", "\ta", "%YAML 9.9", "---", "...", "| x", "> \n", "[2024-01-01, on, 1_0]"),
)
"""Texts to put in the place of a value of YAML."""

ODD_KEYS = (
    "1",
    "2024-01-01",
    "~",
    "on",
    "1.5",
    "[a]",
    "{a: b}",
    "!!int x",
    "&a b",
    "*b",
    "<<",
    "''",
)
"""Texts to put in the place of a key of YAML."""


def odd_object(rng: random.Random) -> Any:
    """A value that a pickle can hold and that has no place in data files."""
    beyond = np.array([rng.choice((0x110000, 2**32 - 1, 0xD800))], "u4").view("U1")
    return rng.choice(
        (
            *(
                None,
                True,
                -1,
                0,
                2**70,
                10**5000,
                1e30,
                float("nan"),
                "",
                "x" * 200_000,
                "a\x1b[2J",
            ),
            *(
                "\ud800",
                b"\xff",
                b"x" * 200_000,
                [],
                {},
                (),
                {1},
                [1, [2]],
                {10**30: 1},
                {(1, 2): 3},
            ),
            *(nested(50), nested(200, lambda inner: (inner,)), unfolding(9), beyond, {"a": beyond}),
            *(unfolding(9, lambda inner: dict.fromkeys("abcdefghij", inner)), np.zeros((0, 3))),
            *(
                np.array(["a"]),
                np.array([None, [1]], dtype=object),
                np.float32(2),
                np.zeros(3, ">f8"),
            ),
            *(np.full((4, 32, 3), np.nan), np.zeros((4, 16, 2), complex), np.zeros((10**9, 0))),
        )
    )


def damaged_bytes(data: bytes, rng: random.Random) -> bytes:
    """The bytes with flipped bits, cut, or with a part moved, filled or left out."""
    if not data:
        return rng.randbytes(20)
    reach = len(data) if rng.random() < 0.5 else min(len(data), 4000)
    changed = bytearray(data)
    start = rng.randrange(reach)
    stop = min(len(data), start + rng.choice((1, 4, 30, 1000)))
    kind = rng.choice(("bits", "bytes", "cut", "drop", "double", "fill", "splice", "insert"))
    if kind == "bits":
        for _ in range(rng.randint(1, 3)):
            changed[rng.randrange(reach)] ^= 1 << rng.randrange(8)
    elif kind == "bytes":
        for _ in range(rng.randint(1, 3)):
            changed[rng.randrange(reach)] = rng.randrange(256)
    elif kind == "cut":
        del changed[rng.randrange(len(data)) :]
    elif kind == "drop":
        del changed[start:stop]
    elif kind == "double":
        changed[start:start] = changed[start:stop]
    elif kind == "fill":
        changed[start:stop] = bytes([rng.choice((0, 255, 91, 123))]) * (stop - start)
    elif kind == "splice":
        other = rng.randrange(len(data))
        changed[start:stop] = changed[other : other + stop - start]
    else:
        changed[start:start] = rng.randbytes(rng.choice((1, 8, 100)))
    return bytes(changed)


def damaged_json(text: str, rng: random.Random) -> str:
    """The text of a JSON object with one value or key changed, doubled, or left out."""
    value = json.loads(text)
    places = list(_places(value))
    if not places:
        return rng.choice(ODD_JSON)
    container, key = rng.choice(places)
    kind = rng.choice(("odd", "odd", "odd", "drop", "rename", "swap"))
    if kind == "drop":
        del container[key]
    elif kind == "rename" and isinstance(container, dict):
        container[rng.choice((key + "x", "\x1b[2J", "", "x" * 100_000))] = container.pop(key)
    elif kind == "swap":
        other, name = rng.choice(places)
        container[key] = json.loads(json.dumps(other[name]))
    else:
        container[key] = "@odd@"
    return json.dumps(value).replace('"@odd@"', rng.choice(ODD_JSON))


def damaged_yaml(text: str, rng: random.Random) -> str:
    """The text of settings with one value, key or line changed, doubled or moved."""
    lines = text.splitlines()
    number = rng.randrange(len(lines))
    indent, name, rest = re.fullmatch(r"([\s-]*)([^:]*)(.*)", lines[number]).groups()
    kind = rng.choice(("value", "value", "value", "key", "double", "drop", "indent", "add"))
    if kind == "value":
        lines[number] = f"{indent}{name}: {rng.choice(ODD_YAML)}"
    elif kind == "key":
        lines[number] = f"{indent}{rng.choice(ODD_KEYS)}{rest}"
    elif kind == "double":
        lines.insert(number, lines[rng.randrange(len(lines))])
    elif kind == "drop":
        del lines[number]
    elif kind == "indent":
        lines[number] = " " * rng.randrange(5) + lines[number].strip()
    else:
        lines.insert(number, rng.choice(ODD_YAML))
    return "\n".join(lines)


def damaged_tree(value: Any, rng: random.Random) -> Any:
    """A container of a data file with one value or key changed or left out."""
    places = list(_places(value))
    container, key = rng.choice(places)
    kind = rng.choice(("odd", "odd", "odd", "drop", "name", "swap"))
    if kind == "drop":
        del container[key]
    elif kind == "name" and isinstance(container, dict):
        name = rng.choice((7, None, "\x1b[2J", "x" * 100_000, "\ud800", 10**5000, (1, 2), ""))
        container[name] = container.pop(key)
    elif kind == "swap":
        other, name = rng.choice(places)
        container[key] = other[name]
    else:
        container[key] = odd_object(rng)
    return value


def _places(value: Any) -> Any:
    """Yields (container, key) of every value inside dicts and lists."""
    waiting = [value] if isinstance(value, dict | list) else []
    while waiting:
        container = waiting.pop()
        keys = container if isinstance(container, dict) else range(len(container))
        for key in list(keys):
            yield container, key
            if isinstance(container[key], dict | list):
                waiting.append(container[key])


def damaged_member(path: Path, rng: random.Random, change: Callable[[bytes], bytes]) -> None:
    """Changes one member of a zip archive, whose checksum is then right."""
    with zipfile.ZipFile(path) as archive:
        members = {info.filename: archive.read(info) for info in archive.infolist()}
    name = rng.choice([*members, *[name for name in members if name.endswith("data.pkl")] * 20])
    members[name] = change(members[name])
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)


def crafted_pickle(rng: random.Random) -> bytes:
    """A pickle of a few bytes that is deep, large or shared."""
    levels = rng.choice((2000, DEEP))
    kind = rng.randrange(4)
    if kind == 0:
        return b"\x80\x02}X\x01\x00\x00\x00a" + pickled_nested(levels)[:-1] + b"s."
    if kind == 1:
        return b"\x80\x02}X\x01\x00\x00\x00a" + pickled_tuples(levels)[:-1] + b"s."
    return pickle.dumps({"a": odd_object(rng), "b": [odd_object(rng)]}, 2)


def object_member(pickled: bytes) -> bytes:
    """A .npy of one object, whose array is pickled as given."""
    header = io.BytesIO()
    about = {"descr": "|O", "fortran_order": False, "shape": ()}
    np.lib.format.write_array_header_1_0(header, about)
    return header.getvalue() + pickled
