import numpy as np
import pytest
from PIL import Image

from rsnet_jax.errors import DataError
from rsnet_jax.files.footage import is_footage, open_footage


def save(path, *, level=0, size=(40, 30), **options):
    """A gray picture with a white top left corner."""
    pixels = np.full((size[1], size[0], 3), level, np.uint8)
    pixels[:8, :8] = 255
    Image.fromarray(pixels).save(path, **options)


def turned(number):
    exif = Image.Exif()
    exif[0x0112] = number
    return exif


def test_pictures_of_a_folder_are_frames_in_natural_order(tmp_path, caplog):
    for number in (10, 9, 1):
        save(tmp_path / f"walk{number}.png", level=10 * number)
    (tmp_path / "notes.txt").write_text("no picture")
    assert is_footage(tmp_path)
    footage = open_footage(tmp_path)
    assert (footage.size, footage.count, footage.rate) == ((40, 30), 3, None)
    assert [int(picture[20, 20, 0]) for picture in footage.frames()] == [10, 90, 100]
    small = list(footage.pictures([0, 2, 3], rate=25, size=(20, 15)))
    assert small[1].shape == (15, 20, 3) and small[1][10, 10, 0] == 100 and small[2] is None
    assert "ends before frame 3 of the poses" in caplog.text
    (tmp_path / "frame_keypoints.json").write_text("{}")
    assert not is_footage(tmp_path)


def test_a_picture_is_turned_as_it_says(tmp_path):
    """6: to be turned by a quarter to the right, so that the left column becomes the top row."""
    path = tmp_path / "phone.jpg"
    save(path, exif=turned(6), quality=95)
    footage = open_footage(path)
    assert (footage.size, footage.count) == ((30, 40), 1)
    (picture,) = footage.frames()
    assert picture.shape == (40, 30, 3)
    assert picture[4, 25].min() > 200 and picture[4, 4].max() < 50


def test_pictures_of_several_sizes_or_damaged_ones_are_refused_by_name(tmp_path):
    folder = tmp_path / "mixed"
    folder.mkdir()
    save(folder / "a.jpg")
    save(folder / "b.jpg", exif=turned(6))
    (tmp_path / "text.png").write_text("hello")
    save(tmp_path / "cut.png", level=77)
    (tmp_path / "cut.png").write_bytes((tmp_path / "cut.png").read_bytes()[:80])
    (tmp_path / "none").mkdir()
    cases = {
        "mixed": "pictures of one size were wanted: a.jpg is 40x30, but b.jpg is 30x40",
        "text.png": "it cannot be read as a picture: ",
        "cut.png": "it cannot be read as a picture: ",
        "none": "no pictures in it (.jpg, ",
        "absent.png": "there is no file absent.png",
    }
    for name, message in cases.items():
        with pytest.raises(DataError) as raised:
            list(open_footage(tmp_path / name).frames())
        said = str(raised.value)
        assert message in said and name in said and "\n" not in said
