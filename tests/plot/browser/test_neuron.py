"""The view of the vectors behind a query's weights."""

import re

import numpy as np
import pytest

from attn_jax import plot

expect = pytest.importorskip("playwright.sync_api").expect


def column(page, name):
    return [float(text) for text in page.locator(f".{name} > *").all_inner_texts()]


def test_products_sum_to_scores_whose_softmax_are_the_weights(open_page, vectors):
    page = open_page(vectors.view, view="neuron", layer=1, head=2, query=5)
    captured = {
        name.removeprefix("second."): np.asarray(value[0])
        for name, value in vectors.captured.items()
    }
    products = captured["key"][:, 2] * captured["query"][5, 2]
    sums = np.asarray(products.sum(-1))
    np.testing.assert_allclose(column(page, "sums"), sums, rtol=0.01, atol=0.002)
    np.testing.assert_allclose(column(page, "scores"), sums / 8**0.5, rtol=0.01, atol=0.002)
    weights = np.exp(sums / 8**0.5) / np.exp(sums / 8**0.5).sum()
    np.testing.assert_allclose(column(page, "weights"), weights, rtol=0.06, atol=0.003)
    page.get_by_role("listbox", name="Keys").get_by_role("option").nth(2).click()
    readout = page.locator(".readout")
    expect(readout).to_contain_text("cat (5) → cat (2): query · key = ")
    expect(readout).to_contain_text("The weights are the softmax of query · key × 0.354.")
    name, number = page.locator(".lists li").first.locator(".name, .value").all_inner_texts()
    feature = int(name.removeprefix("feature "))
    assert feature == abs(products[2]).argmax()
    assert float(number) == pytest.approx(float(products[2, feature]), rel=0.01)


def test_a_cell_of_the_products_tells_its_factors(open_page, vectors):
    page = open_page(vectors.view, view="neuron", query=1)
    box = page.locator("canvas.strips").last.bounding_box()
    page.mouse.move(box["x"] + 3.5 * box["width"] / 8, box["y"] + 6.5 * box["height"] / 8)
    text = page.locator(".readout").inner_text()
    pattern = r"a \(1\) → sat \(6\): feature 3, (\S+) × (\S+) = (\S+)"
    first, second, product = map(float, re.fullmatch(pattern, text).groups())
    captured = (
        vectors.captured["first.query"][0, 1, 0, 3],
        vectors.captured["first.key"][0, 6, 0, 3],
    )
    assert [first, second] == pytest.approx([float(each) for each in captured], rel=0.01, abs=1e-3)
    assert product == pytest.approx(first * second, rel=0.02, abs=1e-4)


def test_weights_that_are_no_softmax_of_the_products_are_said_to_be_none(open_page):
    rng = np.random.default_rng(0)
    captured = {"weights": rng.dirichlet(np.ones(5), (1, 2, 5))}
    captured |= {name: rng.standard_normal((1, 5, 2, 3)) for name in ("query", "key")}
    page = open_page(plot.viewer(captured), view="neuron", head="mean")
    expect(page.locator(".readout")).to_contain_text("not the softmax of query · key alone")
    assert page.locator(".scores > *").first.inner_text() == "?"
    expect(page.get_by_role("combobox", name="Head", exact=True)).to_have_value("0")


def test_a_layer_without_vectors_says_so(open_page):
    rng = np.random.default_rng(0)
    names = ("first.weights", "second.weights")
    captured = {name: rng.dirichlet(np.ones(5), (1, 2, 5)) for name in names}
    captured |= {f"first.{name}": rng.standard_normal((1, 5, 2, 3)) for name in ("query", "key")}
    page = open_page(plot.viewer(captured), view="neuron", layer=1)
    expect(page.get_by_text("Queries and keys of this layer were not captured")).to_be_visible()
