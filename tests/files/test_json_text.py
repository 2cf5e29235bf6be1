import json

import pytest

from rsnet_jax.errors import DataError
from rsnet_jax.files.json_text import parse_json, read_json


def refusal(text):
    with pytest.raises(DataError) as caught:
        parse_json(text, name="a.json", error=DataError)
    told = str(caught.value)
    assert told.startswith("a.json: ") and told.isprintable() and len(told) < 400
    return told


def test_json_is_read(tmp_path):
    value = {"a": [1, -2.5e-3, True, None, "é\n"], "b": {"c": {}}}
    (tmp_path / "a.json").write_text(json.dumps(value))
    assert read_json(tmp_path / "a.json", error=DataError) == value
    assert parse_json(b'"\xc3\xa9"', name="a.json", error=DataError) == "é"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "not readable JSON: Expecting value"),
        ("{", "not readable JSON"),
        (b"\xff", "not JSON"),
        ("1 2", "Extra data"),
        ("[" * 21 + "]" * 21, "nested beyond 20 levels"),
        ("[" * 100_000 + "]" * 100_000, "nested beyond 20 levels"),
        ("[" * 100_000, "nested beyond 20 levels"),
        ('{"a":' * 50_000 + "1" + "}" * 50_000, "nested beyond 20 levels"),
        ("9" * 5000, "an integer of 5,000 digits"),
        ("-" + "9" * 99, "an integer of at most 64 bits was wanted"),
        ('{"a": 1, "b": 2, "a": 1}', "the field 'a' is there twice"),
        ('"\\ud800"', "half of a character"),
        ('{"\\u001b[2J": "\\udc80"}', "half of a character"),
        ("[" + "1," * 20_000 + "1]", "more than 20,000 values"),
        ('"' + "x" * 20_000 + '"', "at most 10,000 characters were wanted, not 20,000"),
    ],
)
def test_other_texts_are_one_line(text, told):
    assert told in refusal(text)


def test_a_text_of_any_length_is_refused_before_it_is_read(monkeypatch):
    monkeypatch.setattr("rsnet_jax.files.json_text.MOST_BYTES", 10)
    assert "at most 10 characters were wanted, not 11" in refusal("[1,2,3,4,5]")
