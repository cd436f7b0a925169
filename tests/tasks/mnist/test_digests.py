import numpy as np
import pytest

from attn_jax.tasks.mnist.digests import check_mnist, check_shuffled_mnist, is_mnist


def shuffled(arrays):
    result = {}
    for split in ("train", "test"):
        order = np.random.default_rng(2).permutation(len(arrays[f"{split}_labels"]))
        result[f"{split}_images"] = arrays[f"{split}_images"][order]
        result[f"{split}_labels"] = arrays[f"{split}_labels"][order]
    return result


def test_the_real_one_is_known_in_any_order(real_mnist):
    assert is_mnist(real_mnist)
    check_mnist(real_mnist, "the real one")
    check_shuffled_mnist(real_mnist, "the real one")
    assert not is_mnist(shuffled(real_mnist))
    check_shuffled_mnist(shuffled(real_mnist), "the real one, shuffled")


def test_in_another_order_it_is_not_the_original(tiny_is_mnist):
    with pytest.raises(ValueError, match="this: train images are not MNIST's"):
        check_mnist(shuffled(tiny_is_mnist), "this")


@pytest.mark.parametrize("part", ["train_images", "train_labels", "test_images", "test_labels"])
def test_one_changed_bit_is_noticed(tiny_is_mnist, part):
    changed = tiny_is_mnist[part].copy()
    changed.flat[-1] ^= 1
    arrays = tiny_is_mnist | {part: changed}
    assert not is_mnist(arrays)
    with pytest.raises(ValueError, match=part.replace("_", " ")):
        check_mnist(arrays, "this")
    with pytest.raises(ValueError, match=part.split("_")[0]):
        check_shuffled_mnist(shuffled(arrays), "this")


def test_a_missing_array_is_named(tiny_is_mnist):
    del tiny_is_mnist["test_labels"]
    with pytest.raises(ValueError, match=r"test labels .* is nothing, expected"):
        check_mnist(tiny_is_mnist, "this")
