import dataclasses
import functools

import jax
import numpy as np
import pytest

from attn_jax.hooks import intervene
from experiments.trust import grammar
from experiments.trust.construction import CLASSES, HEADS, KEYS, QUERIES, answer
from experiments.trust.draw import Draw
from experiments.trust.masks import MASKS
from experiments.trust.truth import contributions, look_weights, truth

EXAMPLES = 64
KINDS = {kind.name: kind for kind in grammar.KINDS}
run = jax.jit(answer)


def scores(construction, target):
    """The centered logit of the target, from the compiled model in float32."""
    logits = np.asarray(run(construction.inputs()), np.float64)
    return logits[np.arange(len(logits)), target] - logits.mean(-1)


def silenced(construction, keys):
    """The construction in which some input keys (n, k) say nothing to the attention."""
    return dataclasses.replace(construction, says=construction.says * ~keys[:, None, :, None])


def top_key(construction):
    return np.eye(KEYS, dtype=bool)[look_weights(construction).mean((1, 2)).argmax(-1)]


def simple(look, says, **more):
    """A construction of two sentences, all of whose heads and queries do the same."""
    draw = Draw(np.random.default_rng(0), 2)
    padded = np.full((2, KEYS), -200.0)
    padded[:, : len(look)] = look
    spoken = np.zeros((2, KEYS, CLASSES))
    spoken[0, : len(says), 0] = spoken[1, : len(says), 1] = says
    return draw.model(padded, spoken, **more)


def test_the_model_is_what_its_docstring_says():
    construction = grammar.draw(3, 4, "mixed").construction
    rng = np.random.default_rng(0)
    changed = dataclasses.replace(
        construction,
        look=rng.normal(size=construction.look.shape),
        around=rng.normal(size=construction.around.shape),
        read=rng.normal(size=construction.read.shape),
        sees=rng.random((4, QUERIES, KEYS)) < 0.6,
        limit=np.full(4, 2.0),
        scale=np.arange(1.0, 5),
    )
    for n, logits in enumerate(run(changed.inputs())):
        said = np.zeros(CLASSES)
        present = np.flatnonzero(changed.sees[n].any(0))
        for h, q in np.ndindex(HEADS, QUERIES):
            visible = np.flatnonzero(changed.sees[n, q])
            powers = {k: np.exp(changed.look[n, h, q, k]) for k in visible}
            for k in visible:
                stays = [np.exp(changed.stay[n] * (j == k)) for j in present]
                value = sum(
                    stay * changed.says[n, h, j] for j, stay in zip(present, stays, strict=True)
                )
                said += (
                    changed.read[n, h, q] * powers[k] / sum(powers.values()) * value / sum(stays)
                )
        expected = changed.scale[n] * (2 * np.tanh(said / 2) + changed.around[n].sum(0))
        np.testing.assert_allclose(logits, expected, rtol=2e-4, atol=2e-4)


@pytest.mark.parametrize("name", KINDS)
def test_models_are_what_their_kind_promises(name):
    for seed in range(4):
        model = grammar.draw(seed, EXAMPLES, name)
        if model.kind.label != "graded":
            assert model.truth.label == model.kind.label, model.truth
        assert model.label == model.kind.label


@pytest.mark.parametrize("name", [k.name for k in grammar.KINDS if k.label == "faithful"])
def test_silencing_the_top_key_of_a_faithful_model_costs_more_than_others(name):
    construction = grammar.draw(1, EXAMPLES, name).construction
    target = np.asarray(run(construction.inputs())).argmax(-1)
    full = scores(construction, target)
    top = top_key(construction)
    falls = [full - scores(silenced(construction, np.roll(top, i, 1)), target) for i in range(KEYS)]
    means = np.mean(falls, -1)
    assert means[0] > 0
    # Its peers may cost as much, but no more, and the mean key costs less.
    assert means[0] >= 0.98 * means.max()
    assert means[0] > 1.2 * means.mean()
    everything = np.ones((EXAMPLES, KEYS), bool)
    assert scores(silenced(construction, everything), target).mean() < 0.3 * full.mean()


ALIKE = (*(name for name in KINDS if "alike" in name), "causal_unread")
WIDE = ("exaggerated", "level", "idle_heads_anywhere", "undone")


@pytest.mark.parametrize(
    "name",
    [k.name for k in grammar.KINDS if k.label == "misleading" and k.name not in ALIKE + WIDE],
)
def test_silencing_the_top_key_of_a_misleading_model_costs_little(name):
    construction = grammar.draw(2, EXAMPLES, name).construction
    target = np.asarray(run(construction.inputs())).argmax(-1)
    full = scores(construction, target)
    without = scores(silenced(construction, top_key(construction)), target)
    assert abs((full - without).mean()) < 0.1 * full.mean()


@pytest.mark.parametrize("name", ALIKE)
def test_where_keys_are_alike_any_map_gives_the_same(name):
    construction = grammar.draw(2, EXAMPLES, name).construction
    other = dataclasses.replace(construction, look=0 * construction.look)
    np.testing.assert_allclose(run(other.inputs()), run(construction.inputs()), rtol=0.1, atol=0.1)


