import os

import pytest

from rsnet_jax.errors import OutputError
from rsnet_jax.files.outputs import atomic_write, ensure_writable


def test_claim_leaves_nothing_behind(tmp_path):
    ensure_writable(tmp_path / "a" / "b" / "out.json")
    ensure_writable(tmp_path / "out.json")
    assert list(tmp_path.iterdir()) == []


def test_claim_of_an_existing_file(tmp_path):
    path = tmp_path / "out.json"
    path.write_text("old")
    ensure_writable(path, overwrite=True)
    with pytest.raises(OutputError, match=r"out.json exists already; .* or --overwrite"):
        ensure_writable(path, overwrite=False)
    with pytest.raises(OutputError, match=r"out.json exists already; give another name$"):
        ensure_writable(path)
    assert path.read_text() == "old"


@pytest.mark.parametrize("overwrite", [None, False, True])
def test_claim_of_an_existing_folder(tmp_path, overwrite):
    with pytest.raises(OutputError, match="is an existing folder"):
        ensure_writable(tmp_path, overwrite=overwrite)


def test_claim_below_a_file(tmp_path):
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file" / "out", tmp_path / "file" / "deep" / "out"):
        with pytest.raises(OutputError, match=r"out cannot be written: .*file is not a folder"):
            ensure_writable(path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_claim_in_a_locked_folder(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(OutputError, match="Permission denied"):
        ensure_writable(tmp_path / "out")


def test_replacing_makes_folders_and_appears_when_complete(tmp_path):
    path = tmp_path / "new" / "out.npz"
    with atomic_write(path) as partial:
        assert partial.suffix == ".npz" and partial.parent == path.parent
        partial.write_text("new")
        assert not path.exists()
    assert path.read_text() == "new"
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_replacing_that_fails_keeps_the_old_file(tmp_path, error):
    path = tmp_path / "out.json"
    path.write_text("old")
    wanted = OutputError if isinstance(error, OSError) else KeyboardInterrupt
    with pytest.raises(wanted), atomic_write(path) as partial:
        partial.write_text("half")
        raise error
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
