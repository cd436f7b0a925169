import gzip

import numpy as np
import pytest

from attn_jax.tasks.images import check_images, count_classes, read_folder, read_folder_classes


def test_reads_a_folder(tiny_folder, tiny):
    arrays = read_folder(tiny_folder)
    for name, array in tiny.items():
        np.testing.assert_array_equal(arrays[name], array)
    assert read_folder_classes(tiny_folder) == 3


def test_reads_compressed_files_and_dotted_names(tiny_folder, tiny):
    for path in list(tiny_folder.iterdir()):
        dotted = tiny_folder / f"{path.name.replace('-idx', '.idx')}.gz"
        dotted.write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    np.testing.assert_array_equal(read_folder(tiny_folder)["test_images"], tiny["test_images"])


def test_names_the_missing_file(tiny_folder):
    (tiny_folder / "t10k-labels-idx1-ubyte").unlink()
    with pytest.raises(FileNotFoundError, match=r"holds no t10k-labels-idx1-ubyte and no .*gz"):
        read_folder(tiny_folder)
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        read_folder(tiny_folder / "nowhere")


@pytest.mark.parametrize(
    ("part", "change", "said"),
    [
        ("train_images", lambda a: a[:, :, :27], r"uint8 of shape \(13, 28, 27\)"),
        ("train_images", lambda a: a[..., None], r"uint8 of shape \(13, 28, 28, 1\)"),
        ("test_images", lambda a: a.astype(np.float32), r"float32 of shape \(7, 28, 28\)"),
        ("train_labels", lambda a: a[:11], r"train: 13 images and labels of shape \(11,\)"),
        ("test_labels", lambda a: a[:, None], r"test: 7 images and labels of shape \(7, 1\)"),
        ("test_labels", lambda a: a + 1, "test labels run from 1 to 3, .* end at 2"),
        ("test_labels", lambda a: a.astype(np.int64) - 1, "test labels run from -1 to 1"),
        ("train_labels", lambda a: a + 198 * (a == 2), "run from 0 to 200, and none is 2"),
        ("train_labels", lambda a: a + 2, "run from 2 to 4, and they should start at 0"),
    ],
)
def test_refuses_arrays_that_do_not_fit(tiny, part, change, said):
    with pytest.raises(ValueError, match=f"the set.*{said}"):
        check_images(tiny | {part: change(tiny[part])}, "the set")


def test_refuses_an_empty_or_partial_set(tiny):
    empty = {"test_images": tiny["test_images"][:0], "test_labels": tiny["test_labels"][:0]}
    with pytest.raises(ValueError, match="there are no images"):
        check_images(tiny | empty, "the set")
    del tiny["train_labels"]
    with pytest.raises(ValueError, match="lacks train_labels"):
        check_images(tiny, "the set")


def test_classes_may_count_from_one():
    assert count_classes(np.array([1, 2, 3])) == 4
