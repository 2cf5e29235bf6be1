import zipfile

import mocap_files
import numpy as np
import pytest

from rsnet_jax.data.cmu import takes
from rsnet_jax.data.cmu.takes import find_takes
from rsnet_jax.errors import DataError

ASF, AMC = mocap_files.asf(), mocap_files.amc(mocap_files.walk(20))
BVH = mocap_files.bvh([{}] * 20)


def write(folder, files):
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def archive(path, files, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", **options) as file:
        for name, text in files.items():
            file.writestr(name, text)
    return path


def read(take):
    return take.read(amc_rate=120.0, unit=None, up="y")


def test_takes_are_found_at_any_depth_and_in_archives(tmp_path):
    write(tmp_path, {"all/subjects/02/02.asf": ASF, "all/subjects/02/02_10.amc": AMC})
    write(tmp_path, {"all/subjects/02/02_02.amc": AMC, "notes/readme.txt": "", ".git/9_1.bvh": ""})
    archive(tmp_path / "more" / "005.zip", {"005/005_01.bvh": BVH, "__MACOSX/._005_01.bvh": "?"})
    write(tmp_path, {"dances/waltz.bvh": BVH})
    found = find_takes(tmp_path)
    assert [(take.performer, take.name) for take in found] == [
        ("02", "02_02"),
        ("02", "02_10"),
        ("005", "005_01"),
        ("dances", "dances_waltz"),
    ]
    assert [take.file.label for take in found[1:3]] == [
        "all/subjects/02/02_10.amc",
        "more/005.zip/005/005_01.bvh",
    ]
    assert found[2].file.container == "more/005.zip"
    for take in found:
        assert len(read(take).motion) == 20
    (alone,) = find_takes(tmp_path / "more" / "005.zip")
    assert alone.name == "005_01" and alone.file.label == "005.zip/005/005_01.bvh"


def test_takes_are_found_behind_links(tmp_path):
    write(tmp_path, {"real/deep/7_01.bvh": BVH})
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "link").symlink_to(tmp_path / "real")
    (tmp_path / "real" / "round").symlink_to(tmp_path / "source")  # in a circle
    assert [take.name for take in find_takes(tmp_path / "source")] == ["7_01"]


def test_archives_in_any_compression(tmp_path):
    for number, method in enumerate((zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2)):
        archive(tmp_path / f"{number}.zip", {f"p{number}_1.bvh": BVH}, compression=method)
    assert all(len(read(take).motion) == 20 for take in find_takes(tmp_path))


@pytest.mark.parametrize("folder", ["02", "elsewhere"])
def test_the_skeleton_may_be_elsewhere(tmp_path, folder):
    write(tmp_path, {f"{folder}/02.asf": ASF, "takes/02_01.amc": AMC, "takes/03.asf": "wrong"})
    assert find_takes(tmp_path)[0].skeleton.label == f"{folder}/02.asf"


def test_the_only_skeleton_beside_a_take_is_its_own(tmp_path):
    write(tmp_path, {"x/person.asf": ASF, "x/walk.amc": AMC, "y/other.asf": ASF})
    (take,) = find_takes(tmp_path)
    assert (take.performer, take.name, take.skeleton.label) == ("x", "x_walk", "x/person.asf")


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, r"no .amc or .bvh file in it, nor in a .zip in it"),
        ({"02_01.amc": AMC}, r"02_01.amc: no skeleton 02.asf for it; found: none"),
        (
            {"02_01.amc": AMC, "a/x.asf": ASF, "b/y.asf": ASF},
            r"no skeleton 02.asf for it; found: a/x.asf, b/y.asf",
        ),
        (
            {"a/5_1.bvh": BVH, "b/5_1.bvh": BVH},
            r"take 5_1 is there twice: a/5_1.bvh and b/5_1.bvh",
        ),
        ({"005.zip": "PK\3\4 cut short"}, r"005.zip: not a .zip archive, or cut short"),
    ],
)
def test_faulty_sources(tmp_path, files, message):
    write(tmp_path, files)
    with pytest.raises(DataError, match=message):
        find_takes(tmp_path)


def test_no_source(tmp_path):
    with pytest.raises(DataError, match="nowhere: no such folder or archive"):
        find_takes(tmp_path / "nowhere")


def test_an_archive_cut_short(tmp_path):
    path = archive(tmp_path / "005.zip", {"005_01.bvh": BVH, "005_02.bvh": BVH})
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(DataError, match=r"005.zip: not a .zip archive, or cut short .*; download"):
        find_takes(path)


def test_a_damaged_member_is_named(tmp_path):
    path = archive(tmp_path / "005.zip", {"005_01.bvh": BVH})
    content = bytearray(path.read_bytes())
    content[400] ^= 1
    path.write_bytes(content)
    (take,) = find_takes(path)
    with pytest.raises(DataError, match=r"005.zip/005_01.bvh cannot be read: BadZipFile: Bad CRC"):
        read(take)


def test_zip_bombs_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(takes, "LARGEST_FILE", 100_000)
    bomb = archive(
        tmp_path / "bomb.zip", {"1_1.bvh": " " * 10_000_000}, compression=zipfile.ZIP_DEFLATED
    )
    assert bomb.stat().st_size < 20_000
    with pytest.raises(DataError, match=r"bomb.zip/1_1.bvh: at most 100,000 bytes .* 10,000,000"):
        find_takes(bomb)
    # one that lies about its size
    content = bomb.read_bytes().replace((10_000_000).to_bytes(4, "little"), b"\x10\0\0\0")
    bomb.write_bytes(content)
    (take,) = find_takes(bomb)
    with pytest.raises(DataError, match=r"bomb.zip/1_1.bvh cannot be read: BadZipFile"):
        read(take)
    write(tmp_path / "plain", {"2_1.bvh": " " * 100_001})
    (take,) = find_takes(tmp_path / "plain")
    with pytest.raises(DataError, match="2_1.bvh: at most 100,000 bytes"):
        read(take)


def test_names_from_archives_do_not_reach_the_terminal(tmp_path):
    path = archive(tmp_path / "a.zip", {"x\x1b[2J/4_1.bvh": "no bvh"})
    (take,) = find_takes(path)
    with pytest.raises(DataError) as raised:
        read(take)
    assert "\x1b" not in str(raised.value)


def test_z_up(tmp_path):
    # x forward, y left, z up: a quarter turn about x brings y up to z
    turned = mocap_files.bvh([{"root": (1, -3, 0.9, 0, 0, 90)}])
    write(tmp_path, {"5_1.bvh": turned})
    (take,) = find_takes(tmp_path)
    with pytest.raises(DataError, match="--up z"):
        read(take).positions(("pelvis",))
    body = take.read(amc_rate=120.0, unit=None, up="z")
    joints = ("pelvis", "head", "left_ankle", "left_wrist")
    pelvis, head, ankle, wrist = body.positions(joints)[0]
    np.testing.assert_allclose(head - pelvis, (0, 0, 0.8), atol=1e-9)
    np.testing.assert_allclose(ankle - pelvis, (0, 0.1, -0.8), atol=1e-9)
    assert wrist[1] - pelvis[1] == pytest.approx(0.7)
    np.testing.assert_allclose(pelvis[:2], (3, 1), atol=1e-9)  # z of (1, 0.9, 3), x of it
