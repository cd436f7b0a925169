"""The view of an alignment: its lines are the largest weights, and known links are outlined."""

import pytest

expect = pytest.importorskip("playwright.sync_api").expect


def links(page, lines):
    paths = page.locator(f".lines {lines}").all()
    return {
        tuple(int(path.get_attribute(f"data-{name}")) for name in ("query", "key"))
        for path in paths
    }


def test_known_links_are_outlined_possible_ones_by_dashes(open_page, translation):
    page = open_page(translation.view, view="alignment")
    assert links(page, ".gold:not([stroke-dasharray])") == set(translation.links)
    assert links(page, ".gold[stroke-dasharray]") == {(0, 2), (4, 3)}


@pytest.mark.parametrize("head", [0, 1])
def test_each_query_has_a_line_to_what_it_looks_at_most(open_page, translation, head):
    page = open_page(translation.view, view="alignment", head=head)
    weights = translation.maps[0, head]
    drawn = links(page, ".all path")
    assert {(query, int(row.argmax())) for query, row in enumerate(weights)} <= drawn
    assert all(weights[link] > 0.04 * weights.max() for link in drawn)
    right = sum(weights[query].argmax() == key for query, key in translation.links)
    note = f"{right} of 5 queries with a known link attend to it most."
    expect(page.locator(".readout")).to_contain_text(note)


def test_pointing_shows_all_lines_of_one_token(open_page, translation):
    page = open_page(translation.view, view="alignment")
    page.get_by_role("listbox", name="Queries").get_by_text("bleue").hover()
    expect(page.locator(".readout")).to_contain_text("bleue (2) attends to blue")
    weights = translation.maps[0, 0][2]
    seen = {(2, key) for key, weight in enumerate(weights) if weight > weights.max() / 256}
    assert links(page, ".chosen path") == seen
    page.get_by_role("listbox", name="Keys").get_by_text("house").hover()
    expect(page.locator(".readout")).to_contain_text("house (2) is attended to by maison")
    assert {key for _, key in links(page, ".chosen path")} == {2}


def test_lines_end_at_the_middle_of_their_tokens(open_page, translation):
    page = open_page(translation.view, view="alignment", query=4, key=4)
    line = page.locator(".lines .chosen path[data-query='4'][data-key='4']").first
    frame = page.locator(".lines").bounding_box()
    start = line.evaluate("x => x.getPointAtLength(0).y")
    token = page.get_by_role("listbox", name="Queries").get_by_role("option").nth(4).bounding_box()
    assert frame["y"] + start == pytest.approx(token["y"] + token["height"] / 2, abs=1.5)
