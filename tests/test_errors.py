import time

import numpy as np

from rsnet_jax.errors import one_line, quote, shown


def test_quoted_text_is_one_short_line_without_control_characters():
    assert quote("a\n\tb  c") == "a b c"
    assert quote("\x1b[31mred\x07") == "?[31mred?"
    assert quote("x" * 10, limit=4) == "xxxx..."
    assert quote({"a": 1}) == "{'a': 1}"


def test_an_error_without_a_message_is_named_by_its_type():
    assert one_line(KeyError("k")) == "KeyError: 'k'"
    assert one_line(EOFError()) == "EOFError"


def test_what_steers_a_terminal_is_not_quoted():
    """Escape sequences, line ends, marks of direction, halves of characters, null."""
    assert quote("\x1b]0;x\x07 a\u2028b\x85c\rd") == "?]0;x? a b c d"
    assert quote("\u202eabc\u2066\u200f \ud800\udc80 \0\x9b") == "?abc?? ?? ??"
    assert quote("Straße 北 🙂") == "Straße 北 🙂"
    assert shown("\x1b\u202e\ud800\n") == r"'\x1b\u202e\ud800\n'"


def test_a_text_of_a_million_characters_is_cut():
    assert quote("x" * 1_000_000) == "x" * 200 + "..."
    assert quote(" " * 1_000_000 + "x") == "..."
    assert len(shown("x" * 1_000_000)) < 150
    assert quote(ValueError("x" * 1_000_000)) == "x" * 200 + "..."


def test_any_value_is_shown_in_little_time_and_space():
    deep, wide = [], [1]
    for _ in range(100_000):
        deep = [deep]
    for _ in range(30):
        wide = [wide] * 10
    loop = {}
    loop["a"] = loop
    before = time.process_time()
    for value in (deep, wide, loop, 10**5000, {10**5000: -(10**5000)}, {"a": wide}, np.eye(999)):
        assert len(shown(value)) <= 203
        assert len(quote(value)) <= 203
    assert time.process_time() - before < 5
    assert shown([1, "a", (None, 2.5), {"b": True}]) == "[1, 'a', (None, 2.5), {'b': True}]"
    assert shown(10**5000) == "an integer of 16610 bits"
    assert shown(np.zeros((2, 3))) == "an array of shape (2, 3) and type float64"
