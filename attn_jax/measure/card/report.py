"""The report card of a model's attention."""

from collections.abc import Sequence
from typing import Any, Literal

import jax
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from attn_jax.measure import agreement, reweigh
from attn_jax.measure.card import checks, notes, verdicts
from attn_jax.measure.card.estimate import announce
from attn_jax.measure.card.inputs import Places, find_places, has_keys, resample_keys
from attn_jax.measure.card.judged import Plan, Resample
from attn_jax.measure.card.lines import card_lines
from attn_jax.measure.card.noise import draw
from attn_jax.measure.card.program import compile_measures
from attn_jax.measure.card.result import ReportCard
from attn_jax.measure.card.visible import Visible
from attn_jax.measure.scoring import Metric, Scoring

FEW_ENOUGH = 512
"""The number of keys up to which the effects of heads are compared, for which all maps are held."""


def report_card(
    fn: reweigh.Model,
    inputs: Any,
    *,
    attention: reweigh.Pattern = "*.weights",
    target: Int[Array, "n *p"] | np.ndarray | None = None,
    mask: Bool[Array, "n k"] | np.ndarray | None = None,
    objects: Bool[Array, "n k"] | np.ndarray | None = None,
    query: int | None = None,
    normalized: bool = True,
    rng: PRNGKeyArray | None = None,
    layers: Sequence[int] | None = None,
    heads: Sequence[int] | None = None,
    values: Float[Array, "n k"] | np.ndarray | None = None,
    visible: Visible = "operands",
    metric: Metric = "logit",
    foil: Int[Array, "n *p"] | np.ndarray | None = None,
    position: int | None = None,
    resample: Resample | Literal["auto"] | None = "auto",
    adversarial: bool | None = None,
    randomization: bool = False,
) -> ReportCard:
    """Judge how far a map of attention explains a model's predictions.

    The card answers three questions, each by runs of the model with other weights or inputs:

    - *Does the output depend on this attention?* How much of the score is lost if the context is
      replaced by its mean over the batch, and how much the output changes if the keys that a query
      sees exchange their weights.
    - *Does the map's ranking find what matters?* How fast the score falls if keys are removed in
      the map's order, on a scale from random orders to the best order found; and the same if the
      inputs at the keys are replaced by those of another example.
    - *Does the map's mass show how much?* How far the map and the contributions of the keys
      overlap, and whether the map's top key has much more mass than it contributes.

    The *score* of an example is the target's logit less the mean over all classes. All deciding
    numbers are ratios of scores, so that the verdict does not depend on the scale of the logits.
    They are compared with their thresholds by permutation tests, corrected for their number. With
    fewer than 20 examples no verdict is firm.

    Unless another map is given, the map is the mean weight that each key receives over all
    queries, heads and matching layers, and the card says so.

    Args:
        fn: A deterministic function from a batch of inputs to logits, `(n, classes)`, or `(n, 1)`
            or `(n,)` for a binary classifier with one logit, which counts as two classes, or
            `(n, tokens, vocabulary)` for a language model. Its attention weights `(n, ..., q, k)`
            have hook points. Pass the same function object again to avoid compiling again.
        inputs: A batch of inputs, any pytree of arrays.
        attention: The hook points that hold the weights: a glob, or several.
        target: The class to explain for each example; the predicted one by default. For a language
            model the token at `position`, or one at each position, `(n, tokens)`; positions with a
            negative target do not count.
        mask: True for the keys that exist, where sequences are padded.
        objects: True for the keys of the object to look at; adds two lines.
        query: The index of one query whose weights are the map, instead of the mean over all;
            `position`, if that is given.
        normalized: Whether rows of weights sum to one (or are all zero).
        rng: Random key for the random orders and the search; key 0 by default.
        layers: The layers to judge, by their number among the matching hook points; all by
            default. Only their weights are edited.
        heads: The heads to judge in these layers; all by default.
        values: Any other map to judge, such as rollout, relevance, or gradients.
        visible: What hides keys, to which no edit gives weight. `"operands"` reads the masks of
            each attention: causality, windows, padding, segments; where a hook point carries none,
            as those of `tap_attention`, a weight of exactly zero counts as hidden. `"nonzero"`
            takes all zeros for hidden. `"mask"` lets every query see all keys of `mask`, for
            attention without masks whose weights may be zero, as sparsemax.
        metric: The score: `"logit"`, `"log_probability"`, or `"logit_difference"` from the foil.
        foil: The class that the target is compared with.
        position: For a language model, the position whose prediction is judged; the mean over
            all by default.
        resample: How the inputs at keys are replaced: a function of inputs, the keys to keep
            `(n, k)` and other inputs. By default, arrays with axes `(n, k, ...)` are replaced
            key by key; None leaves the test out.
        adversarial: Whether to search for the most different weights with the same output; by
            default, for classifiers. True prints how long the search will take.
        randomization: Whether to compare with the map of the model with shuffled parameters. How
            long that will take is printed too.

    Returns:
        The card. It prints as a table and renders itself in a notebook.

    Raises:
        HookError: If `attention` matches no hook point, or one that cannot be edited.
        ValueError: If the weights are not distributions, the mask leaves an example without keys,
            the model is not deterministic, its logits are not finite or have the wrong shape, the
            score is constant, a map gives mass to hidden keys, or the target, the objects, the
            layers, heads, query or position do not fit.

    Example:
        >>> from attn_jax import hooks
        >>> def fn(x):  # classifies by the keys that it attends to
        ...     weights = hooks.tap("look.weights", jax.nn.softmax(3 * x[..., 0]))
        ...     return 5 * jnp.einsum("nk,nkc->nc", weights, x)
        >>> x = jax.random.normal(jax.random.key(1), (40, 11, 2))
        >>> card = report_card(fn, x)
        >>> card.answers["depends"].reads
        'supports'

    References:
        Jain and Wallace, "Attention is not Explanation", 2019, https://arxiv.org/abs/1902.10186;
        Wiegreffe and Pinter, "Attention is not not Explanation", 2019,
        https://arxiv.org/abs/1908.04626; DeYoung et al., "ERASER", 2020,
        https://arxiv.org/abs/1911.03429; Petsiuk et al., "RISE", 2018,
        https://arxiv.org/abs/1806.07421; Edin et al., "Normalized AOPC", 2025,
        https://arxiv.org/abs/2408.08137; Adebayo et al., "Sanity Checks for Saliency Maps", 2018,
        https://arxiv.org/abs/1810.03292.
    """
    rng = jax.random.key(0) if rng is None else rng
    patterns = (attention,) if isinstance(attention, str) else tuple(attention)
    scoring = Scoring(metric, position)
    places = find_places(fn, inputs, patterns, layers)
    sizes = checks.sizes(fn, inputs, places.attention or patterns, scoring)
    exists = np.ones((sizes.examples, sizes.keys), bool) if mask is None else np.asarray(mask, bool)
    checks.check_mask(exists, (sizes.examples, sizes.keys))
    if objects is not None:
        agreement.check_objects(np.shape(objects), exists.shape)
        objects = np.asarray(objects, bool)
    checks.check_choice(places, heads, query)
    target = checks.classes("target", target, sizes)
    foil = checks.classes("foil", foil, sizes)
    checks.check_metric(metric, foil)
    values = checks.checked_map(values, exists.shape)
    if adversarial and not sizes.is_classifier:
        raise ValueError(
            f"adversarial=True needs one output for each example, and fn returns {sizes.tokens}; "
            "leave the search out, or let fn return the logits at one token."
        )

    if query is None and position is not None and places.queries == sizes.tokens:
        query = position
    plan = Plan(
        places.attention,
        # The mean over a single example is that example.
        places.contexts if sizes.examples > 1 else (),
        None if heads is None else tuple(heads),
        query,
        visible,
        scoring,
        _resampling(resample, inputs, exists.shape),
        sizes.is_classifier if adversarial is None else adversarial,
        randomization,
        heads is None and places.heads * places.layers > 1 and sizes.keys <= FEW_ENOUGH,
    )
    announce(fn, inputs, adversarial=bool(adversarial), randomization=randomization)
    run, noise = compile_measures(fn, plan), draw(rng, exists.shape)
    results = jax.device_get(run(inputs, exists, target, foil, objects, values, noise))
    checks.check_ran(results[0], normalized)
    return _card(results, plan, places, exists, rng, values is not None)


def _card(
    results: Any,
    plan: Plan,
    places: Places,
    exists: np.ndarray,
    rng: PRNGKeyArray,
    is_given: bool,
) -> ReportCard:
    ran, measures = results
    read = verdicts.tests(measures)
    answers = verdicts.answer(measures, read)
    reads, verdict = verdicts.overall(answers, len(exists))
    seed = tuple(np.asarray(jax.random.key_data(rng)).ravel().tolist())
    return ReportCard(
        verdict,
        reads,
        answers,
        card_lines(measures, read),
        notes.notes(plan, places, measures, ran, exists, is_given),
        len(exists),
        exists.shape[1],
        seed,
        plan.attention,
    )


def _resampling(
    resample: Resample | Literal["auto"] | None, inputs: Any, sizes: tuple[int, ...]
) -> Resample | None:
    if sizes[0] < 2:
        return None
    if resample != "auto":
        return resample
    has_axis = any(has_keys(leaf, sizes) for leaf in jax.tree.leaves(inputs))
    return resample_keys if has_axis else None
