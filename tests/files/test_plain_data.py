import time

import numpy as np
import pydantic
import pytest
from crafted_data import nested, unfolding

from rsnet_jax.errors import CheckpointError, DataError
from rsnet_jax.files.plain_data import (
    DESCRIPTION,
    Fields,
    Limits,
    check_plain,
    read_fields,
    read_text,
)

FEW = Limits(depth=3, values=8, text=5)


def check(value, limits=DESCRIPTION):
    check_plain(value, name="a.npz", error=DataError, limits=limits)


def refusal(value, limits=DESCRIPTION):
    with pytest.raises(DataError) as caught:
        check(value, limits)
    told = str(caught.value)
    assert told.startswith("a.npz") and told.isprintable() and len(told) < 500
    return told.removeprefix("a.npz: ")


@pytest.mark.parametrize(
    "value",
    [
        None,
        {"a": [1, -(2**63), 2**64 - 1, 2.5, True, None, "é", b"\xff"], 3: ({1}, ())},
        {"array": np.zeros((2, 3)), "number": np.float32(1), "name": np.str_("x")},
        np.array([1, "a", None, [2]], dtype=object),
        {(1, "key"): 2},
        nested(20),
        [None] * 19_999,
        "x" * 10_000,
    ],
)
def test_plain_data_pass(value):
    check(value)


def test_limits_are_exact():
    check([[[0]], "x" * 5, 2**64 - 1, [], ()], FEW)
    assert refusal([[[[0]]]], FEW) == "[0][0][0]: nested beyond 3 levels"
    assert refusal([0] * 8, FEW) == "more than 8 values, counted where they are used"
    assert refusal({"a": "x" * 6}, FEW) == "a: at most 5 characters were wanted, not 6"
    assert refusal({"a": b"x" * 6}, FEW) == "a: at most 5 bytes were wanted, not 6"
    assert refusal([2**64], FEW) == "[0]: an integer of at most 64 bits was wanted, not one of 65"
    assert refusal({"x" * 6: 1}, FEW).endswith("at most 5 characters were wanted, not 6")
    assert refusal({2**64: 1}, FEW).endswith("at most 64 bits was wanted, not one of 65")


def test_the_field_is_named():
    assert refusal({"left": [1, {"right": 10**5000}]}).startswith("left[1].right: an integer of")
    assert refusal({"a\x1b[2J\n": {"b" * 300: object()}}).startswith(f"a?[2J.{'b' * 60}...: plain")


@pytest.mark.parametrize("value", [object(), len, int, Fields, iter([])])
def test_other_objects_are_not_plain(value):
    assert "plain data were wanted, not a" in refusal({"a": [value]})
    assert "plain data were wanted, not a" in refusal(np.array([value], dtype=object))


def test_halves_of_characters_are_not_text():
    assert refusal({"name": "S\ud800"}) == (
        r"name: text was wanted, not 'S\ud800', which has half of a character"
    )
    assert "half of a character" in refusal({"S\udc80": 1})


def object_array(inner):
    array = np.empty((), dtype=object)
    array[()] = inner
    return array


@pytest.mark.parametrize(
    "wrap",
    [
        lambda inner: [inner],
        lambda inner: (inner,),
        lambda inner: {"a": inner},
        lambda inner: {"a": [inner], "b": 1},
        object_array,
    ],
)
@pytest.mark.parametrize("levels", [21, 2000])
def test_depth_is_bounded(wrap, levels):
    assert "nested beyond 20 levels" in refusal(nested(levels, wrap))


def test_depth_of_a_hundred_thousand_levels():
    assert "nested beyond" in refusal(nested(100_000))


@pytest.mark.parametrize(
    "wrap",
    [
        lambda inner: [inner] * 10,
        lambda inner: (inner,) * 10,
        lambda inner: dict.fromkeys("abcdefghij", inner),
        lambda inner: [{"a": inner}] * 10,
    ],
)
def test_shared_containers_count_where_they_are_used(wrap):
    before = time.process_time()
    assert "more than 20,000 values" in refusal(unfolding(9, wrap))
    assert time.process_time() - before < 5


def test_a_list_that_holds_itself():
    loop = []
    loop.append(loop)
    assert "nested beyond" in refusal(loop)


class Point(Fields):
    x: int
    name: str
    way: tuple[int, ...] = pydantic.Field(default=(), strict=False)


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"x": 1.0, "name": "a"}, "x: should be a valid integer, got 1.0"),
        ({"x": True, "name": "a"}, "x: should be a valid integer, got True"),
        ({"x": 1, "name": ["a"]}, "name: should be a valid string, got ['a']"),
        ({"x": 1}, "name is missing"),
        ({"x": 1, "name": "a", "z\n": 1}, "unknown field z"),
        ({"x": 1, "name": "a", "way": [1, "2"]}, "way.1: should be a valid integer, got '2'"),
        ([1], "should be a valid dictionary or instance of Point, got [1]"),
    ],
)
def test_fields_are_typed(values, told):
    with pytest.raises(CheckpointError) as caught:
        read_fields(Point, values, name="a.json", error=CheckpointError)
    assert str(caught.value) == f"a.json: {told}"


def test_fields_are_read():
    values = {"x": 1, "name": "a", "way": [1, 2]}
    want = Point(x=1, name="a", way=(1, 2))
    assert read_fields(Point, values, name="a.json", error=CheckpointError) == want


def test_text_files(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_bytes("\ufeffé".encode())
    assert read_text(path, error=DataError) == "é"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(DataError, match="text in UTF-8 was wanted"):
        read_text(path, error=DataError)
    with pytest.raises(DataError, match="at most 1 bytes were wanted, not 2"):
        read_text(path, error=DataError, most_bytes=1)
    with pytest.raises(DataError, match="not a file"):
        read_text(tmp_path, error=DataError)
