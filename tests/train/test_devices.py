import jax
import jax.numpy as jnp
import numpy as np
import pytest

from attn_jax.train.devices import data_mesh, gather, replicate, require_divisible, split_batch


def test_a_mesh_is_of_all_devices_or_those_given():
    assert data_mesh().size == jax.device_count() == 4
    assert data_mesh(jax.devices()[1:3]).shape == {"data": 2}


@pytest.mark.parametrize(("size", "nearest"), [(6, "4 and 8"), (3, "4"), (13, "12 and 16")])
def test_a_batch_that_the_devices_cannot_share_is_refused(size, nearest):
    with pytest.raises(ValueError, match=f"batch_size={size} must be a multiple of the 4 devices; "
                                         f"the nearest multiples: {nearest}"):  # fmt: skip
        require_divisible(data_mesh(), eval_batch_size=8, batch_size=size)


def test_batches_are_split_and_everything_else_is_whole_everywhere():
    mesh = data_mesh()
    data = replicate(mesh, {"x": np.arange(35.0).reshape(7, 5)})
    assert all(shard.data.shape == (7, 5) for shard in data["x"].addressable_shards)
    indices = replicate(mesh, jnp.array([3, 0, 6, 1, 3, 2, 5, 4]))
    batch = jax.jit(lambda data, indices: gather(mesh, data, indices))(data, indices)
    assert [shard.data.shape for shard in batch["x"].addressable_shards] == [(2, 5)] * 4
    np.testing.assert_array_equal(batch["x"][:, 0], 5.0 * np.asarray(indices))


def test_splitting_changes_no_value():
    mesh = data_mesh()
    x = jnp.arange(12.0).reshape(4, 3)
    np.testing.assert_array_equal(jax.jit(lambda x: split_batch(mesh, x))(x), x)
