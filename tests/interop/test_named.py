"""Attribute paths as names, for models of NNX and Equinox."""

import re
import threading

import equinox as eqx
import jax
import jax.numpy as jnp
import pytest
from flax import linen, nnx

from attn_jax.hooks import capture, hook_points, tap
from attn_jax.interop import named

X = jnp.linspace(-1.0, 1.0, 5)


class Scale(eqx.Module):
    factor: jax.Array

    def __call__(self, x):
        return tap("scaled", self.factor * x)

    def twice(self, x):
        return self(self(x))


class Block(eqx.Module):
    first: Scale
    second: Scale

    def __init__(self, number):
        self.first, self.second = Scale(jnp.array(number)), Scale(jnp.array(number + 1.0))

    def __call__(self, x):
        return x + Block.product(self.first(x), self.second(x))

    @staticmethod
    def product(x, y):
        return x * y


class Tower(eqx.Module):
    blocks: list[Block]
    head: dict[str, Scale]

    def __init__(self):
        self.blocks = [Block(2.0), Block(3.0)]
        self.head = {"out": Scale(jnp.array(5.0))}

    def __call__(self, x):
        return self.run(x, lambda block: block)

    def run(self, x, wrap):
        for block in self.blocks:
            x = wrap(block)(x)
        return self.head["out"](x)


LAYERS = [f"blocks.{i}.{part}.scaled" for i in (0, 1) for part in ("first", "second")]
ALL = [*LAYERS, "head.out.scaled"]


def names(fn, *args):
    return [point.name for point in hook_points(fn)(*args)]


@pytest.fixture(scope="module")
def tower():
    return Tower()


def calls_of_the_tower(tower):
    dynamic, static = eqx.partition(tower, eqx.is_array)

    def rebuilt(d):
        return eqx.combine(d, static)

    def each_in(wrap):
        return lambda x: tower.run(x, wrap)

    return {
        "closed over": (tower, (X,), ALL),
        "an argument": (lambda d, x: rebuilt(d)(x), (dynamic, X), ALL),
        "in jit": (jax.jit(lambda x: tower(x)), (X,), ALL),
        "a module of a rebuilt model": (
            lambda d, x: rebuilt(d).blocks[1](x),
            (dynamic, X),
            LAYERS[2:],
        ),
        "a method": (
            lambda d, x: rebuilt(d).head["out"].twice(x),
            (dynamic, X),
            ["head.out.scaled", "head.out.scaled#1"],
        ),
        "each block in filter_jit": (each_in(eqx.filter_jit), (X,), ALL),
        "each block in filter_checkpoint": (each_in(eqx.filter_checkpoint), (X,), ALL),
        "each block in filter_vmap": (each_in(eqx.filter_vmap), (X[None],), ALL),
        "each block's method in filter_jit": (
            each_in(lambda block: eqx.filter_jit(block.first.twice)),
            (X,),
            [
                "blocks.0.first.scaled",
                "blocks.0.first.scaled#1",
                "blocks.1.first.scaled",
                "blocks.1.first.scaled#1",
                "head.out.scaled",
            ],
        ),
        "each block an argument of a function in jit": (
            each_in(lambda block: lambda x: eqx.filter_jit(lambda b, x: b(x))(block, x)),
            (X,),
            [
                "blocks.first.scaled",
                "blocks.second.scaled",
                "blocks.first.scaled#1",
                "blocks.second.scaled#1",
                "head.out.scaled",
            ],
        ),
    }


@pytest.mark.parametrize("case", calls_of_the_tower(Tower()))
def test_equinox_modules_are_named_by_their_attributes(tower, case):
    fn, args, expected = calls_of_the_tower(tower)[case]
    assert sorted(names(named(fn, tower), *args)) == sorted(expected)


