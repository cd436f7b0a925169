"""Pages in headless Chromium: whatever a test does there, nothing may be asked or logged."""

import os
import shutil
from types import SimpleNamespace
from urllib.parse import urlencode

import jax
import numpy as np
import pytest
from flax import linen

from attn_jax import hooks, nn, ops, plot

# As root Chromium has no sandbox; the others keep it from asking for hosts and updates of its own.
FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run")
FLAGS += ("--disable-background-networking", "--disable-component-update", "--disable-sync")
# What is wider than the screen, and in nothing that scrolls.
CUT = """() => {
  const scrolls = (x) => x && (["auto", "scroll"].includes(getComputedStyle(x).overflowX)
    || scrolls(x.parentElement));
  return [...document.body.querySelectorAll("*")].filter((x) => {
    const { right, width } = x.getBoundingClientRect();
    return width > 1 && right > innerWidth + 1 && !scrolls(x.parentElement)
      && !x.closest(".visually-hidden");
  }).map((x) => `${x.tagName}.${x.className} ${x.textContent.slice(0, 30)}`);
}"""
HOW = "install it (apt-get install chromium), or name another by ATTN_JAX_CHROMIUM=/path/to/it"


@pytest.fixture(scope="module")
def browser():
    """One browser for a file of tests: its event loop must not outlive them in a worker."""
    api = pytest.importorskip("playwright.sync_api", reason="`make lint` installs playwright")
    # A path that is named must be right: where it is set, these tests cannot be skipped.
    path = os.environ.get("ATTN_JAX_CHROMIUM") or shutil.which("chromium")
    if path is None:
        pytest.skip(f"no Chromium was found; {HOW}")
    with api.sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=path, args=[*FLAGS])
        yield chromium
        chromium.close()


@pytest.fixture
def heard():
    """What a page logged, threw, asked of the network or popped up."""
    return []


@pytest.fixture
def page(browser, heard):
    """A tab of which nothing may be heard until the end of the test."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    tab = context.new_page()
    tab.set_default_timeout(10_000)
    tab.on("console", lambda message: heard.append(f"{message.type}: {message.text}"))
    tab.on("pageerror", lambda error: heard.append(f"uncaught: {error}"))
    tab.on("request", lambda request: _note_request(heard, request))
    tab.on("websocket", lambda socket: heard.append(f"websocket: {socket.url}"))
    tab.on("popup", lambda popup: heard.append(f"popup: {popup.url}"))
    tab.on("dialog", lambda dialog: (heard.append(f"dialog: {dialog.message}"), dialog.dismiss()))
    yield tab
    context.close()
    assert not heard


def _note_request(heard, request):
    inside = request.url.startswith(("data:", "blob:"))
    if not inside and not (request.is_navigation_request() and request.url.startswith("file:")):
        heard.append(f"request: {request.url}")


@pytest.fixture
def violations():
    """Runs axe-core on a page, and returns a line for each violation."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()

    def run(page):
        found = axe.run(page).response["violations"]
        return [f"{v['id']}: {v['help']}: {n['html'][:200]}" for v in found for n in v["nodes"]]

    return run


@pytest.fixture
def cut():
    """Tells what of a page is wider than the screen."""

    def run(page):
        width = page.viewport_size["width"]
        scrolled = page.evaluate("document.documentElement.scrollWidth")
        return page.evaluate(CUT) + ([f"the page: {scrolled}"] if scrolled > width else [])

    return run


class Encoder(linen.Module):
    """Two layers of attention of tokens to one another."""

    @linen.compact
    def __call__(self, x):
        for name in ("first", "second"):
            x = x + nn.MultiHeadAttention(num_heads=3, head_dim=8, name=name)(x)
        return x


def encoder_weights(x):
    """The attention of an encoder whose parameters are drawn at random, first layer first."""
    model = Encoder()
    return nn.apply_with_weights(model, model.init(jax.random.key(0), x), x)[1]


@pytest.fixture(scope="session")
def sentence():
    """Self-attention of eleven pieces of nine words."""
    pieces = ["[CLS]", "the", "cat", "sat", "on", "an", "un", "##believ", "##able", "mat", "."]
    x = 1.3 * jax.random.normal(jax.random.key(1), (1, len(pieces), 24))
    weights = encoder_weights(x)
    view = plot.viewer(weights, tokens=pieces, title="A sentence")
    shown = [piece.replace("##", "·") for piece in pieces]
    return SimpleNamespace(view=view, tokens=shown, maps=stack(weights))


@pytest.fixture(scope="session")
def vectors():
    """Two sentences of eight pieces, with queries, keys and values captured beside the weights."""
    pieces = ["[CLS]", "a", "cat", "[SEP]", "a", "cat", "sat", "[SEP]"]
    model, x = Encoder(), jax.random.normal(jax.random.key(9), (1, len(pieces), 24))
    variables = model.init(jax.random.key(0), x)
    captured = hooks.capture(model.apply, ["*.weights", "*.query", "*.key", "*.value"])(
        variables, x
    )[1]
    view = plot.viewer(captured, tokens=pieces, title="Two sentences")
    return SimpleNamespace(view=view, tokens=pieces, captured=captured)


