import subprocess
import sys

import jax
import pytest

from rsnet_jax.distributed.compile_cache import WORTH_SECONDS, enable_compile_cache, processor


@pytest.fixture
def unset():
    """No cache has been chosen."""
    names = ("jax_compilation_cache_dir", "jax_persistent_cache_min_compile_time_secs")
    before = {name: getattr(jax.config, name) for name in names}
    jax.config.update("jax_compilation_cache_dir", None)
    yield
    for name, value in before.items():
        jax.config.update(name, value)


def test_programs_are_kept_in_the_users_cache(unset, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    enable_compile_cache()
    folder = tmp_path / "rsnet_jax" / f"compiled-{processor()}"
    assert jax.config.jax_compilation_cache_dir == str(folder) and folder.is_dir()
    assert jax.config.jax_persistent_cache_min_compile_time_secs == WORTH_SECONDS


def test_a_folder_chosen_by_the_user_stays(unset, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "not"))
    jax.config.update("jax_compilation_cache_dir", str(tmp_path / "mine"))
    enable_compile_cache()
    assert jax.config.jax_compilation_cache_dir == str(tmp_path / "mine")
    assert not (tmp_path / "not").exists()


def test_without_a_place_nothing_is_kept(unset, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    enable_compile_cache()
    assert jax.config.jax_compilation_cache_dir is None


PROCESS = """
import jax, jax.numpy as jnp
from rsnet_jax.distributed import compile_cache

events = []
jax.monitoring.register_event_listener(lambda event, **_: events.append(event))
compile_cache.WORTH_SECONDS = 0
compile_cache.enable_compile_cache()
jax.jit(lambda x: jnp.sin(x @ x).sum())(jnp.ones((8, 8))).block_until_ready()
print(*[sum(event.endswith(f"/cache_{kind}") for event in events) for kind in ("hits", "misses")])
"""


def test_a_second_process_finds_the_programs_of_the_first(tmp_path, monkeypatch):
    """The compiler may refuse a stored program, whose speed would then be lost without a word."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR", raising=False)
    monkeypatch.delenv("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", raising=False)
    first, second = (
        subprocess.run([sys.executable, "-c", PROCESS], capture_output=True, text=True, check=True)
        for _ in range(2)
    )
    compiled = int(first.stdout.split()[1])
    assert compiled > 0 and first.stdout.split()[0] == "0"
    assert second.stdout.split() == [str(compiled), "0"]
    assert first.stderr == second.stderr == ""
