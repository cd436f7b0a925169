"""What a card is asked to judge: heads, layers, positions, any map; and what it must refuse."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import softmax

from attn_jax import hooks, measure

N, H, K, C = 64, 3, 7, 3


def drawn(seed=0):
    """One key decides, and the first of three heads looks at it; the others look at a decoy."""
    rng = np.random.default_rng(seed)
    place, label = rng.integers(0, K, N), rng.integers(0, C, N)
    decides = np.eye(K)[place]
    says = np.eye(C)[np.where(decides == 1, label[:, None], rng.integers(0, C, (N, K)))]
    decoy = np.roll(decides, 3, 1)
    weights = np.stack([softmax(5 * m, -1) for m in (decides, decoy, decoy)], 1)
    values = np.zeros((N, H, K, C))
    values[:, 0] = 6 * says
    arrays = {"weights": weights[:, :, None], "values": values, "decides": decides}
    return {name: jnp.asarray(each, jnp.float32) for name, each in arrays.items()}


def votes(inputs):
    weights = hooks.tap("look.weights", inputs["weights"])
    context = jnp.einsum("nhqk,nhkc->nqhc", weights, inputs["values"])
    return hooks.tap("look.context", context)[:, 0].sum(1)


INPUTS = drawn()


def test_idle_heads_that_are_averaged_in_are_noticed():
    card = measure.report_card(votes, INPUTS)
    assert card.reads == "against"
    assert card.answers["depends"].reads == "supports"
    assert card.answers["mass"].reads == "against"
    assert any(note.startswith("2 of these 3 heads have less than a tenth") for note in card.notes)


def test_inputs_without_any_effect_are_no_evidence():
    # Only `decides` has an axis of keys, and the model does not read it.
    card = measure.report_card(votes, INPUTS, heads=[0], adversarial=False)
    assert card.answers["ranks"].words.endswith("replacing inputs at the keys changes nothing")
    assert not np.isfinite(card["inputs"].value)
    assert card["leave_one_out"].reads == "supports"


@pytest.mark.parametrize("moves", [False, True])
def test_what_a_model_says_without_its_evidence_hangs_on_no_other_key(moves):
    """Without its evidence the model turns to class 0, and loses more than its whole score."""
    rng = np.random.default_rng(0)
    words = np.where(np.eye(K)[rng.integers(0, K, N)] == 1, rng.integers(1, C, (N, 1)), 0)

    def fn(words):
        weights = jax.nn.softmax(6.0 * (words > 0))
        says = jax.nn.one_hot(words, C)
        if moves:
            weights, says = (jnp.roll(each, 1, 1) for each in (weights, says))
        weights = hooks.tap("look.weights", weights)
        return 6 * hooks.tap("look.context", jnp.einsum("nk,nkc->nc", weights, says))

    card = measure.report_card(fn, words, adversarial=False)
    assert card.reads == ("against" if moves else "supports"), str(card)
    assert card["inputs"].value > 0.9 if moves else card["inputs"].value < 0.02


@pytest.mark.parametrize(("head", "reads"), [(0, "supports"), (1, "against")])
def test_one_head_can_be_judged(head, reads):
    card = measure.report_card(votes, INPUTS, heads=[head])
    assert card.reads == reads, str(card)
    # Only the first head has values, and its mean over the batch says nothing.
    context = np.einsum("nhqk,nhkc->nhc", INPUTS["weights"], INPUTS["values"])
    centred = context - context.mean(-1, keepdims=True)
    target = context.sum(1).argmax(-1)
    own = centred[np.arange(N), head, target]
    mean = centred[:, head].mean(0)[target]
    score = centred.sum(1)[np.arange(N), target]
    assert card["through"].value == pytest.approx((own - mean).mean() / score.mean(), abs=1e-5)


def test_any_map_can_be_judged():
    right = measure.report_card(votes, INPUTS, values=INPUTS["decides"])
    assert right.reads == "supports", str(right)
    assert right.notes[0] == "The map was given."
    wrong = measure.report_card(votes, INPUTS, values=jnp.roll(INPUTS["decides"], 1, 1))
    assert wrong.reads == "against", str(wrong)


def test_the_table_of_all_heads_agrees_with_closed_forms():
    cards = measure.report_cards(votes, INPUTS)
    assert cards.is_idle.tolist() == [[False, True, True]]
    assert [cards.reads(0, head) for head in range(H)] == ["supports", "against", "against"]
    logits = np.einsum("nhqk,nhkc->nc", INPUTS["weights"], INPUTS["values"])
    target = logits.argmax(-1)
    effects = np.einsum("nk,nkc->nkc", INPUTS["weights"][:, 0, 0], INPUTS["values"][:, 0])
    effects = (effects - effects.mean(-1, keepdims=True))[np.arange(N), :, target]
    size = np.abs(effects)
    overlap = np.minimum(INPUTS["weights"][:, 0, 0], size / size.sum(-1, keepdims=True)).sum(-1)
    expected = (size.sum(-1) * overlap).sum() / size.sum()
    assert cards.overlap[0, 0] == pytest.approx(expected, abs=1e-5)
    assert cards.share[0].tolist() == pytest.approx([1, 0, 0], abs=1e-5)
    assert str(cards).endswith("2 of 3 heads are idle.")


LAYERS = 7
"""More than the groups of layers whose heads are ablated together."""


def stack(xp, inputs, edit):
    """Return logits of the first token after layers that each read what the one before wrote."""
    x = inputs["x"]
    for layer in range(LAYERS):
        weights = edit(f"{layer}.weights", inputs["weights"][:, layer])
        context = edit(f"{layer}.context", xp.einsum("nhqk,nkhd->nqhd", weights, x))
        x = x + xp.tanh(xp.einsum("nqhd,hdje->nqje", context, inputs["mix"][0, layer]))
    return x[:, 0].sum(1)


def test_heads_of_many_layers_are_ablated_one_by_one():
    rng, (n, t, d) = np.random.default_rng(2), (5, 3, 4)
    inputs = {
        "x": rng.normal(size=(n, t, 2, d)),
        "weights": softmax(rng.normal(size=(n, LAYERS, 2, t, t)), -1),
        "mix": np.repeat(rng.normal(0, 0.5, (1, LAYERS, 2, d, 2, d)), n, 0),
    }
    given = {name: jnp.asarray(each, jnp.float32) for name, each in inputs.items()}
    cards = measure.report_cards(lambda inputs: stack(jnp, inputs, hooks.tap), given)

    whole = stack(np, inputs, lambda name, value: value)
    target = whole.argmax(-1)

    def score(logits):
        return (logits[np.arange(n), target] - logits.mean(-1)).mean()

    def without(layer, head):
        def edit(name, value):
            if name == f"{layer}.context":
                value = value.copy()
                value[:, :, head] = value[:, :, head].mean(0)
            return value

        return score(stack(np, inputs, edit))

    lost = [[1 - without(i, j) / score(whole) for j in range(2)] for i in range(LAYERS)]
    np.testing.assert_allclose(cards.ablation, lost, rtol=0, atol=1e-5)


def test_what_is_asked_for_by_name_says_how_long_it_takes(capsys):
    kernel = jnp.array(np.random.default_rng(3).normal(size=(C, C)), jnp.float32)

    def learned(inputs):
        return votes(inputs) @ kernel

    measure.report_card(learned, INPUTS, heads=[0], adversarial=True, randomization=True)
    assert re.fullmatch(
        r"The adversarial search takes about \d+\.\d s, as long as 216 runs\.\n"
        r"The randomization test takes about \d+\.\d s, as long as 2 runs\.\n",
        capsys.readouterr().out,
    )


def language_model(inputs):
    """Look back for the token, among those before, of the class that the last token asks for."""
    weights = hooks.tap("look.weights", inputs["weights"])
    return jnp.einsum("nhqk,nkc->nqc", weights, inputs["values"])


def causal(future, spread=0.0):
    """Draw causal attention; what lies in the future has values of its own."""
    rng = np.random.default_rng(1)
    visible = np.tril(np.ones((K, K), bool))
    place = rng.integers(0, 3, N)
    decides = np.eye(K)[place]
    scores = np.where(visible, 4 * decides[:, None], -np.inf)
    label = rng.integers(0, C, N)
    values = 6 * np.eye(C)[label][:, None] * np.ones((N, K, 1))
    other = np.eye(C)[rng.integers(0, C, (N, K))]
    is_decider = decides[..., None] == 1
    values = np.where(is_decider, values, (1 - spread) * values + spread * 6 * other)
    values = np.where(
        (np.arange(K) > 3)[None, :, None], future * np.eye(C)[(label + 1) % C][:, None], values
    )
    arrays = {"weights": softmax(scores, -1)[:, None], "values": values}
    return {name: jnp.asarray(each, jnp.float32) for name, each in arrays.items()}


def test_no_edit_gives_weight_to_keys_that_a_causal_mask_hides():
    # All visible keys say the same, so that no exchange between them changes anything.
    card = measure.report_card(language_model, causal(future=8.0), position=3)
    assert card["permuted"].value < 1e-3
    assert card.answers["depends"].reads == "against"
    assert "from query 3" in card.notes[0]
    assert card.notes[1].endswith("Up to 3 keys of an example are hidden from query 3.")


def test_a_position_of_a_language_model_is_judged_by_what_it_sees():
    card = measure.report_card(language_model, causal(future=50.0, spread=1.0), position=3)
    assert card.reads == "supports", str(card)


def test_all_positions_are_judged_with_teacher_forcing():
    inputs = causal(future=0.0)
    target = np.full((N, K), -1)
    target[:, 2:4] = np.asarray(inputs["values"])[:, :1].argmax(-1)
    card = measure.report_card(language_model, inputs, target=target)
    logits = np.asarray(language_model(inputs))
    centred = (logits - logits.mean(-1, keepdims=True))[:, 2:4]
    score = np.take_along_axis(centred, target[:, 2:4, None], -1)[..., 0].mean(1)
    # Without weights the logits are all zero, and the whole score is lost.
    assert card["through"].value == pytest.approx(1.0, abs=1e-6)
    assert score.mean() > 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"heads": [3]}, "heads=[3] must be from 0 to 2: the weights have 3 heads"),
        ({"layers": [1]}, "has layer 1, but attention matches 1 layers"),
        ({"query": 4}, "query=4 is out of range: the weights have 1 queries"),
        ({"position": 0}, "position=0 needs a model with an output at each token"),
        ({"values": np.ones((N, 2))}, f"values has shape ({N}, 2)"),
        ({"metric": "logit_difference"}, "a logit difference needs a foil"),
        ({"foil": np.zeros(N, int)}, "a logit difference needs a foil"),
    ],
)
def test_choices_that_do_not_fit_are_refused(options, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        measure.report_card(votes, INPUTS, **options)


def test_a_map_with_mass_on_hidden_keys_is_refused():
    with pytest.raises(ValueError, match="to keys that no query sees"):
        measure.report_card(
            language_model, causal(future=0.0), position=3, values=np.ones((N, K), np.float32)
        )


def test_a_position_out_of_range_is_refused():
    with pytest.raises(ValueError, match="position=9 is out of range: the model has outputs at 7"):
        measure.report_card(language_model, causal(future=0.0), position=9)
