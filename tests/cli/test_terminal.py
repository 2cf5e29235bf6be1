import io
import logging
import sys

import pytest

from rsnet_jax.cli.main import run
from rsnet_jax.cli.terminal import LONGEST_MESSAGE, OneLine, plain_output
from rsnet_jax.errors import DataError

HOSTILE = "a\x1b[2J\x07b\u202ec\udc80d"


def test_printed_text_does_not_steer_the_terminal(capsys):
    with plain_output():
        print(f"{HOSTILE}\n\ttable  é 北")
        sys.stdout.flush()
    assert capsys.readouterr().out == "a?[2J?b?c?d\n\ttable  é 北\n"


def test_characters_that_the_terminal_lacks(monkeypatch):
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="ascii"))
    with plain_output():
        print("é 北 x")
        assert not sys.stdout.isatty()
        sys.stdout.flush()
    assert raw.getvalue() == b"? ? x\n"


def test_an_output_that_is_closed(monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    with plain_output():
        print("nothing")


@pytest.mark.parametrize("text", [f"{HOSTILE}\n\nsecond", "x" * 1_000_000])
def test_an_error_is_one_bounded_line_whatever_it_says(monkeypatch, capsys, text):
    def fail(*_, **__):
        raise DataError(text)

    monkeypatch.setattr("rsnet_jax.cli.info.main", fail)
    assert run("info", ["x"], prog="rsnet-jax info") == 2
    told = capsys.readouterr().err
    assert told.startswith("rsnet-jax info: error: ") and told.count("\n") == 1
    assert told[:-1].isprintable() and len(told) < LONGEST_MESSAGE + 50
    assert "x" in text or told.endswith("a?[2J?b?c?d second\n")


def test_a_logged_message_is_one_bounded_line():
    record = logging.makeLogRecord({"msg": "%s: %s", "args": (HOSTILE, "b\n" * 9999)})
    line = OneLine("%(message)s").format(record)
    assert line.startswith("a?[2J?b?c?d: b b b") and line.isprintable()
    assert len(line) == LONGEST_MESSAGE + 3


def test_an_unknown_command_is_quoted(cli):
    code, out, err = cli("\x1b[2J" + "x" * 9999)
    assert (code, out) == (2, "") and err[:-1].isprintable() and len(err) < 500
