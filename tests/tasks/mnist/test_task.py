import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from attn_jax.tasks import Mnist


@pytest.fixture
def task(tiny_folder) -> Mnist:
    return Mnist(dataset="tiny", folder=tiny_folder, validation=5)


def test_splits_in_the_original_order(task, tiny):
    data = task.load()
    assert {split: len(buckets) for split, buckets in data.items()} == {
        "train": 1,
        "validation": 1,
        "test": 1,
    }
    expected = {
        "train": (tiny["train_images"][:8], tiny["train_labels"][:8]),
        "validation": (tiny["train_images"][8:], tiny["train_labels"][8:]),
        "test": (tiny["test_images"], tiny["test_labels"]),
    }
    for split, (images, labels) in expected.items():
        (bucket,) = data[split]
        np.testing.assert_array_equal(bucket["image"], images)
        np.testing.assert_array_equal(bucket["label"], labels)
        assert (bucket["image"].dtype, bucket["label"].dtype) == (np.uint8, np.int32)


def test_sizes_come_from_the_data(task):
    assert task.sizes == {"num_classes": 3}
    assert Mnist().sizes == {"num_classes": 10}


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"validation": 0}, "validation=0 must be at least 1: checkpoints"),
        ({"shift": 28}, "shift=28 must be from 0 to 27"),
        ({"shift": -1}, "shift=-1 must be from 0 to 27"),
        ({"warp": 2.5}, "warp=2.5 must be from 0 to 2"),
    ],
)
def test_refuses_settings_out_of_range(settings, said):
    with pytest.raises(ValueError, match=said):
        Mnist(**settings)


def test_refuses_a_validation_split_that_takes_everything(tiny_folder):
    with pytest.raises(ValueError, match="validation=13 must be less than the 13 training images"):
        Mnist(dataset="tiny", folder=tiny_folder, validation=13).load()


def test_a_folder_under_the_name_of_mnist_must_hold_mnist(tiny_folder):
    with pytest.raises(ValueError, match=r"train images are not MNIST's.*dataset name other than"):
        Mnist(folder=tiny_folder).load()


@pytest.mark.usefixtures("tiny_is_mnist")
def test_the_folder_named_is_read_rather_than_the_cache(tiny_folder, own_folders, tiny):
    data = Mnist(folder=tiny_folder, validation=1).load()
    np.testing.assert_array_equal(data["test"][0]["image"], tiny["test_images"])
    assert not (own_folders / "cache").exists()


@pytest.mark.usefixtures("tiny_is_mnist")
def test_one_wrong_pixel_of_mnist_is_refused(tiny_folder):
    path = tiny_folder / "train-images-idx3-ubyte"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match="train images are not MNIST's"):
        Mnist(folder=tiny_folder, validation=1).load()


def test_prepare_scales_and_leaves_the_rest(tiny):
    batch = {"image": tiny["test_images"], "label": tiny["test_labels"]}
    prepared = jax.jit(Mnist().prepare)(batch)
    assert prepared["image"].dtype == jnp.float32
    np.testing.assert_allclose(prepared["image"], tiny["test_images"] / 255, rtol=1e-6)
    np.testing.assert_array_equal(prepared["label"], tiny["test_labels"])


@pytest.mark.parametrize(("shift", "warp"), [(0, 0.0), (2, 0.0), (0, 1.0)])
def test_only_an_rng_moves_images(tiny, shift, warp):
    batch = {"image": tiny["test_images"]}
    task = Mnist(shift=shift, warp=warp)
    still = task.prepare(batch)["image"]
    moved = task.prepare(batch, jax.random.key(0))["image"]
    assert bool((still != moved).any()) == (shift > 0 or warp > 0)


@pytest.mark.parametrize(
    "images",
    [
        np.zeros((3, 28, 28), np.float32),
        np.zeros((28, 28), np.uint8),
        np.zeros((3, 28, 27), np.uint8),
    ],
)
def test_prepare_refuses_other_images(images):
    with pytest.raises(ValueError, match=f"images are {images.dtype} of shape .*28"):
        Mnist().prepare({"image": images})


def test_the_real_one(real_mnist):
    data = Mnist().load()
    train, validation, test = (data[name][0] for name in ("train", "validation", "test"))
    assert [len(split["label"]) for split in (train, validation, test)] == [55_000, 5_000, 10_000]
    # The first labels of the training and the test file, as everybody knows them.
    assert train["label"][:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    assert test["label"][:10].tolist() == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]
    assert np.bincount(real_mnist["train_labels"]).tolist() == [
        *(5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949)
    ]
    np.testing.assert_array_equal(validation["image"], real_mnist["train_images"][-5000:])
    assert round(real_mnist["train_images"].mean() / 255, 4) == 0.1307


def test_importing_the_task_imports_no_tfds():
    code = "import sys, attn_jax.tasks; print('tensorflow_datasets' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "False"
