import datetime
import math

import pytest
import yaml

from rsnet_jax.errors import ConfigError
from rsnet_jax.files.yaml_text import parse_yaml, read_yaml


def read(text):
    return parse_yaml(text, name="a.yaml", error=ConfigError)


def refusal(text):
    with pytest.raises(ConfigError) as caught:
        read(text)
    told = str(caught.value)
    assert told.startswith("a.yaml: ") and told.isprintable() and len(told) < 400
    return told.removeprefix("a.yaml: ")


SETTINGS = """
# a comment
seed: 3
model: {width: 96, dropout: 0.2, name: rsnet}
data:
  root: /some where/data
  subjects_train: [S1, 'S5', "S6\\t"]
  actions:
  - Walking
  -
train: {refine: yes, mirror: off, select: ~, init: null, empty: , text: |
  two
  lines
}
optim: {decay: -0.5, decay_steps: 100_000, clip_norm: 1.0e-3, warmup_epochs: +3}
"""


@pytest.mark.parametrize(
    "text",
    [
        SETTINGS.replace(", text: |\n  two\n  lines\n", ""),
        "",
        "# nothing",
        "text: |\n  two\n  lines\n",
        "a: >-\n  folded\n  lines\nb: 'yes'\nc: \"1\"\nd: '~'",
        "[1, 2.5, [], {}, -0, 1.5e+3, .5, 5., 1_000, true]",
        "- .inf\n- -.inf\n- yes\n- No\n- TRUE\n- ~\n- Null\n- y\n- 1.2.3\n- 1e\n- +\n- S1",
        "--- \na: 1\n...\n",
    ],
)
def test_plain_settings_are_read_as_pyyaml_reads_them(text):
    assert read(text) == yaml.safe_load(text)


def test_numbers_are_decimal():
    assert read("[1e-3, 1E5, -.5, 010, 0x1f, 0b1, 1:30, 0o7]") == [
        *(1e-3, 1e5, -0.5),
        *("010", "0x1f", "0b1", "1:30", "0o7"),
    ]
    assert math.isnan(read("[.nan]")[0])


def test_dates_are_text():
    assert yaml.safe_load("a: 2024-01-31") == {"a": datetime.date(2024, 1, 31)}
    assert read("a: 2024-01-31") == {"a": "2024-01-31"}
    assert read("a: 2024-99-99") == {"a": "2024-99-99"}
    assert read("[0x_, 2024-02-30T25:61:61Z]") == ["0x_", "2024-02-30T25:61:61Z"]
    assert read("a: " + "9" * 5000) == {"a": "9" * 5000}  # a text: no setting is that long a number


LAUGHS = "a0: &a0 [1, 1]\n" + "\n".join(
    f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}, *a{i - 1}, *a{i - 1}, *a{i - 1}]" for i in range(1, 30)
)
MERGES = "a0: &a0 {x: 1}\n" + "\n".join(
    f"a{i}: &a{i}\n  <<: [*a{i - 1}, *a{i - 1}, *a{i - 1}]" for i in range(1, 30)
)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("seed: 1\n1: 2", "line 2: the name of a setting was wanted, not 1"),
        ("2024-01-01: 2", None),
        ("on: 2", "line 1: the name of a setting was wanted, not True"),
        ("~: 2", "the name of a setting was wanted, not None"),
        ("1.5: 2", "the name of a setting was wanted, not 1.5"),
        ("? [a]\n: 2", "the name of a setting was wanted, not []"),
        ("{[a, b]: 1}", "the name of a setting was wanted, not []"),
        ("? {a: 1}\n: 2", "the name of a setting was wanted, not {}"),
        ("a: 1\na: 2", "line 2: 'a' is there twice"),
        ("a: !!bool x", "line 1: tag tag:yaml.org,2002:bool: plain YAML was wanted"),
        ("a: !!int x", "tag:yaml.org,2002:int"),
        ("a: !!float x", "tag:yaml.org,2002:float"),
        ("a: !!timestamp x", "tag:yaml.org,2002:timestamp"),
        ("a: !!binary x", "tag:yaml.org,2002:binary"),
        ("a: !!python/object/apply:os.system [ls]", "python/object/apply:os.system"),
        ("!!map {a: 1}", "tag:yaml.org,2002:map"),
        ("a: !own x", "tag !own"),
        ("[" * 5000, "line 1: nested beyond 20 levels"),
        ("{a: " * 5000, "nested beyond 20 levels"),
        ("- " * 5000, "nested beyond 20 levels"),
        ("? " * 5000, ""),
        (LAUGHS, "line 1: anchor &a0: plain YAML was wanted"),
        (MERGES, "line 1: anchor &a0: plain YAML was wanted"),
        ("a: &a [*a]", "anchor &a"),
        ("a: *b", "alias *b"),
        ("<<: *b", "alias *b"),
        ("&a a: 1", "anchor &a"),
        ("a: 1\n---\nb: 2", "line 2: one YAML document was wanted, not several"),
        ("a: [", "not readable YAML: line 1"),
        ("a: \x1b[2J", "not readable YAML"),
        ("a: \0", "not readable YAML"),
        ('a: "\\UFFFFFFFF"', "not readable YAML"),
        ('a: "\\ud800"', "half of a character"),
        ("%YAML 9.9\n--- a", "not readable YAML: line 1"),
        ("%TAG ! tag:x,2000:\n--- !b a", "tag tag:x,2000:b"),
        ("a: b: c", "not readable YAML: line 1: mapping values are not allowed here"),
        ("\t- a", "not readable YAML: line 1"),
        ("x" * 100_001, "at most 100,000 characters were wanted, not 100,001"),
    ],
)
def test_other_texts_are_one_line(text, told):
    if told is None:
        assert read(text) == {"2024-01-01": 2}  # a date is a text, which no setting is called
    else:
        assert told in refusal(text)


def test_files(tmp_path):
    (tmp_path / "a.yaml").write_text("a: [1]")
    assert read_yaml(tmp_path / "a.yaml", error=ConfigError) == {"a": [1]}
    with pytest.raises(ConfigError, match="there is no file b.yaml"):
        read_yaml(tmp_path / "b.yaml", error=ConfigError)
