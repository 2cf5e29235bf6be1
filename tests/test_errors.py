from rsnet_jax.errors import one_line, quote


def test_quoted_text_is_one_short_line_without_control_characters():
    assert quote("a\n\tb  c") == "a b c"
    assert quote("\x1b[31mred\x07") == "?[31mred?"
    assert quote("x" * 10, limit=4) == "xxxx..."
    assert quote({"a": 1}) == "{'a': 1}"


def test_an_error_without_a_message_is_named_by_its_type():
    assert one_line(KeyError("k")) == "KeyError: 'k'"
    assert one_line(EOFError()) == "EOFError"
