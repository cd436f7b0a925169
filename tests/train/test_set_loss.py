import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from attn_jax.train import box_ious, match_objects, set_loss

LABEL = jnp.array([[2, 0, -1], [1, -1, -1]])


def boxes(rng, *shape):
    start, size = rng.uniform(0, 0.5, (*shape, 2)), rng.uniform(0.1, 0.4, (*shape, 2))
    return jnp.asarray(np.concatenate([start, start + size], -1), jnp.float32)


@pytest.fixture(scope="module")
def scene():
    """Two layers and two images, with five queries, three classes and up to three objects."""
    rng = np.random.default_rng(0)
    logits = jnp.asarray(rng.normal(size=(2, 2, 5, 4)), jnp.float32)
    return logits, boxes(rng, 2, 2, 5), LABEL, boxes(rng, 2, 3)


def iou_by_counting(box, other, steps=400):
    """Compare the boxes on a fine grid of points, and return both kinds of overlap."""
    points = (np.arange(steps) + 0.5) / steps
    down, across = np.meshgrid(points, points, indexing="ij")
    covers = [
        (down >= b[0]) & (down < b[2]) & (across >= b[1]) & (across < b[3]) for b in (box, other)
    ]
    union = (covers[0] | covers[1]).sum()
    around = np.concatenate([np.minimum(box, other)[:2], np.maximum(box, other)[2:]])
    area = np.prod((around[2:] - around[:2]) * steps)
    iou = (covers[0] & covers[1]).sum() / union
    return iou, iou - (area - union) / area


def cost_by_hand(logits, box, label, truth):
    chance = np.exp(logits) / np.exp(logits).sum()
    iou = float(box_ious(jnp.asarray(box), jnp.asarray(truth))[1])
    return 5 * np.abs(box - truth).sum() - 2 * chance[label] - 2 * iou


def test_overlaps_are_those_that_counting_finds(scene):
    _, box, _, truth = scene
    for one, other in zip(
        np.asarray(box[0, :, :3]).reshape(-1, 4), truth.reshape(-1, 4), strict=True
    ):
        other = np.asarray(other)
        np.testing.assert_allclose(
            box_ious(jnp.asarray(one), jnp.asarray(other)), iou_by_counting(one, other), atol=0.02
        )


def test_the_assignment_is_the_best_of_all(scene):
    logits, box, label, truth = (np.asarray(a) for a in scene)
    match = np.asarray(jax.jit(match_objects)(scene[0][0], scene[1][0], LABEL, scene[3]))
    for image, count in ((0, 2), (1, 1)):
        costs = {
            queries: sum(
                cost_by_hand(
                    logits[0, image, q], box[0, image, q], label[image, i], truth[image, i]
                )
                for i, q in enumerate(queries)
            )
            for queries in itertools.permutations(range(5), count)
        }
        assert tuple(match[image, :count]) == min(costs, key=costs.__getitem__)
        assert (match[image, count:] == 0).all()


def test_a_perfect_answer_costs_nothing_but_its_doubt(scene):
    _, _, label, truth = scene
    target = jnp.array([[2, 0, 3, 3, 3], [1, 3, 3, 3, 3]])
    logits = jnp.broadcast_to(30.0 * jax.nn.one_hot(target, 4), (2, 2, 5, 4))
    box = jnp.broadcast_to(
        jnp.pad(truth, ((0, 0), (0, 2), (0, 0)), constant_values=0.5), (2, 2, 5, 4)
    )
    objective, metrics = jax.jit(set_loss)(logits, box, label, truth)
    assert float(objective) == pytest.approx(0, abs=1e-4)
    assert [float(a) for a in metrics["accuracy"]] == [3, 3]
    assert float(metrics["iou"][0]) == pytest.approx(3, abs=1e-4)


def test_images_without_weight_and_places_without_objects_do_not_count(scene):
    logits, box, label, truth = scene
    expected, _ = jax.jit(set_loss)(logits[:, :1], box[:, :1], label[:1], truth[:1])
    moved = truth.at[0, 2].set(0.9)
    weighted, metrics = jax.jit(set_loss)(logits, box, label, moved, jnp.array([1.0, 0.0]))
    np.testing.assert_allclose(weighted, expected, rtol=1e-5)
    assert float(metrics["accuracy"][1]) == 2


def test_too_few_queries(scene):
    logits, box, label, truth = scene
    with pytest.raises(ValueError, match="2 queries cannot find 3 objects"):
        match_objects(logits[0, :, :2], box[0, :, :2], label, truth)
