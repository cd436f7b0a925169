"""What the program of a Pallas kernel says about its options, which its call does not show."""

from collections.abc import Iterator

from jax.extend import core

_ORDER = {"ge", "gt", "le", "lt"}
_MOVES = {"add", "broadcast_in_dim", "convert_element_type", "reshape", "transpose"}


def custom_vjp_name(eqn: core.JaxprEqn) -> str | None:
    """Return the name of the jitted function with a derivative of its own that is called."""
    if eqn.primitive.name != "custom_vjp_call":
        return None
    inner = next(iter(eqn.params["call_jaxpr"].eqns), None)
    return None if inner is None else inner.params.get("name")


def pallas_kernel(eqn: core.JaxprEqn) -> core.Jaxpr | None:
    """Return the program of the first Pallas kernel inside an equation."""
    for inner in equations(eqn):
        if inner.primitive.name == "pallas_call":
            return inner.params["jaxpr"]
    return None


def equations(eqn: core.JaxprEqn) -> Iterator[core.JaxprEqn]:
    """Yield an equation and all those inside it, in the order of the program."""
    yield eqn
    for jaxpr in _jaxprs(eqn):
        for inner in jaxpr.eqns:
            yield from equations(inner)


def levels(jaxpr: core.Jaxpr) -> Iterator[core.Jaxpr]:
    """Yield a jaxpr and all those inside it."""
    yield jaxpr
    for eqn in jaxpr.eqns:
        for inner in _jaxprs(eqn):
            yield from levels(inner)


def scale_of_scores(kernel: core.Jaxpr) -> float | None:
    """Return the number that the products of queries and keys are multiplied by.

    It is one if the kernel goes on without a multiplication, and None if it has no such product.
    """
    for jaxpr in levels(kernel):
        products = (eqn for eqn in jaxpr.eqns if eqn.primitive.name == "dot_general")
        product = next(products, None)
        if product is not None:
            return _scale(jaxpr, product.outvars[0])
    return None


def is_causal(kernel: core.Jaxpr) -> bool:
    """Whether a kernel compares the positions of queries with those of keys."""
    return any(_compares_positions(jaxpr) for jaxpr in levels(kernel))


def _scale(jaxpr: core.Jaxpr, scores: core.Var) -> float:
    for eqn in jaxpr.eqns:
        if scores in _variables(eqn):
            literals = [v for v in eqn.invars if isinstance(v, core.Literal)]
            if eqn.primitive.name == "mul" and literals:
                return float(literals[0].val)
            if eqn.primitive.name not in _MOVES:
                break
            scores = eqn.outvars[0]
    return 1.0


def _compares_positions(jaxpr: core.Jaxpr) -> bool:
    positions: set[core.Var] = set()
    for eqn in jaxpr.eqns:
        from_positions = [v for v in _variables(eqn) if v in positions]
        if eqn.primitive.name == "iota" or (from_positions and eqn.primitive.name in _MOVES):
            positions.update(eqn.outvars)
        if eqn.primitive.name in _ORDER and len(from_positions) == 2:
            return True
    return False


def _variables(eqn: core.JaxprEqn) -> list[core.Var]:
    return [v for v in eqn.invars if not isinstance(v, core.Literal)]


def _jaxprs(eqn: core.JaxprEqn) -> Iterator[core.Jaxpr]:
    for param in eqn.params.values():
        for value in param if isinstance(param, tuple | list) else (param,):
            if isinstance(value, core.ClosedJaxpr):
                yield value.jaxpr
            elif isinstance(value, core.Jaxpr):
                yield value
