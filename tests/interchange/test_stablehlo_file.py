import json

import jax
import numpy as np
import pytest
from exported_networks import KINDS, as_the_lifter_turns_them, random_checkpoint

from rsnet_jax import Lifter
from rsnet_jax.errors import OutputError
from rsnet_jax.interchange.program import program_of
from rsnet_jax.interchange.stablehlo_file import save_stablehlo

SIZE = (1000, 900)


def test_jax_reads_it_for_any_number_of_poses(tmp_path, rng):
    checkpoint, path = random_checkpoint(KINDS["rsnet_all"]), tmp_path / "a.stablehlo"
    program = program_of(checkpoint, flip_test=True, pixels=SIZE)
    differences = save_stablehlo(path, checkpoint, program, license_text="none", version="0")
    assert set(differences) == {1, 7, 64}
    exported = jax.export.deserialize(path.read_bytes())
    assert exported.platforms == ("cpu", "cuda", "rocm", "tpu")
    pixels = rng.uniform((0, 0), SIZE, size=(7, 16, 2)).astype(np.float32)
    scores = rng.uniform(0.1, 1, size=(7, 16)).astype(np.float32)
    poses, errors = jax.jit(exported.call)(np.concatenate([pixels, scores[..., None]], axis=-1))
    want = Lifter(checkpoint)(pixels, scores, image_size=SIZE)
    poses = as_the_lifter_turns_them(poses, pixels, scores, size=SIZE)
    np.testing.assert_allclose(poses, want, rtol=1e-4, atol=1e-5)
    assert errors.shape == (7, 16)
    words = json.loads((tmp_path / "a.stablehlo.json").read_text())
    assert words["units"] == "meters" and "six months" in words["stablehlo"]
    with pytest.raises(OutputError, match=r"a\.stablehlo exists already"):
        save_stablehlo(path, checkpoint, program, license_text="none", version="0")
    path.unlink()
    with pytest.raises(OutputError, match=r"a\.stablehlo\.json exists already"):
        save_stablehlo(path, checkpoint, program, license_text="none", version="0")
    assert not path.exists()
