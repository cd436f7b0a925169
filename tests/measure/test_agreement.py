import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats
from scipy.spatial import distance

from attn_jax import measure


@pytest.mark.parametrize("ties", [False, True])
def test_kendall_tau_is_scipys(ties):
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(2, 3, 11)).astype(np.float32)
    if ties:
        first, second = np.round(first), np.round(second)
    mask = np.arange(11) < np.array([11, 7, 5])[:, None]
    expected = [
        stats.kendalltau(a[m], b[m]).statistic for a, b, m in zip(first, second, mask, strict=True)
    ]
    result = jax.jit(measure.kendall_tau)(first, second, mask)
    np.testing.assert_allclose(result, expected, atol=1e-6)


def test_a_map_that_orders_nothing_has_no_rank_correlation():
    assert jnp.isnan(measure.kendall_tau(jnp.ones(5), jnp.arange(5.0)))


def test_jensen_shannon_is_scipys_squared():
    first, second = np.random.default_rng(1).dirichlet(np.ones(7), (2, 5)).astype(np.float32)
    first[0, :3] = 0
    first[0] /= first[0].sum()
    expected = [
        distance.jensenshannon(a, b, base=2) ** 2 for a, b in zip(first, second, strict=True)
    ]
    result = measure.jensen_shannon(jnp.array(first), jnp.array(second))
    np.testing.assert_allclose(result, expected, atol=1e-6)


def test_total_variation_by_hand():
    result = measure.total_variation(jnp.array([[0.5, 0.3, 0.2]]), jnp.array([[0.2, 0.3, 0.5]]))
    np.testing.assert_allclose(result, [0.3], atol=1e-7)


def test_pointing_and_mass_by_hand():
    values = jnp.array([[0.1, 0.5, 0.4], [0.4, 0.4, 0.2], [0.0, 0.0, 0.0]])
    objects = jnp.array([[True, False, True], [True, False, False], [True, False, False]])
    np.testing.assert_allclose(measure.pointing_game(values, objects), [0, 0.5, 1 / 3], atol=1e-6)
    np.testing.assert_allclose(measure.mass_on_object(values, objects), [0.5, 0.4, 0], atol=1e-6)


@pytest.mark.parametrize("kind", ["normal", "skewed", "rare"])
def test_the_bootstrap_interval_is_scipys(kind):
    rng = np.random.default_rng(2)
    values = {
        "normal": rng.normal(size=101),
        "skewed": rng.lognormal(size=31),
        "rare": rng.random(40) < 0.1,
    }[kind].astype(np.float32)
    mean, low, high = measure.bootstrap(jnp.array(values), rng=jax.random.key(0), draws=4000)
    theirs = stats.bootstrap(
        (values,), np.mean, n_resamples=4000, method="BCa", rng=np.random.default_rng(0)
    ).confidence_interval
    assert mean == pytest.approx(values.mean(), abs=1e-6)
    # Both are estimates from 4,000 draws, whose quantiles vary by a few hundredths of the error.
    np.testing.assert_allclose((low, high), theirs, atol=0.15 * values.std() / np.sqrt(len(values)))


def test_the_bootstrap_leaves_out_what_is_missing():
    mean, low, high = measure.bootstrap(jnp.array([1.0, jnp.nan, 1.0]), rng=jax.random.key(0))
    assert mean == low == high == 1.0
