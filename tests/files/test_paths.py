import importlib.util
from pathlib import Path

import pytest

from rsnet_jax.cli.parsing import parse
from rsnet_jax.config import Config, DataConfig
from rsnet_jax.errors import ConfigError
from rsnet_jax.files import paths
from rsnet_jax.files.paths import (
    append,
    check_client,
    is_remote,
    local_copy,
    remove_tree,
    size,
    to_path,
)


@pytest.fixture
def installed(monkeypatch):
    """Makes `find_spec` say that the modules which reach object stores are there, or not."""
    names: set[str] = {"gcsfs", "s3fs"}
    find = importlib.util.find_spec
    clients = {"gcsfs", "s3fs", "tensorflow"}
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name: (name in names or None) if name in clients else find(name),
    )
    return names


@pytest.mark.parametrize("name", ["a/b.npz", "/a/b", "~x", "C:/a", "a:b/c", "odd:/a", ".", "a b"])
def test_local_paths_are_pathlibs(name):
    assert to_path(name) == Path(name) and type(to_path(name)) is type(Path())
    assert not is_remote(to_path(name))


def test_home_is_found_in_what_no_shell_expands(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert to_path("~/a b") == tmp_path / "a b" and to_path("~") == tmp_path
    assert to_path("a/~/b") == Path("a/~/b")


def test_an_empty_name_is_not_the_working_folder():
    with pytest.raises(ConfigError, match="a path was wanted, not an empty text"):
        to_path("")


@pytest.mark.parametrize("name", ["gs://bucket/a/b.npz", Path("gs://bucket/a/b.npz")])
def test_remote_paths(installed, name):
    path = to_path(name)  # pathlib has made one slash of two
    assert is_remote(path) and str(path) == "gs://bucket/a/b.npz"
    assert to_path(path) == path
    assert (path.name, path.suffix, str(path.parent)) == ("b.npz", ".npz", "gs://bucket/a")
    for other in (path.absolute(), path.resolve()):
        assert str(other) == str(path)
    for other in (path.parent / "c", path.with_name("c")):
        assert is_remote(other) and str(other) == "gs://bucket/a/c"
    assert str(to_path("s3://bucket/run/")) == "s3://bucket/run"


@pytest.mark.parametrize("name", ["gs://", "gs:/", "hdfs://host/x", "http://host/x", "file:///x"])
def test_no_such_place(installed, name):
    with pytest.raises(ConfigError, match=r"a local path, gs://BUCKET/\.\.\. or s3://BUCKET"):
        to_path(name)


@pytest.mark.parametrize(
    ("scheme", "module", "extra"), [("gs", "gcsfs", "gcs"), ("s3", "s3fs", "s3")]
)
def test_what_reaches_it_is_not_installed(installed, scheme, module, extra):
    installed.remove(module)
    told = rf"{scheme}://b/x: .*{module}.*pip install 'rsnet-jax\[{extra}\]'"
    root = Config(data={"root": f"{scheme}://b/x"}).data.root  # of a run trained elsewhere
    assert root is not None and is_remote(root)
    for use in (
        root.exists,
        root.read_bytes,
        lambda: parse(DataConfig, ["--root", str(root)], prog="x", default=DataConfig()),
    ):
        with pytest.raises(ConfigError, match=told):
            use()
    installed.add("tensorflow")  # which etils prefers
    check_client(root)


def test_settings_keep_both_slashes(installed):
    data = DataConfig(root="gs://bucket/h36m")
    assert is_remote(data.root) and data.source == "h36m"
    stored = data.model_dump(mode="json")
    assert stored["root"] == "gs://bucket/h36m"
    assert DataConfig(**stored).root == data.root
    assert DataConfig(root="a/b").model_dump(mode="json")["root"] == "a/b"


def test_local_files(tmp_path):
    path = tmp_path / "folder" / "file"
    path.parent.mkdir()
    append(path, "one\n")
    append(path, "two\n")
    assert path.read_text() == "one\ntwo\n" and size(path) == 8
    with local_copy(path) as copy:
        assert copy is path
    remove_tree(path.parent)
    assert list(tmp_path.iterdir()) == []


def test_extras_are_those_of_the_package():
    import tomllib

    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    for module, extra in paths.BACKENDS.values():
        assert any(module in needed for needed in project["optional-dependencies"][extra])
