import pytest

from rsnet_jax.errors import ConfigError
from rsnet_jax.files.libraries import optional_library, require_library


def test_a_library_that_lacks_is_told_from_one_that_is_broken(tmp_path, monkeypatch):
    (tmp_path / "needs_gl.py").write_text("raise ImportError('libGL.so.1: cannot open')\n")
    (tmp_path / "needs_other.py").write_text("import other_library\n")
    monkeypatch.syspath_prepend(tmp_path)
    lacks = r"drawing needs no_library, which is not installed: pip install 'rsnet-jax\[viz\]'$"
    with pytest.raises(ConfigError, match=lacks):
        optional_library("no_library.part", extra="viz", use="drawing")
    with pytest.raises(ConfigError, match=lacks):
        require_library("no_library", extra="viz", use="drawing")
    require_library("needs_gl", extra="viz", use="drawing")
    broken = "is installed but cannot be imported: "
    with pytest.raises(ConfigError, match=f"needs needs_gl, which {broken}libGL.so.1"):
        optional_library("needs_gl", extra="viz", use="drawing")
    with pytest.raises(ConfigError, match=f"{broken}No module named 'other_library'"):
        optional_library("needs_other", extra="viz", use="drawing")
