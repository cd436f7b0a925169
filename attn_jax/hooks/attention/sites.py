"""The attention of a program: its sites, their names, and where their taps belong."""

import dataclasses
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Literal

from attn_jax.hooks.attention.axes import PASSIVE, Atom, Labels, fresh, origins, reach
from attn_jax.hooks.attention.graph import Graph, Kernel, Level, Op, Value
from attn_jax.hooks.attention.normalizers import Normalization, normalizations
from attn_jax.hooks.attention.products import Product, Roles, find_product, roles_of

_TO_WEIGHTS = PASSIVE | {"exp", "exp2", "logistic"}
_LAST = ("last",)


@dataclasses.dataclass(eq=False)
class Site:
    """One attention of a program.

    Attributes:
        kind: The normalizer, or `kernel` for a call that a rule knows.
        op: The operation that gives the context.
        level: The level of the normalizer, or of the call.
        scopes: The named scopes of the whole attention, the outermost first.
        full_scopes: Those of the normalizer, which may lie deeper.
        is_replay: Whether a backward pass computes it again.
    """

    kind: Literal["softmax", "sigmoid", "kernel"]
    op: Op
    level: Level
    scopes: tuple[str, ...]
    full_scopes: tuple[str, ...]
    is_replay: bool

    @property
    def name(self) -> str:
        """The name of its weights, without a number for repeats."""
        return self.level.path.enter(self.scopes_inside(self.level)).leaf("weights")

    def scopes_inside(self, level: Level) -> tuple[str, ...]:
        """Return the scopes of the attention inside a level."""
        inside = self.scopes[len(level.scopes) :]
        is_last = any(loop.kind == "while" for loop in self.level.loops)
        return (*inside, "last") if is_last else inside


@dataclasses.dataclass(eq=False)
class KernelSite(Site):
    """The call of a known kernel."""

    kernel: Kernel


@dataclasses.dataclass(eq=False)
class WeightsSite(Site):
    """Attention whose weights are in the program.

    Attributes:
        normalization: Where the scores are normalized.
        product: Where the weights are multiplied by values.
        roles: Which axis is which.
        labels: The labels of all values from the scores to the weights.
    """

    normalization: Normalization
    product: Product
    roles: Roles
    labels: dict[Value, Labels]


def find_sites(graph: Graph) -> list[Site]:
    """Return the attention of a program that carries no taps, in the order of the program."""
    by_product: dict[Op, WeightsSite] = {}
    for normalization in normalizations(graph):
        site = _site(normalization)
        # Weights that are normalized twice are those of the second time.
        if site is not None and not site.level.hidden:
            by_product[site.op] = site
    sites: list[Site] = [site for site in by_product.values() if not _is_tapped(site)]
    sites += [_kernel_site(kernel) for kernel in graph.kernels]
    sites = _without_replays(sorted(sites, key=lambda site: site.op.order))
    _tell_apart(sites)
    return sites


def _without_replays(sites: Sequence[Site]) -> list[Site]:
    """Leave out what a backward pass computes again, unless the forward pass lost it."""
    forward = Counter(site.name for site in sites if not site.is_replay)
    replayed = Counter(site.name for site in sites if site.is_replay)
    lost = replayed - forward
    kept = []
    for site in sites:
        if not site.is_replay or lost[site.name] > 0:
            kept.append(site)
            lost[site.name] -= site.is_replay
    return kept


def _site(normalization: Normalization) -> WeightsSite | None:
    if not normalization.scores.shape:
        return None
    labels = reach(normalization.scores, fresh(normalization.scores, "scores"), _TO_WEIGHTS)
    keys = _keys(normalization, labels)
    product = _product(normalization, labels, keys)
    if product is None or not keys:
        return None
    op = normalization.op
    if normalization.kind == "sigmoid":
        keys = _contracted(product)
    roles = roles_of(normalization.scores, labels[normalization.scores], keys, product)
    if normalization.kind == "sigmoid" and not _is_unmistakable(roles, product):
        return None
    exponential = normalization.exponential or op
    return WeightsSite(
        normalization.kind,
        product.op,
        exponential.level,
        _common(exponential.scopes, product.op.scopes),
        exponential.scopes,
        exponential.is_replay,
        normalization,
        product,
        roles,
        labels,
    )


def _keys(normalization: Normalization, labels: dict[Value, Labels]) -> set[Atom]:
    """Return the atoms of the scores that are normalized over."""
    if normalization.summed is None:
        return {atom for label in labels[normalization.scores] for atom in label}
    value, axes = normalization.summed
    if normalization.twin is not None:
        labels = reach(normalization.twin, fresh(normalization.twin, "scores"), _TO_WEIGHTS)
    if value not in labels:
        return set()
    return {atom for axis in axes for atom in labels[value][axis]}


