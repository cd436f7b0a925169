"""Path patching: what one head changes by way of named others."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Array

from attn_jax.circuits.checks import check_same_shapes, scored
from attn_jax.circuits.heads import replace_each_head
from attn_jax.circuits.scores import Scores
from attn_jax.circuits.sites import (
    Metric,
    Model,
    Pattern,
    as_patterns,
    find_places,
    names_of,
)
from attn_jax.hooks import HookError, capture, hook_points, intervene, patch
from attn_jax.hooks.freed import run_freed


def path_patching(
    fn: Model,
    clean: Any,
    corrupted: Any,
    metric: Metric,
    receivers: Pattern | Mapping[str, Sequence[int] | None],
    *,
    senders: Pattern | None = None,
    frozen: Pattern = "*.context",
    batch_size: int | None = None,
) -> Scores:
    """Return how a metric changes if receivers see one sender head of the corrupted run, for each.

    For each sender the model runs on the clean inputs with all heads frozen at their clean values,
    but the sender at its corrupted one; the receivers' values of this run are then put into a clean
    run. So only the paths from the sender to the receivers that go through no other head count.

    Args:
        fn: The model.
        clean: The inputs for which it does what is to be explained.
        corrupted: Inputs of the same shapes for which it does not.
        metric: A function from its output to a scalar.
        receivers: The hook points that the paths lead to, such as `layers.9.attention.query`, or a
            mapping from them to the heads that are meant (None for all). `layers.11.residual_out`,
            the last residual stream, stands for the logits.
        senders: The hook points `context` that the paths begin at; by default all that come before
            the last receiver.
        frozen: The hook points that stay as in the clean run. Feed-forward networks are computed
            anew, as in the paper; add `*.mlp` to freeze them too.
        batch_size: How many senders are tried at once; if None, as many as half a gigabyte holds.

    Returns:
        The metric of the patched run minus that of the clean run, with the axes `layer` and `head`
        of the senders.

    Raises:
        HookError: If the model has no such hook points, or a sender comes after all receivers.
        ValueError: If the inputs differ in shape, or the metric is no scalar.

    References:
        Wang et al., "Interpretability in the Wild", 2022, section 3.1 and appendix B,
        https://arxiv.org/abs/2211.00593; Goldowsky-Dill et al., "Localizing Model Behavior with
        Path Patching", 2023, https://arxiv.org/abs/2304.05969.
    """
    check_same_shapes(clean, corrupted)
    use = "path_patching"
    heads_of = _heads_by_pattern(receivers)
    ends = [p.point.name for p in find_places(fn, clean, list(heads_of), use=use)]
    fixed = [p.point.name for p in find_places(fn, clean, frozen, use=use)]
    starts = find_places(fn, clean, "*.context" if senders is None else senders, use=use)
    order = [point.name for point in hook_points(fn)(clean)]
    last = max(map(order.index, ends))
    early = [place for place in starts if order.index(place.point.name) < last]
    if not early or (senders is not None and len(early) < len(starts)):
        late = next(place.point.name for place in starts if place not in early)
        raise HookError(f"the sender {late!r} comes after the last receiver, {order[last]!r}.")

    starting = [place.point.name for place in early]

    def effects(clean: Any, corrupted: Any) -> Array:
        _, old = capture(fn, list(dict.fromkeys([*fixed, *starting])))(clean)
        _, new = capture(fn, starting)(corrupted)
        held = intervene(fn, dict.fromkeys(fixed, patch(old)))

        def score(edited: Model) -> Array:
            _, received = capture(edited, list(heads_of))(clean)
            edits = {name: patch(received, heads=heads) for name, heads in heads_of.items()}
            return scored(metric, clean)(intervene(fn, edits))

        whole = scored(metric, clean)(fn)
        return replace_each_head(score, held, early, new, batch_size) - whole

    return Scores(run_freed(effects, clean, corrupted), ("layer", "head"), names_of(early))


def _heads_by_pattern(
    receivers: Pattern | Mapping[str, Sequence[int] | None],
) -> dict[str, np.ndarray | None]:
    if not isinstance(receivers, Mapping):
        return dict.fromkeys(as_patterns(receivers))
    return {p: None if heads is None else np.asarray(heads) for p, heads in receivers.items()}
