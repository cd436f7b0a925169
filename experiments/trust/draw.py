"""What all constructions are drawn from: sentences in which one key is the evidence."""

import numpy as np

from experiments.trust.construction import CLASSES, HEADS, KEYS, QUERIES, STILL, Construction
from experiments.trust.masks import MASKS

NO_LIMIT = 1e4
DECISIVE = 6.0
"""What evidence says for its class where a kind does not draw it."""


class Draw:
    """Sentences drawn by seed, and the vocabulary in which the kinds are written.

    Attributes:
        rng: Draws whatever else a kind needs.
        examples: The number of sentences.
        sees: Which keys each query may see, (n, q, k).
        count: How many keys all queries see, (n, 1); the deciding ones are among these.
        behind: How many of these stand between the evidence and each, in a circle; negative at
            other keys, (n, k).
        evidence: One-hot, the key that says the class, (n, k).
        label: One-hot, the class, (n, 1, c).
        votes: The class of the evidence there, and a random class at other keys, (n, k, c).
    """

    def __init__(
        self, rng: np.random.Generator, examples: int, mask: str = "whole", start: int = 0
    ) -> None:
        self.rng, self.examples, self.mask = rng, examples, mask
        self.sees = MASKS[mask](rng, examples)
        common = self.sees.all(1)
        self.count = common.sum(-1, keepdims=True)
        self.place = np.where(common, common.cumsum(-1) - 1, -1)
        number = rng.integers(start, self.count)
        self.behind = np.where(common, (self.place - number) % self.count, -1)
        self.evidence = self.other(0)
        self.label = np.eye(CLASSES)[rng.integers(0, CLASSES, (examples, 1))]
        others = np.eye(CLASSES)[rng.integers(0, CLASSES, (examples, KEYS))]
        self.votes = np.where(self.evidence[..., None] == 1, self.label, others)

    def sparing_first(self) -> "Draw":
        """Return other sentences, in which the first key is never the evidence."""
        return Draw(self.rng, self.examples, self.mask, start=1)

    def between(self, low: float, high: float) -> float:
        """Draw a number."""
        return float(self.rng.uniform(low, high))

    def other(self, steps: int = 1) -> np.ndarray:
        """Return one-hot keys that stand some places behind the evidence, (n, k)."""
        return (self.behind == steps).astype(float)

    def first(self) -> np.ndarray:
        """Return one-hot the first key that all queries see, (n, k)."""
        return (self.place == 0).astype(float)

    def elsewhere(self, draws: int) -> np.ndarray:
        """Return one-hot random keys other than the evidence, (n, draws, k)."""
        steps = self.rng.integers(1, self.count, (self.examples, draws))
        return (self.behind[:, None] == steps[..., None]).astype(float)

    def noise(self, low: float, high: float) -> np.ndarray:
        """Draw noise for the look of keys, of a drawn strength, (n, k)."""
        return self.between(low, high) * self.rng.normal(size=self.evidence.shape)

    def only(self, places: np.ndarray) -> np.ndarray:
        """Return the votes of some keys, and nothing at the others, (n, k, c)."""
        return places[..., None] * self.votes

    def around(self, strength: float) -> np.ndarray:
        """Return evidence that passes around the attention, (n, k, c)."""
        return strength * self.only(self.evidence)

    def weights(self, look: np.ndarray) -> np.ndarray:
        """Return the mean weights that a look (n, k) leads to; what no query sees counts as one."""
        shown = np.where(self.sees, look[:, None], -np.inf)
        powers = np.exp(shown - shown.max(-1, keepdims=True))
        weights = (powers / powers.sum(-1, keepdims=True)).mean(1)
        return np.where(self.sees.any(1), weights, 1)

    def model(self, look: np.ndarray, says: np.ndarray, **more: np.ndarray | float) -> Construction:
        """Return a construction.

        Args:
            look: The look of all heads and queries, (n, k), or of each, (n, h, q, k).
            says: What keys say to all heads, (n, k, c), or to each, (n, h, k, c).
            more: Other fields of `Construction`, where they differ from the usual.

        Returns:
            The construction; what is hidden from a query draws its weight, and what is hidden from
            both speaks as loud as the loudest.
        """
        n = self.examples
        look = look[:, None, None] if look.ndim == 2 else look
        says = says[:, None] if says.ndim == 3 else says
        look = np.broadcast_to(look, (n, HEADS, QUERIES, KEYS)).copy()
        says = np.broadcast_to(says, (n, HEADS, KEYS, CLASSES)).copy()
        look += ~self.sees[:, None] * look.max() * self.rng.random((n, 1, QUERIES, KEYS))
        hidden = ~np.any(self.sees, 1)[:, None, :, None]
        says = np.where(hidden, max(np.abs(says).max(), 1.0) * self.votes[:, None], says)
        usual = {
            "around": np.zeros((n, KEYS, CLASSES)),
            "seek": np.zeros((n, KEYS)),
            "offer": np.zeros((n, KEYS)),
            "read": np.full((n, HEADS, QUERIES), 1 / (HEADS * QUERIES)),
            "sees": self.sees,
            "stay": np.full(n, STILL),
            "limit": np.full(n, NO_LIMIT),
            "scale": np.ones(n),
        }
        given = {name: np.broadcast_to(more[name], usual[name].shape) for name in more}
        return Construction(look=look, says=says, **(usual | given))
