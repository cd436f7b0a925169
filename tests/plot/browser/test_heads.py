"""The view of all heads of a layer as lines."""

import numpy as np
import pytest

from attn_jax import plot

expect = pytest.importorskip("playwright.sync_api").expect


def lines(page, group="all"):
    """The number of lines of each head."""
    paths = page.locator(f".lines .{group} path").all()
    counts = {}
    for path in paths:
        head = int(path.get_attribute("data-head"))
        counts[head] = counts.get(head, 0) + int(path.get_attribute("data-lines"))
    return counts


def squares(page):
    return page.locator(".squares").get_by_role("button")


def test_every_head_has_its_lines_in_a_color_of_its_own(open_page, sentence):
    page = open_page(sentence.view, view="heads", layer=1)
    maps = sentence.maps[1]
    seen = (maps > 0.04 * maps.max()).sum((1, 2))
    for head, count in lines(page).items():
        assert abs(count - seen[head]) <= 2  # at the threshold, weights of eight bits may differ
    colors = page.locator(".lines path").evaluate_all(
        "all => all.map((path) => [path.dataset.head, path.getAttribute('stroke')])"
    )
    assert len({tuple(pair) for pair in colors}) == len({color for _, color in colors}) == 3


def test_a_square_switches_its_head_and_a_double_click_leaves_it_alone(open_page, sentence):
    page = open_page(sentence.view, view="heads")
    squares(page).nth(1).click()
    assert set(lines(page)) == {0, 2}
    assert "shown=0%2C2" in page.url
    squares(page).nth(1).dblclick()
    assert set(lines(page)) == {1}
    expect(squares(page).nth(0)).to_have_attribute("aria-pressed", "false")
    squares(page).nth(1).dblclick()
    assert set(lines(page)) == {0, 1, 2}
    page.get_by_role("button", name="none").click()
    assert lines(page) == {}
    expect(page.locator(".readout")).to_contain_text("No head is switched on.")
    squares(page).nth(2).focus()
    page.keyboard.press("Enter")
    assert set(lines(page)) == {2}
    page.get_by_role("button", name="all", exact=True).click()
    assert "shown" not in page.url


def test_a_token_pointed_at_shows_its_lines_and_the_best_key_of_each_head(open_page, sentence):
    page = open_page(sentence.view, view="heads", layer=1, shown="0,2")
    page.get_by_role("listbox", name="Queries").get_by_text("sat").hover()
    token = sentence.tokens.index("sat")
    assert set(lines(page, "chosen")) == {0, 2}
    faded = page.locator(".lines svg", has=page.locator(".all"))
    assert float(faded.evaluate("x => getComputedStyle(x).opacity")) < 0.1
    names = page.locator(".lists section").first.locator(".name").all_inner_texts()
    best = [sentence.tokens[i] for i in sentence.maps[1, [0, 2], token].argmax(-1)]
    assert names == [f"head 0: {best[0]}", f"head 2: {best[1]}"]


def test_many_heads_of_many_tokens_open_soon(open_page, page, address):
    weights = np.random.default_rng(0).dirichlet(np.full(64, 0.1), (12, 12, 64))
    view = plot.viewer(weights, tokens=[f"w{i}" for i in range(64)])
    address(view)
    open_page(view, view="heads")
    opened = page.evaluate("performance.now()") / 1000
    print(f"all heads' lines in {opened:.2f} s")
    assert set(lines(page)) == set(range(12))
    assert opened < 5  # asked for: one second, on a machine that does nothing else