def _product(
    normalization: Normalization, labels: dict[Value, Labels], keys: set[Atom]
) -> Product | None:
    weights = weights_of(normalization)
    if weights not in labels or not keys:
        return None
    product = find_product(weights, labels[weights], keys, normalization.op.is_replay)
    # A sum after the product divides the product of these very exponentials.
    if normalization.product is not None and (
        not product or product.op is not normalization.product
    ):
        return None
    return product


def weights_of(normalization: Normalization) -> Value:
    """Return the weights, or their numerators if the sum divides the context."""
    is_late = normalization.product is not None
    source = normalization.exponential if is_late else None
    return (source or normalization.op).outputs[0]


def _contracted(product: Product) -> set[Atom]:
    if product.op.name != "dot_general":
        return set()
    axes = product.op.params["dimension_numbers"][0][product.side]
    return {atom for axis in axes for atom in product.factor[axis]}


def _is_unmistakable(roles: Roles, product: Product) -> bool:
    """Whether a sigmoid is attention: queries and keys from two products that share a batch."""
    if product.op.name != "dot_general" or roles.keys_from is None:
        return False
    # Keys and values are computed from the same tokens; two kernels of a perceptron are not.
    values = product.op.inputs[1 - product.side]
    shared = product.op.params["dimension_numbers"][1][0]
    return bool(shared) and not set(_origins(roles.keys_from)).isdisjoint(_origins(values))


def _origins(value: Value) -> list[Value]:
    """Return everything that a value is computed from by projections and passive operations."""
    values = [value]
    for v in values:
        op = v.producer
        if op is not None and (op.name in PASSIVE or op.name == "dot_general"):
            values += [u for u in op.inputs if u not in values]
    return values


def _common(left: Sequence[str], right: Sequence[str]) -> tuple[str, ...]:
    count = 0
    while count < min(len(left), len(right)) and left[count] == right[count]:
        count += 1
    return tuple(left[:count])


def _is_tapped(site: WeightsSite) -> bool:
    """Whether the weights carry a tap, or the context one from which weights follow."""
    if any(v.producer and v.producer.name == "tap" for v in site.product.chain):
        return True
    moved = PASSIVE - {"add", "add_any", "sub"}
    return any(
        op.name == "tap" and op.params["derived"] is not None and op.inputs[0] is value
        for value in reach(site.product.op.outputs[0], site.product.labels, moved)
        for op in value.users
    )


def _kernel_site(kernel: Kernel) -> KernelSite:
    op = kernel.op
    return KernelSite("kernel", op, op.level, op.scopes, op.scopes, op.is_replay, kernel)


def _tell_apart(sites: Sequence[Site]) -> None:
    """Give sites of one name the scopes of their normalizers, where those differ."""
    for name in {site.name for site in sites}:
        alike = [site for site in sites if site.name == name]
        if len({site.full_scopes for site in alike}) > 1:
            for site in alike:
                site.scopes = site.full_scopes


def unreachable(graph: Graph) -> Iterator[tuple[str, str]]:
    """Yield what may hold attention out of reach: its name, and the reason."""
    for level in graph.levels:
        is_outermost = level.hidden and not (level.parent and level.parent.hidden)
        if is_outermost and any(_holds_exponential(inner) for inner in _inside(graph, level)):
            yield level.path.leaf("weights"), level.hidden
    for op in graph.live("call_exported"):
        yield (
            op.level.path.enter(op.scopes[len(op.level.scopes) :]).leaf("weights"),
            "it lies in an exported program, of which only the compiled form is left",
        )
    known = {n.exponential for n in normalizations(graph)}
    for op in graph.live("exp", "exp2"):
        if op.level.loops and not op.level.hidden and op not in known and _is_shifted(op):
            yield op.level.path.leaf("weights"), _BLOCKWISE


_BLOCKWISE = "it is computed blockwise, in a loop over the keys, and its weights never exist"


def _inside(graph: Graph, level: Level) -> list[Level]:
    return [inner for inner in graph.levels if level in inner.around()]


def _holds_exponential(level: Level) -> bool:
    return any(eqn.primitive.name in ("exp", "exp2") for eqn in level.jaxpr.eqns)


def _is_shifted(op: Op) -> bool:
    """Whether an exponential is that of a difference to a maximum."""
    producer = op.inputs[0].producer if isinstance(op.inputs[0], Value) else None
    shift = producer.inputs[1] if producer is not None and producer.name == "sub" else None
    return isinstance(shift, Value) and bool(
        origins(shift, {"max", "reduce_max"}, PASSIVE - {"max"})
    )