@pytest.fixture(scope="session")
def two_runs():
    """The attention of one encoder to two sentences of seven words."""
    first, second = (
        encoder_weights(jax.random.normal(jax.random.key(seed), (1, 7, 24))) for seed in (6, 7)
    )
    view = plot.viewer(
        first, tokens=["a", "tale", "of", "two", "runs", "told", "."], compare=second
    )
    return SimpleNamespace(view=view)


def stack(weights):
    """Captured weights as one array, (layers, heads, queries, keys)."""
    return np.concatenate([np.asarray(layer) for layer in weights.values()])


def draw_seven():
    """A digit in 28 by 28 pixels, white on black, as MNIST has them."""
    row, column = np.mgrid[:28, :28]
    bar = (abs(row - 6) < 1.6) & (column > 6) & (column < 21)
    stem = (abs(column - (20 - (row - 6) * 0.5)) < 1.6) & (row >= 6) & (row < 24)
    return 255 * (bar | stem).astype(np.uint8)


@pytest.fixture(scope="session")
def digit():
    """Self-attention of a class token and the 49 patches of a digit."""
    image = draw_seven()
    patches = image.reshape(7, 4, 7, 4).swapaxes(1, 2).reshape(49, 16) / 255
    places = jax.random.normal(jax.random.key(2), (50, 24)) / 2
    x = places.at[1:, :16].add(2 * patches)[None]
    weights = encoder_weights(2 * x)
    view = plot.viewer(weights, images=image, grid=(7, 7), prefix_tokens=1, title="A digit")
    return SimpleNamespace(view=view, maps=stack(weights))


@pytest.fixture(scope="session")
def translation():
    """Attention of seven words of one language to five of another, most of it where it belongs."""
    source = ["the", "blue", "house", "is", "big"]
    target = ["la", "maison", "bleue", "est", "grande", ".", "</s>"]
    links = [(0, 0), (1, 2), (2, 1), (3, 3), (4, 4)]
    key = jax.random.normal(jax.random.key(3), (1, 5, 2, 11))
    query = jax.random.normal(jax.random.key(4), (1, 7, 2, 11)) / 2
    for target_word, source_word in links:
        query = query.at[:, target_word].add(1.6 * key[:, source_word])
    weights = hooks.capture(ops.attention, ["weights"])(query, key, key)[1]
    gold, possible = np.zeros((2, 7, 5), bool)
    gold[tuple(np.transpose(links))] = True
    possible[0, 2] = possible[4, 3] = True
    sides = {"queries": target, "keys": source, "gold": gold, "possible": possible}
    view = plot.viewer(weights, **sides, title="A translation")
    return SimpleNamespace(
        view=view, source=source, target=target, links=links, maps=stack(weights)
    )


@pytest.fixture(scope="session")
def long_sequence():
    """What streaming attention says of 2,003 tokens, and a part of its map."""
    tokens, heads = 2003, 2
    query, key = jax.random.normal(jax.random.key(5), (2, tokens, heads, 8)) * 1.5
    query = query.at[:, 0].add(key[:, 0])
    asked = ops.Summary(
        entropy=True, max_logit=True, top_k=5, received=True, distance=True, pooled=(53, 47)
    )
    summary = ops.streaming_attention(query, key, key, causal=True, summary=asked)[1]
    rows, columns = slice(1201, 1298), slice(1151, 1254)
    scores = np.einsum("qhd,khd->hqk", query[rows], key[columns]) / 8**0.5
    seen = np.arange(tokens)[rows, None] >= np.arange(tokens)[columns]
    tile = np.exp(scores - summary.log_normalizer[:, rows, None]) * seen
    names = [f"w{i}" for i in range(tokens)]
    tiles = {(rows.start, columns.start): tile}
    view = plot.viewer(summary, tokens=names, tiles=tiles, title="A long sequence")
    return SimpleNamespace(view=view, summary=summary, tile=tile, at=(rows.start, columns.start))


@pytest.fixture(scope="session")
def address(tmp_path_factory):
    """Gives the address of a viewer's page, saved once."""
    folder = tmp_path_factory.mktemp("pages")
    saved = {}

    def of(view):
        if id(view) not in saved:
            saved[id(view)] = view, view.save(folder / f"{len(saved)}.html").as_uri()
        return saved[id(view)][1]

    return of


@pytest.fixture
def open_page(page, address):
    """Opens a viewer's page, with a state in its fragment, and waits until it is drawn."""

    def run(viewer, **state):
        page.goto(f"{address(viewer)}#{urlencode(state)}")
        page.wait_for_selector("html[data-ready]", state="attached")
        return page

    return run