@pytest.mark.parametrize("name", WIDE)
def test_the_top_key_has_another_share_of_the_score_than_of_the_mass(name):
    construction = grammar.draw(2, EXAMPLES, name).construction
    target = np.asarray(run(construction.inputs())).argmax(-1)
    silent = [np.eye(KEYS, dtype=bool)[[k] * EXAMPLES] for k in range(KEYS)]
    full = scores(construction, target)
    falls = np.stack([full - scores(silenced(construction, each), target) for each in silent], -1)
    parts = np.abs(falls) / np.abs(falls).sum(-1, keepdims=True)
    map_ = look_weights(construction).mean((1, 2))
    assert np.minimum(map_, parts).sum(-1).mean() < 0.35


@pytest.mark.parametrize("name", [k.name for k in grammar.KINDS if k.label == "ignored"])
def test_an_ignored_model_does_without_its_attention(name):
    construction = grammar.draw(2, EXAMPLES, name).construction
    target = np.asarray(run(construction.inputs())).argmax(-1)
    full = scores(construction, target)
    mean = construction.says.mean(0) if name == "constant" else 0 * construction.says
    other = dataclasses.replace(construction, says=np.broadcast_to(mean, construction.says.shape))
    assert (np.asarray(run(other.inputs())).argmax(-1) == target).all()
    assert scores(other, target).mean() == pytest.approx(full.mean(), rel=0.1)


def test_truth_by_hand():
    # Weights 3/4 and 1/4 on two keys that say 4 and 12 for the class: 3 each, centered 2 each.
    construction = simple(np.log([3, 1]), [4, 12])
    parts = contributions(construction, np.array([0, 1]))
    np.testing.assert_allclose(parts[:, :3], [[2, 2, 0]] * 2, atol=1e-9)
    result = truth(construction)
    assert result.overlap == pytest.approx(0.75)
    assert result.top == pytest.approx(1)
    # The score is 4; that of the mean of both examples, (3, 3, 0), is 1.
    assert result.share == pytest.approx(0.75)
    assert result.label == "faithful"


def test_saturated_keys_share_what_they_say_together():
    # Two keys say 6 each with half the weight, where 4 is the limit: 4 tanh(6 / 4) in all.
    construction = simple([0, 0], [6, 6], limit=4.0)
    parts = contributions(construction, np.array([0, 1]))
    each = 4 * np.tanh(1.5) * (2 / 3) / 2
    np.testing.assert_allclose(parts[:, :3], [[each, each, 0]] * 2, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    ("name", "example"),
    {
        "whole": "11111111111 11111111111",
        "padded": "11111110000 11111110000",
        "packed": "00011111111 00011111111",
        "causal": "11111100000 11111111000",
        "windowed": "01111111000 00111111100",
    }.items(),
)
def test_masks_look_like_their_names(name, example):
    drawn = MASKS[name](np.random.default_rng(0), 500)
    rows = {" ".join("".join(map(str, row)) for row in each) for each in drawn.astype(int)}
    assert example in rows
    assert drawn.all(1).sum(-1).min() >= 6
    # No mask has holes.
    assert all("01" not in row.strip("0") for both in rows for row in both.split())


@pytest.mark.parametrize("name", ["causal", "windowed_alike", "sparse", "sink"])
def test_what_a_query_may_not_see_changes_nothing(name):
    construction = grammar.draw(3, EXAMPLES, name).construction
    unseen = ~np.any(construction.sees, 1)
    says = np.where(unseen[:, None, :, None], 1e4, construction.says)
    look = construction.look + 99.0 * ~construction.sees[:, None]
    other = dataclasses.replace(construction, says=says, look=look)
    np.testing.assert_allclose(run(other.inputs()), run(construction.inputs()), rtol=1e-5)


def test_taps_carry_masks_only_if_the_model_tells_them():
    inputs = grammar.draw(3, 5, "causal").construction.inputs()

    def visible(tells_masks):
        pairs = []
        edit = {"look.weights": lambda weights, site: pairs.append(site.visible()) or weights}
        fn = functools.partial(answer, tells_masks=tells_masks)
        intervene(fn, edit)(inputs)
        return pairs[0]

    expected = np.broadcast_to(inputs["sees"][:, None], (5, HEADS, QUERIES, KEYS))
    np.testing.assert_array_equal(np.broadcast_to(visible(True), expected.shape), expected)
    assert visible(False) is None


def test_the_seed_decides_everything():
    first, again = grammar.draw(7), grammar.draw(7)
    for name, array in first.construction.inputs().items():
        np.testing.assert_array_equal(array, again.construction.inputs()[name])
    assert first.truth == again.truth
    other = grammar.draw(7 + len(grammar.KINDS))
    assert other.kind == first.kind
    assert np.any(other.construction.look != first.construction.look)


def test_there_are_kinds_of_each_truth():
    labels = [kind.label for kind in grammar.KINDS]
    assert len(set(KINDS)) == len(labels) >= 20
    assert min(labels.count(label) for label in ("faithful", "misleading", "ignored")) >= 5
