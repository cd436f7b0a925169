"""What the controls change: masks, pairs of sentences, weightings, kinds of layers, and pages."""

import numpy as np
import pytest

from attn_jax import plot

expect = pytest.importorskip("playwright.sync_api").expect
CAUSAL = np.tri(5, dtype=bool)


def causal():
    weights = np.random.default_rng(0).dirichlet(np.ones(5), (2, 3, 5)) * CAUSAL
    return weights / weights.sum(-1, keepdims=True)


def weights_shown(page):
    """The whole map of the view as the page's table tells it."""
    page.get_by_text("This view as a table").click()
    expect(page.locator(".as-text tbody tr").first).to_be_visible()
    rows = page.locator(".as-text tbody tr").all()
    return np.array([[float(x) for x in row.locator("td").all_inner_texts()] for row in rows])


def test_hidden_cells_look_hidden_everywhere(open_page, page):
    view = plot.viewer(causal(), tokens=list("abcde"), mask=CAUSAL)
    open_page(view, view="matrix", query=1, key=3)
    expect(page.locator(".readout")).to_have_text("b (1) → d (3): hidden")
    expect(page.locator(".hidden-key")).to_be_visible()
    gray = page.evaluate(
        "getComputedStyle(document.documentElement).getPropertyValue('--rule')"
    ).strip()
    page.keyboard.press("2")
    assert page.locator("[aria-label=Keys] .hidden").all_inner_texts() == ["c", "d", "e"]
    page.get_by_role("tab", name="Model").click()
    page.wait_for_selector("html[data-ready=overview]", state="attached")
    pixels = page.evaluate(
        "[...document.querySelector('.head canvas').getContext('2d').getImageData(0, 0, 5, 5).data]"
    )
    colors = np.array(pixels).reshape(5, 5, 4)[..., :3]
    is_gray = (colors == [int(gray[i : i + 2], 16) for i in (1, 3, 5)]).all(-1)
    np.testing.assert_array_equal(is_gray, ~CAUSAL)


@pytest.mark.parametrize("view", ["matrix", "tokens", "heads", "overview"])
def test_axe_finds_nothing_with_masks_and_the_table(open_page, page, violations, view):
    page.emulate_media(color_scheme="dark" if view in ("tokens", "overview") else "light")
    weights = [{"encoder": causal()[:1], "decoder": causal()[1:]}] * 2
    page_view = plot.viewer(weights, steps=[0, 1], tokens=list("abcde"), mask=CAUSAL, sentence_b=2)
    open_page(page_view, view=view, query=1, pairs="ab")
    page.get_by_text("This view as a table").click()
    expect(page.locator(".as-text tbody tr").first).to_be_visible()
    assert violations(page) == []


@pytest.mark.parametrize(("pair", "rows", "columns"), [("A → B", 0, 1), ("B → B", 1, 1)])
def test_a_pair_of_sentences_is_shown_alone(open_page, page, vectors, pair, rows, columns):
    open_page(vectors.view, view="matrix", head=1)
    page.get_by_role("combobox", name="Sentences", exact=True).select_option(pair)
    half = np.arange(8) // 4
    visible = (half == rows)[:, None] & (half == columns)
    weights = np.asarray(vectors.captured["first.weights"])[0, 1] * visible
    np.testing.assert_allclose(weights_shown(page), weights, atol=0.004)


def test_weights_are_multiplied_by_the_norms_of_values(open_page, page, vectors):
    open_page(vectors.view, view="matrix", head=2)
    page.get_by_role("combobox", name="Weights", exact=True).select_option("value")
    norms = np.linalg.norm(vectors.captured["first.value"][0, :, 2], axis=-1)
    expected = np.asarray(vectors.captured["first.weights"][0, 2]) * norms
    expected /= expected.sum(-1, keepdims=True)
    np.testing.assert_allclose(weights_shown(page), expected, atol=0.006)


def test_the_residual_takes_its_share_of_each_token(open_page, page):
    rng = np.random.default_rng(1)
    weights = rng.dirichlet(np.ones(5), (1, 2, 5))
    output, residual = rng.standard_normal((2, 1, 5, 7))
    captured = {"layers.0.attention.weights": weights, "layers.0.attention.output": output}
    captured["layers.0.residual"] = residual
    open_page(plot.viewer(captured), view="matrix", head="mean", weighting="residual")
    new, old = np.linalg.norm(output[0], axis=-1), np.linalg.norm(residual[0], axis=-1)
    share = (new / (new + old))[:, None]
    expected = share * weights[0].mean(0) + (1 - share) * np.eye(5)
    np.testing.assert_allclose(weights_shown(page), expected, atol=0.006)


