"""The setup that all tests share: checked calls, compiled programs, folders made once."""

import os

import jax
import jax.numpy as jnp
import jaxtyping
import pytest
from compiled_programs import drop_oldest_programs

from rsnet_jax.models.graph_conv import adjacency_powers
from rsnet_jax.pose.metrics import mpjpe

POSE, OTHER = jnp.zeros((2, 16, 3)), jnp.zeros((2, 17, 3))


@pytest.mark.parametrize("call", [mpjpe, jax.jit(mpjpe)], ids=["plain", "jitted"])
def test_call_with_shapes_that_disagree_is_refused(call):
    with pytest.raises(jaxtyping.TypeCheckError, match="parameters of rsnet_jax.pose.metrics"):
        call(POSE, OTHER)
    assert call(POSE, POSE).shape == (2,)


def test_call_with_a_wrong_type_is_refused():
    with pytest.raises(jaxtyping.TypeCheckError, match="parameters of rsnet_jax.models.graph_conv"):
        adjacency_powers("h36m_16", 4)


def test_unchecked_calls_are_those_of_use(unchecked_calls):
    with pytest.raises(TypeError, match="sub got incompatible shapes"):
        mpjpe(POSE, OTHER)


def test_compiled_program_is_stored_at_once(tmp_path):
    """No file has the program's name before it is whole, and no other file is left."""
    cache = pytest.importorskip("jax._src.lru_cache").LRUCache(str(tmp_path), max_size=-1)
    cache.put("program", b"whole")
    assert cache.get("program") == b"whole"
    assert [path.name for path in tmp_path.iterdir()] == ["program-cache"]


def test_oldest_compiled_programs_are_dropped(tmp_path):
    for age, name in enumerate(["new-cache", "old-cache", "oldest-cache"]):
        (tmp_path / name).write_bytes(bytes(10))
        os.utime(tmp_path / name, (1000 - age, 1000 - age))
    drop_oldest_programs(tmp_path, max_bytes=25)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["new-cache", "old-cache"]


def test_shared_folder_is_made_once(once):
    made = []

    def make(folder):
        (folder / "file").write_text("")
        made.append(folder)

    first, second = (once("made_once", make) for _ in range(2))
    assert first == second and (first / "file").exists() and len(made) <= 1  # or by a worker
