"""The softmaxes of a program, whose derivative AttnLRP leaves as it is."""

from collections.abc import Iterator

from attn_jax.hooks.attention.axes import PASSIVE, origins
from attn_jax.hooks.attention.graph import Graph, Op, Value
from attn_jax.hooks.attention.normalizers import Normalization, normalizations


class Softmaxes:
    """The operations between scores and weights.

    Attributes:
        ops: All of them, but the products of `late`.
        late: For a product with values that is divided by the sum only afterwards, the exponential
            and the factor that it enters.
    """

    def __init__(self, graph: Graph) -> None:
        self.ops = set[Op]()
        self.late = dict[Op, tuple[Op, Value]]()
        for each in normalizations(graph):
            if each.kind == "softmax":
                self.ops |= set(_between(each))
                if each.product and each.exponential:
                    self.late[each.product] = each.exponential, _factor(each)
        self.ops -= set(self.late)


def _between(softmax: Normalization) -> Iterator[Op]:
    """Yield the operations on every way from the scores to the weights."""
    starts = [v for v in (softmax.scores, softmax.twin) if v is not None]
    after, values = set[Op](), list(starts)
    while values:
        users = [op for op in values.pop().users if op not in after and op is not softmax.op]
        after.update(users)
        values += [v for op in users for v in op.outputs]
    yield softmax.op
    between, pending = {softmax.op}, [softmax.op]
    while pending:
        before = {v.producer for v in pending.pop().inputs if v not in starts}
        new = [op for op in before if op in after and op not in between]
        between.update(new)
        pending += new
        yield from new


def _factor(softmax: Normalization) -> Value:
    """Return the factor of a product with values that the exponentials become."""
    assert softmax.product is not None
    left, right = softmax.product.inputs
    return left if softmax.exponential in origins(left, {"exp", "exp2"}, PASSIVE) else right
