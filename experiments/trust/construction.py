"""One model for all constructions: what each is, is data, so that one compiled program serves all.

A *construction* is a batch of sentences whose tokens carry numbers: how much weight a token draws,
what it says to the attention, and what it says on a path around the attention. The model

    weights = softmax(look)            over the keys that a query may see, `sees`
    values  = early @ says             an earlier layer may move what tokens say to other places
    logits  = scale * (saturate(read · weights @ values) + sum of around)

takes all of this from its inputs, its masks too. Axes: n examples, h heads, q queries, k keys,
c classes.
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from attn_jax.hooks import tap

HEADS, QUERIES, KEYS, CLASSES = 5, 2, 11, 3

STILL = 60.0
"""The score of a token for itself in the earlier layer at which nothing moves."""

Inputs = dict[str, np.ndarray]


@dataclasses.dataclass(frozen=True)
class Construction:
    """The numbers of a model, an example a row.

    Attributes:
        look: How much weight each key draws, before the softmax, (n, h, q, k).
        says: What each key says for each class, (n, h, k, c).
        around: What each key says around the attention, (n, k, c).
        seek: The keys that the earlier layer moves something to, (n, k).
        offer: The keys that it moves something from, (n, k).
        read: How much each head and query counts, (n, h, q).
        sees: Which keys each query may see, (n, q, k).
        stay: The score of a token for itself in the earlier layer, (n,).
        limit: Where what attention says saturates, (n,).
        scale: The scale of the logits, (n,).
    """

    look: np.ndarray
    says: np.ndarray
    around: np.ndarray
    seek: np.ndarray
    offer: np.ndarray
    read: np.ndarray
    sees: np.ndarray
    stay: np.ndarray
    limit: np.ndarray
    scale: np.ndarray

    def inputs(self) -> Inputs:
        """Return the model's inputs; only `tokens` has an axis of keys, its second."""
        n, _, _, k = self.look.shape
        parts = (
            np.moveaxis(self.look, -1, 1).reshape(n, k, -1),
            np.moveaxis(self.says, 2, 1).reshape(n, k, -1),
            self.around,
            self.seek[..., None],
            self.offer[..., None],
        )
        settings = ("read", "stay", "limit", "scale")
        arrays = {"tokens": np.concatenate(parts, -1)} | {x: getattr(self, x) for x in settings}
        floats = {name: np.asarray(array, np.float32) for name, array in arrays.items()}
        return floats | {"sees": np.asarray(self.sees, bool)}


def answer(inputs: dict[str, Array], *, tells_masks: bool = True) -> Float[Array, "n c"]:
    """Return the logits of a construction.

    Its hook points are `early.weights` (n, k, k), `look.weights` (n, h, q, k) and `look.context`
    (n, q, h, c).

    Args:
        inputs: What `Construction.inputs` returns.
        tells_masks: Whether the taps carry the masks as operands. If not, zeros are all that an
            edit can go by, as in a model that `tap_attention` found.

    Returns:
        The logits (n, c).
    """
    tokens, sees = inputs["tokens"], inputs["sees"]
    n, k, _ = tokens.shape
    ends = np.cumsum([HEADS * QUERIES, HEADS * CLASSES, CLASSES, 1])
    look, says, around, seek, offer = jnp.split(tokens, ends, -1)
    look = look.reshape(n, k, HEADS, QUERIES)
    says = says.reshape(n, k, HEADS, CLASSES)

    early = (
        2 * STILL * seek * offer.swapaxes(1, 2) + inputs["stay"][:, None, None] * jnp.eye(k)[None]
    )
    present = sees.any(1)[:, None]
    given = present if tells_masks else None
    early = tap("early.weights", jax.nn.softmax(early, where=present), visible=given)
    values = jnp.einsum("nkj,njhc->nkhc", early, says)

    visible = sees[:, None]
    given = visible if tells_masks else None
    scores = jnp.einsum("nkhq->nhqk", look)
    weights = tap("look.weights", jax.nn.softmax(scores, where=visible), visible=given)
    context = tap("look.context", jnp.einsum("nhqk,nkhc->nqhc", weights, values))

    limit = inputs["limit"][:, None]
    attended = jnp.einsum("nqhc,nhq->nc", context, inputs["read"])
    attended = limit * jnp.tanh(attended / limit)
    return inputs["scale"][:, None] * (attended + around.sum(1))