def test_layers_are_chosen_by_their_kind(open_page, page):
    names = ["encoder.layers.0", "encoder.layers.1", "decoder.layers.0", "decoder.layers.0.cross"]
    weights = {name: np.full((1, 2, 3, 3), 1 / 3) for name in names}
    open_page(plot.viewer(weights))
    kind, layer = (
        page.get_by_role("combobox", name="Attention", exact=True),
        page.get_by_role("combobox", name="Layer", exact=True),
    )
    options = kind.locator("option").all_inner_texts()
    assert options == ["encoder", "decoder", "cross"]
    kind.select_option("cross")
    assert layer.locator("option").all_inner_texts() == names[3:]
    assert "layer=3" in page.url
    kind.select_option("encoder")
    page.locator("body").press("}")
    assert layer.locator("option:checked").inner_text() == "encoder.layers.1"
    page.locator("body").press("}")
    assert layer.locator("option:checked").inner_text() == "encoder.layers.0"


def test_examples_of_a_batch_are_switched_between(open_page, page):
    weights = np.stack([np.eye(3), np.eye(3)[::-1]])[:, None]
    tokens = [["a", "b", "c"], ["x", "y", "z"]]
    view = plot.viewer({"first": weights}, example=[0, 1], tokens=tokens).select(query=0)
    open_page(view, view="tokens")
    expect(page.locator(".readout")).to_have_text("a (0) attends to a 1.")
    chosen = page.get_by_role("combobox", name="Example", exact=True)
    assert chosen.locator("option").all_inner_texts() == ["0: a b c", "1: x y z"]
    chosen.select_option("1")
    expect(page.locator(".readout")).to_have_text("x (0) attends to z 1.")
    assert "page=1" in page.url
    page.locator("body").press("<")
    expect(page.locator(".readout")).to_have_text("a (0) attends to a 1.")


@pytest.mark.parametrize(("name", "pattern"), [("layers", "layer"), ("steps", "page")])
def test_layers_and_training_steps_play(open_page, page, name, pattern):
    captures = [np.full((3, 1, 3, 3), 1 / 3)] * 4
    page.clock.install()
    open_page(plot.viewer(captures, steps=[0, 10, 20, 30]))
    button = page.get_by_role("button", name=f"play the {name}")
    button.click()
    page.clock.run_for(1000)
    assert f"{pattern}=2" in page.url
    expect(button).to_have_attribute("aria-pressed", "true")
    button.click()
    page.clock.run_for(5000)
    assert f"{pattern}=2" in page.url


ARROWS = [
    ("sentence", "matrix", "ArrowDown"),
    ("sentence", "tokens", "ArrowRight"),
    ("sentence", "heads", "ArrowDown"),
    ("sentence", "overview", "ArrowRight"),
    ("vectors", "neuron", "ArrowRight"),
    ("digit", "image", "ArrowRight"),
    ("translation", "alignment", "ArrowDown"),
    ("two_runs", "compare", "ArrowRight"),
    ("long_sequence", "summary", "ArrowDown"),
]


@pytest.mark.parametrize(("name", "view", "arrow"), ARROWS)
def test_arrow_keys_work_at_once_and_the_table_tells_the_view(
    open_page, page, request, name, view, arrow
):
    open_page(request.getfixturevalue(name).view, view=view)
    before = page.url
    page.keyboard.press(arrow)
    page.wait_for_url(lambda url: url != before)
    expect(page.get_by_role("status")).not_to_be_empty()
    page.get_by_text("This view as a table").click()
    expect(page.locator(".as-text tbody tr").nth(2)).to_be_visible()


def test_a_select_keeps_its_arrow_keys(open_page, page, sentence):
    open_page(sentence.view, view="matrix")
    page.get_by_role("combobox", name="Head", exact=True).focus()
    page.keyboard.press("ArrowDown")
    assert "head=1" in page.url
    assert "query" not in page.url


@pytest.mark.parametrize(("width", "height"), [(1280, 800), (1280, 480)])
def test_a_small_map_uses_the_room(open_page, page, sentence, width, height):
    page.set_viewport_size({"width": width, "height": height})
    open_page(sentence.view, view="matrix")
    assert page.get_by_role("application").bounding_box()["height"] > 11 * 32