def test_the_values_under_the_names_are_those_of_the_modules(tower):
    out, values = jax.jit(capture(named(tower, tower)))(X)
    after_first = X + 2.0 * X * 3.0 * X
    expected = {
        "blocks.0.first.scaled": 2.0 * X,
        "blocks.0.second.scaled": 3.0 * X,
        "blocks.1.first.scaled": 3.0 * after_first,
        "blocks.1.second.scaled": 4.0 * after_first,
        "head.out.scaled": 5.0 * (after_first + 12.0 * after_first**2),
    }
    assert values.keys() == expected.keys()
    for name, value in expected.items():
        assert jnp.allclose(values[name], value, rtol=1e-6), name
    assert jnp.allclose(out, values["head.out.scaled"])


def test_a_scanned_stack_of_modules_has_one_name():
    stack = eqx.filter_vmap(Block)(jnp.arange(3.0))
    dynamic, static = eqx.partition(stack, eqx.is_array)

    class Scanned(eqx.Module):
        blocks: Block

    def run(x):
        return jax.lax.scan(lambda x, d: (eqx.combine(d, static)(x), None), x, dynamic)[0]

    expected = ["blocks.*.first.scaled", "blocks.*.second.scaled"]
    assert names(named(run, Scanned(stack)), X) == expected


def test_a_function_that_jit_has_traced_before_still_gets_names(tower):
    jitted = jax.jit(lambda x: tower(x))
    plain = ["scaled", "scaled#1", "scaled#2", "scaled#3", "scaled#4"]
    assert names(jitted, X) == plain
    if hasattr(jax, "make_user_context"):
        assert names(named(jitted, tower), X) == ALL
        assert names(jitted, X) == plain


def test_a_shared_module_has_the_first_of_its_paths():
    shared = Block(2.0)
    pair = eqx.tree_at(lambda t: t.blocks[0], Tower(), shared)
    pair = eqx.tree_at(lambda t: t.blocks[1], pair, shared)
    dynamic, static = eqx.partition(pair, eqx.is_array)
    assert names(named(lambda d, x: eqx.combine(d, static)(x), pair), dynamic, X) == ALL
    twice = {"a": shared, "b": [shared]}
    run = named(lambda x: twice["b"][0](x), twice)
    assert names(run, X) == ["a.first.scaled", "a.second.scaled"]


def test_modules_that_hold_each_other():
    net = Net()
    net.blocks[0].around = net
    net.blocks[1].around = net
    assert names(named(lambda x: net(x), net), X) == ALL


def test_several_models_at_once(tower):
    def difference(x):
        return tower(x) - other(x)

    other = Tower()
    pair = {"teacher": tower, "student": other}
    expected = [f"{model}.{name}" for model in pair for name in ALL]
    assert names(named(difference, pair), X) == expected
    assert names(named(named(difference, tower), {"student": other}), X) == [
        *ALL,
        *(f"student.{name}" for name in ALL),
    ]


class Gate(nnx.Module):
    def __init__(self, factor):
        self.factor = nnx.Param(jnp.asarray(factor))

    def __call__(self, x):
        return tap("scaled", self.factor[...] * x)


class Layer(nnx.Module):
    def __init__(self, number):
        self.first, self.second = Gate(number), Gate(number + 1.0)

    def __call__(self, x):
        return x + self.first(x) * self.second(x)


class Checkpointed(Layer):
    @nnx.remat
    def __call__(self, x):
        return x + self.first(x) * self.second(x)


class Net(nnx.Module):
    def __init__(self, layer=Layer):
        self.blocks = nnx.List([layer(2.0), layer(3.0)])
        self.head = nnx.Dict(out=Gate(5.0))

    def __call__(self, x):
        for block in self.blocks:
            x = block(x)
        return self.head["out"](x)


