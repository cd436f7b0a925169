"""Pictures of the page; ATTN_JAX_SCREENSHOTS=docs/images keeps them with the documentation."""

import io
import os
import re
from pathlib import Path

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from PIL import Image

from attn_jax.plot import colors

pytest.importorskip("playwright.sync_api")


@pytest.mark.parametrize(
    ("name", "view", "state"),
    [
        ("sentence", "matrix", {"layer": 0, "head": 2, "query": 8, "key": 3}),
        ("sentence", "tokens", {"layer": 0, "head": 2, "query": 8, "key": 8}),
        ("sentence", "overview", {"layer": 0, "head": 2}),
        ("digit", "image", {"layer": 0, "head": 0, "query": 25, "key": 25}),
        ("translation", "alignment", {"head": 0}),
        ("long_sequence", "summary", {"query": 1230, "key": 1180, "theme": "dark"}),
    ],
)
def test_a_view_has_the_colors_of_its_theme(open_page, page, request, tmp_path, name, view, state):
    picture = screenshot(open_page, page, request, tmp_path, name, view, state)
    paper = to_rgb(colors.DARK[colors.PAPER] if "theme" in state else colors.PAPER)
    ramp = (colors.ATTENTION_DARK if "theme" in state else colors.ATTENTION)(range(64, 256))
    seen = {color: count for count, color in picture.getcolors(picture.width * picture.height)}
    assert seen[tuple(np.rint(255 * np.array(paper)).astype(int))] > 0.3 * sum(seen.values())
    drawn = {tuple(color) for color in np.rint(255 * ramp[:, :3]).astype(int)}
    assert sum(seen.get(color, 0) for color in drawn) > 100


@pytest.mark.parametrize(
    ("name", "view", "state", "items"),
    [
        ("sentence", "heads", {"layer": 0, "query": 8}, ".square"),
        ("vectors", "neuron", {"layer": 1, "head": 2, "query": 5}, ".lists .bar"),
    ],
)
def test_a_view_has_colors_of_its_own(open_page, page, request, tmp_path, name, view, state, items):
    picture = screenshot(open_page, page, request, tmp_path, name, view, state)
    seen = {color: count for count, color in picture.getcolors(picture.width * picture.height)}
    texts = page.locator(items).evaluate_all(
        "all => all.map((x) => getComputedStyle(x).backgroundColor)"
    )
    drawn = {tuple(map(int, re.findall(r"\d+", text))) for text in texts}
    assert len(drawn) > 1
    assert all(seen.get(color, 0) > 100 for color in drawn)


def screenshot(open_page, page, request, tmp_path, name, view, state):
    page.set_viewport_size({"width": 1100, "height": 480})
    open_page(request.getfixturevalue(name).view, view=view, **state)
    picture = Image.open(io.BytesIO(page.screenshot(full_page=True))).convert("RGB")
    folder = Path(os.environ.get("ATTN_JAX_SCREENSHOTS") or tmp_path)
    picture.quantize(256).save(folder / f"viewer_{view}.png", optimize=True)
    return picture
