from pathlib import Path

import numpy as np
import pytest

from attn_jax.tasks import Mnist
from attn_jax.tasks.cache import read_arrays, write_arrays
from attn_jax.tasks.mnist.sources import mnist_cache, read_mnist
from attn_jax.tasks.tfds_sets import tfds_folder


def build(**options):
    from attn_jax.tasks.mnist.tfds import AttnMnist

    builder = AttnMnist(data_dir=tfds_folder(), **options)
    builder.download_and_prepare()
    return builder


@pytest.mark.usefixtures("own_folders")
def test_serves_a_folder_in_its_order(tiny_folder, tiny):
    builder = build(folder=tiny_folder)
    assert builder.info.features["label"].num_classes == 3
    rows = list(builder.as_data_source("train"))
    np.testing.assert_array_equal([row["label"] for row in rows], tiny["train_labels"])
    np.testing.assert_array_equal([row["image"][:, :, 0] for row in rows], tiny["train_images"])
    task = Mnist(dataset="attn_mnist", validation=2)
    assert task.sizes == {"num_classes": 3}
    np.testing.assert_array_equal(task.load()["test"][0]["image"], tiny["test_images"])


@pytest.mark.usefixtures("own_folders")
def test_records_are_the_examples_that_load_returns(tiny_folder):
    build(folder=tiny_folder)
    task = Mnist(dataset="attn_mnist", validation=2, streamed=True)
    records = task.records()
    for split, (bucket,) in task.load().items():
        assert len(records[split]) == len(bucket["label"])
        for name, array in bucket.items():
            rows = [records[split][index][name] for index in range(len(array))]
            assert {row.dtype for row in rows} == {array.dtype}
            np.testing.assert_array_equal(rows, array)
    with pytest.raises(IndexError):
        records["validation"][2]


@pytest.mark.usefixtures("own_folders")
def test_a_stream_that_is_too_short_or_damaged_is_refused(tiny_folder):
    builder = build(folder=tiny_folder)
    with pytest.raises(ValueError, match="validation=500 must be less than the"):
        Mnist(dataset="attn_mnist", validation=500, streamed=True).records()
    (path,) = Path(builder.data_path).glob("*test.array_record*")
    path.write_bytes(b"\0" * path.stat().st_size)
    with pytest.raises(ValueError, match="TFDS attn_mnist"):  # noqa: PT012
        records = Mnist(dataset="attn_mnist", validation=2, streamed=True).records()
        records["test"][0]


def test_only_sets_of_tfds_are_streamed(tiny_folder):
    for options in ({}, {"dataset": "other", "folder": tiny_folder}):
        with pytest.raises(ValueError, match="streamed=True needs a set of TFDS"):
            Mnist(streamed=True, **options)


@pytest.mark.usefixtures("own_folders")
def test_mnist_is_read_from_it_and_kept(tiny_is_mnist):
    write_arrays(mnist_cache(), tiny_is_mnist)
    build()
    mnist_cache().unlink()
    arrays = read_mnist()
    for name, array in tiny_is_mnist.items():
        np.testing.assert_array_equal(arrays[name], array)
        np.testing.assert_array_equal(read_arrays(mnist_cache())[name], array)