def calls_of_the_net():
    net, checkpointed = Net(), Net(Checkpointed)
    graph, state = nnx.split(net)
    checkpointed_graph, checkpointed_state = nnx.split(checkpointed)
    one_by_one = nnx.remat(lambda block, x: block(x))

    def through_one_function(state, x):
        for block in nnx.merge(graph, state).blocks:
            x = one_by_one(block, x)
        return x

    return {
        "closed over": (net, net, (X,), ALL),
        "an argument": (nnx.jit(lambda n, x: n(x)), net, (net, X), ALL),
        "merged inside": (lambda s, x: nnx.merge(graph, s)(x), net, (state, X), ALL),
        "a module of a merged model": (
            lambda s, x: nnx.merge(graph, s).blocks[1](x),
            net,
            (state, X),
            LAYERS[2:],
        ),
        "methods under remat": (
            lambda s, x: nnx.merge(checkpointed_graph, s)(x),
            checkpointed,
            (checkpointed_state, X),
            ALL,
        ),
        "each block an argument of a function under remat": (
            through_one_function,
            net,
            (state, X),
            [
                "blocks.first.scaled",
                "blocks.second.scaled",
                "blocks.first.scaled#1",
                "blocks.second.scaled#1",
            ],
        ),
    }


@pytest.mark.parametrize("case", calls_of_the_net())
def test_nnx_modules_are_named_by_their_attributes(case):
    fn, net, args, expected = calls_of_the_net()[case]
    assert sorted(names(named(fn, net), *args)) == sorted(expected)


def test_a_scanned_stack_of_nnx_modules_has_one_name():
    class Scanned(nnx.Module):
        def __init__(self):
            self.blocks = nnx.vmap(Layer)(jnp.arange(3.0))

        def __call__(self, x):
            step = nnx.scan(lambda x, block: block(x), in_axes=(nnx.Carry, 0), out_axes=nnx.Carry)
            return step(x, self.blocks)

    graph, state = nnx.split(Scanned())
    run = named(lambda s, x: nnx.merge(graph, s)(x), Scanned())
    assert names(run, state, X) == ["blocks.*.first.scaled", "blocks.*.second.scaled"]


def test_linen_names_itself():
    model = linen.Dense(3)
    assert named(model.apply, model) == model.apply


@pytest.mark.parametrize("model", [jnp.ones(3), [1, 2], {"a": jnp.tanh}, None])
def test_what_is_no_model_is_refused(model):
    with pytest.raises(TypeError, match=f"model={type(model).__name__} is not an NNX, Equinox"):
        named(jnp.tanh, model)


def attributes():
    return {cls: dict(vars(cls)) for cls in (Scale, Block, Tower, Gate, Layer, Net)}


def test_classes_are_restored_after_an_error(tower):
    before = attributes()

    def failing(x):
        assert vars(Tower)["__call__"] is not before[Tower]["__call__"]
        return tower(x.reshape(7))

    with pytest.raises(TypeError, match="reshape"):
        names(named(failing, tower), X)
    assert attributes() == before


def test_threads_do_not_disturb_each_other(tower):
    other = Tower()
    before = attributes()
    inside = threading.Barrier(3, timeout=60)
    results = {}

    def run(key, wrap):
        def waiting(x):
            inside.wait()
            out = (other if key == "other" else tower)(x)
            inside.wait()
            return out

        results[key] = names(wrap(waiting), X)

    wraps = {
        "named": lambda fn: named(fn, tower),
        "other": lambda fn: named(fn, [other]),
        "plain": lambda fn: fn,
    }
    threads = [threading.Thread(target=run, args=item) for item in wraps.items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results["named"] == ALL
    assert results["other"] == [f"0.{name}" for name in ALL]
    assert results["plain"] == ["scaled", "scaled#1", "scaled#2", "scaled#3", "scaled#4"]
    assert attributes() == before


def test_nothing_changes_in_the_program(tower):
    def program(fn):
        text = jax.jit(lambda x: fn(x)).lower(X).compile().as_text()
        return re.findall(r"^ +.* = [^,\n]*", text.split("ENTRY")[1], re.M)

    assert program(named(tower, tower)) == program(tower)
