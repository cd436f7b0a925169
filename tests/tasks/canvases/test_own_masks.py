import numpy as np
import pytest
from PIL import Image

from attn_jax.tasks import SegmentDigits


def write(path, array):
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(array).save(path)


@pytest.fixture
def folder(tmp_path):
    """Twenty gray images, each with a white square whose place is its number."""
    for number in range(20):
        image, mask = (np.zeros((16, 24), np.uint8) for _ in range(2))
        image[2:5, number : number + 3] = 100 + number
        mask[2:5, number : number + 3] = 255
        write(tmp_path / "images" / f"i{number:02}.png", image)
        write(tmp_path / "masks" / f"i{number:02}.png", mask)
    return tmp_path


def test_images_of_your_own_replace_the_digits(folder):
    splits = SegmentDigits(own_images=folder).load()
    assert [len(splits[name][0]["image"]) for name in splits] == [2, 2, 16]
    numbers = []
    for (bucket,) in splits.values():
        np.testing.assert_array_equal(bucket["part"], bucket["image"] > 0)
        numbers += (bucket["image"].max((1, 2)) - 100).tolist()
    assert sorted(numbers) == list(range(20))


def gray_mask(folder):
    write(folder / "masks" / "i03.png", np.arange(16 * 24, dtype=np.uint8).reshape(16, 24) % 200)


def other_size(folder):
    for kind in ("images", "masks"):
        write(folder / kind / "i07.png", np.zeros((16, 16), np.uint8))


def mask_of_other_size(folder):
    write(folder / "masks" / "i07.png", np.zeros((16, 16), np.uint8))


def no_mask(folder):
    (folder / "masks" / "i05.png").unlink()


def no_image(folder):
    (folder / "images" / "i05.png").unlink()


def broken(folder):
    (folder / "images" / "i05.png").write_bytes(b"no image")


def few(folder):
    for number in range(9, 20):
        for kind in ("images", "masks"):
            (folder / kind / f"i{number:02}.png").unlink()


def same_name(folder):
    write(folder / "images" / "i05.jpg", np.zeros((16, 24), np.uint8))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (gray_mask, r"i03.png has 200 gray levels, 0 to 199; .* without anti-aliasing"),
        (other_size, r"i07.png has 16 by 16 pixels and .*i00.png 16 by 24; crop or resize"),
        (mask_of_other_size, r"masks.i07.png has 16 by 16 pixels and .*images.i07.png 16 by 24"),
        (no_mask, r"images.i05.png has no mask: add .*masks.i05.png, or remove the file"),
        (no_image, r"masks.i05.png has no image: add .*images.i05.png"),
        (broken, r"i05.png cannot be read as an image .* save it again as PNG"),
        (few, r"holds 9 images with masks; at least 10 are needed"),
        (same_name, r"i05.jpg and .*i05.png have the same name"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_images_that_do_not_fit(folder, damage, message):
    damage(folder)
    with pytest.raises(ValueError, match=message):
        SegmentDigits(own_images=folder).load()


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"there is no folder .*images; .* masks/"):
        SegmentDigits(own_images=tmp_path).load()
