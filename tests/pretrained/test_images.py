"""What a reader of images takes, and the line that says what is wrong with an image."""

import numpy as np
import pytest
from PIL import Image

from attn_jax.pretrained import PretrainedError
from attn_jax.pretrained.reading.images import ImageReader

WHITE = np.full((6, 8, 3), 255, np.uint8)


@pytest.mark.parametrize(
    ("settings", "is_square", "shape"),
    [
        ({"size": 5}, True, (5, 5)),
        ({"size": 5}, False, (5, 6)),  # 5 · 8 / 6, rounded down
        ({"size": {"shortest_edge": 9}}, True, (9, 12)),
        ({"size": {"height": 4, "width": 7}}, False, (4, 7)),
        ({"do_resize": False}, False, (6, 8)),
        ({"do_resize": False, "do_center_crop": True, "crop_size": 5}, False, (5, 5)),
    ],
    ids=["square", "shorter edge", "shortest_edge", "height and width", "as it is", "middle"],
)
def test_sizes(settings, is_square, shape):
    reader = ImageReader.from_preprocessing(settings, is_square)
    (shown,) = reader.shown([WHITE])
    assert shown.shape == (*shape, 3)
    # White is one, less a mean of one half, over a deviation of one half.
    np.testing.assert_array_equal(reader.encode([WHITE])["images"], np.ones((1, *shape, 3)))


def test_each_step_only_where_it_is_asked_for():
    settings = {"do_resize": False, "do_rescale": False, "do_normalize": False}
    reader = ImageReader.from_preprocessing(settings, is_square=True)
    np.testing.assert_array_equal(reader.encode([WHITE])["images"], WHITE[None])


def test_a_photo_is_turned_as_its_camera_was_held(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned by a quarter
    Image.fromarray(WHITE).save(tmp_path / "photo.jpg", exif=exif)
    reader = ImageReader.from_preprocessing({"do_resize": False}, is_square=True)
    (shown,) = reader.shown([tmp_path / "photo.jpg"])
    assert shown.shape == (8, 6, 3)


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "1", "CMYK"])
def test_images_of_other_modes(mode):
    reader = ImageReader.from_preprocessing({"do_resize": False}, is_square=True)
    (shown,) = reader.shown([Image.fromarray(WHITE).convert(mode)])
    np.testing.assert_array_equal(shown, WHITE)


def truncated(folder):
    path = folder / "half.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 40, 3), np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[:2000])
    return path


def no_image(folder):
    path = folder / "notes.jpg"
    path.write_text("not an image")
    return path


BAD = {
    "no list": (lambda f: "photo.jpg", "takes a list of images, such as .* not one"),
    "one array": (lambda f: WHITE, "not one"),
    "one image": (lambda f: Image.fromarray(WHITE), "not one"),
    "none": (lambda f: [], "this one is empty"),
    "missing": (lambda f: [f / "none.jpg"], r"image 0, .*none.jpg, cannot be read: .*No such file"),
    "a folder": (lambda f: [f], "image 0, .*, cannot be read: .*directory"),
    "no image": (lambda f: [WHITE, no_image(f)], "image 1, .*notes.jpg, cannot be read"),
    "truncated": (lambda f: [truncated(f)], "image 0, .*half.png, cannot be read: .*truncated"),
    "gray": (lambda f: [WHITE[..., 0]], r"array of shape \[6, 8\]; \(height, width, 3\) is needed"),
    "no pixels": (lambda f: [WHITE[:0]], r"shape \[0, 8, 3\]"),
    "integers": (lambda f: [WHITE.astype(int)], "has int64 from 255 to 255; bytes or floats"),
    "too bright": (lambda f: [WHITE * 1.0], "has float64 from 255 to 255"),
    "not a number": (lambda f: [WHITE * np.nan], "has float64 from nan to nan"),
    "nothing known": (lambda f: [None], r"array of shape \[\]"),
    "sizes that differ": (
        lambda f: [WHITE, WHITE[:, :6]],
        "different sizes, 4 × 4, 4 × 5 pixels; encode them one by one",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_an_image_that_cannot_be_read_is_one_clear_line(case, tmp_path):
    make, message = BAD[case]
    reader = ImageReader.from_preprocessing({"size": {"shortest_edge": 4}}, is_square=True)
    with pytest.raises(PretrainedError, match=message) as error:
        reader.encode(make(tmp_path))
    assert "\n" not in str(error.value)


def test_a_crop_larger_than_the_image():
    settings = {"size": 4, "do_center_crop": True, "crop_size": {"height": 5, "width": 4}}
    reader = ImageReader.from_preprocessing(settings, is_square=True)
    with pytest.raises(PretrainedError, match=r"image 0 is 4 × 4 pixels .* cuts out 5 × 4"):
        reader.encode([WHITE])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "no preprocessor_config.json"),
        ({"size": {"longest_edge": 4}}, r"size = \{'longest_edge': 4\}; known are"),
        ({"do_center_crop": True, "crop_size": {"shortest_edge": 4}}, "crop_size = "),
    ],
    ids=["none", "size", "crop"],
)
def test_settings_that_are_refused(settings, message):
    with pytest.raises(PretrainedError, match=message):
        ImageReader.from_preprocessing(settings, is_square=True)
