"""The viewer in a report: it works in its frame, under the report's own policy."""

import json
from types import SimpleNamespace

import numpy as np
import pytest

from experiments.look.look import Look, Text
from experiments.look.page import write_page
from experiments.look.sheets import Choice, Reading, draw_sheets
from experiments.report import Sheet, draw_figures, save_sheet, write_report

expect = pytest.importorskip("playwright.sync_api").expect


def test_a_report_holds_a_viewer_that_answers(page, digit, tmp_path):
    (tmp_path / "command.json").write_text(json.dumps({"experiment": "mnist_dot"}))
    (tmp_path / "metrics.jsonl").write_text('{"step": 1, "epoch": 1, "train/loss": 0.5}\n')
    save_sheet(tmp_path, Sheet("viewer", "Look around", "In a frame.", digit.view))
    page.goto(write_report(tmp_path).as_uri())
    inside = page.frame_locator("iframe[title='Look around']")
    inside.get_by_role("tab", name="Image").click()
    patches = inside.get_by_role("listbox", name="Queries").locator(".patches [role=option]")
    patches.nth(16).hover()
    expect(inside.locator(".readout")).to_contain_text("row 2, column 2 (17) attends to")


@pytest.fixture(scope="module")
def classifier(tmp_path_factory):
    """The report of a classifier of digits that took three of forty for another."""
    run = tmp_path_factory.mktemp("run")
    (run / "command.json").write_text(json.dumps({"experiment": "mnist_dot"}))
    row = '{"step": %d, "epoch": %d, "train/loss": %f, "validation/accuracy": %f, "test/aer": 0.25}'
    rows = (row % (9 * epoch, epoch, 1 / epoch, 1 - 0.1 / epoch) for epoch in (1, 2, 3))
    (run / "metrics.jsonl").write_text("\n".join(rows))
    rng = np.random.default_rng(0)
    labels, weights = np.arange(40) % 10, rng.dirichlet(np.ones(49), (40, 2))
    predictions = np.where(np.isin(np.arange(40), (5, 17, 31)), 8, labels)
    numbers = {"value": -0.0001, "low": -0.1, "high": 0.1, "random": 0.2, "uniform": 0.3}
    words = {"title": "Comprehensiveness", "reads": "unclear", "verdict": "as with random maps"}
    card = {"verdict": "Unclear.", "lines": [numbers | words]}
    images = rng.integers(0, 256, (40, 28, 28), np.uint8)
    draw_figures(run, images, labels, predictions, weights, (7, 7), card=card)
    return write_report(run).as_uri()


@pytest.mark.parametrize("width", [390, 768, 1280])
def test_nothing_of_a_report_is_cut(page, cut, violations, classifier, width):
    page.set_viewport_size({"width": width, "height": 800})
    page.goto(classifier)
    assert cut(page) == []
    assert page.locator("figure > img:visible").count() == 4 + (width < 640)
    for image in page.locator("figure > img:visible").all():
        shown = image.evaluate("x => x.clientWidth / x.naturalWidth")
        assert shown > 0.6  # of the size at which its letters are eight points high
    assert violations(page) == []


def test_a_report_shows_the_misread_first_and_one_card(page, classifier):
    page.goto(classifier)
    assert page.get_by_text("Comprehensiveness").count() == 2  # its line, and what it means
    assert "-0.000 " not in page.locator("main").inner_text()
    expect(page.get_by_text("AER, alignment error rate")).to_be_visible()
    frame = page.locator("iframe[title='Look around']")
    frame.scroll_into_view_if_needed()
    inside = frame.content_frame
    query = inside.get_by_role("listbox", name="Queries").get_by_role("option")
    expect(query).to_have_text("read as 8, is 5 ✗")
    assert inside.locator(".card").count() == 0
    chosen = inside.locator(".field", has_text="Example").locator("select")
    expect(chosen.locator("option")).to_have_count(3 + 6)
    chosen.select_option(index=3)
    expect(query).to_have_text("read as 0 ✓")


def test_a_page_about_a_checkpoint_shows_all_its_heads_and_opens_one(
    page, sentence, tmp_path, violations
):
    maps = {f"layer {i}": layer for i, layer in enumerate(sentence.maps)}
    text = " ".join(sentence.tokens)
    reading = Reading("", "The text", text, sentence.tokens, maps)
    sheets = draw_sheets([reading], Choice())
    look = Look(
        headline=[("tokens", "11")],
        sheets=sheets,
        captured={},
        judgment="No.",
        inputs_code="inputs = {}",
        texts=[Text("The text", text, sentence.tokens)],
    )
    model = SimpleNamespace(name="<tiny>", config={"model_type": "bert"})
    page.goto(write_page(tmp_path, look, model, ["<tiny>"]).as_uri())
    inside = page.frame_locator("iframe[title='Look around']")
    expect(inside.locator(".heads .head")).to_have_count(6)
    inside.get_by_title("open layer 1, head 2", exact=True).click()
    expect(inside.get_by_role("tab", name="Matrix")).to_have_attribute("aria-selected", "true")
    inside.get_by_role("tab", name="Tokens").click()
    inside.get_by_role("listbox", name="Queries").get_by_role("option", name="cat").hover()
    heaviest = sentence.tokens[int(np.argmax(sentence.maps[1, 2, 2]))]
    expect(inside.locator(".readout")).to_contain_text(heaviest)
    assert violations(page) == []


def test_a_report_and_its_viewer_change_their_language_together(page, classifier):
    page.goto(classifier)
    page.get_by_label("Language").first.select_option("中文")
    expect(page.get_by_role("heading", name="逐轮的数字")).to_be_visible()
    assert page.evaluate("document.documentElement.lang") == "zh-Hans"
    assert page.url.endswith("#language=zh")
    frame = page.locator("iframe[title='自己看看']")
    frame.scroll_into_view_if_needed()
    expect(frame.content_frame.get_by_role("tab", name="矩阵")).to_be_visible()
    page.goto("about:blank")
    page.goto(f"{classifier}#language=zh")
    expect(page.get_by_text("Kendall 秩相关：1 为顺序相同，0 为偶然。")).to_be_visible()
    expect(page.get_by_role("heading", level=1)).to_have_text("mnist_dot")
    expect(page.locator("iframe").content_frame.get_by_role("tab", name="矩阵")).to_be_visible()
    page.get_by_label("语言").first.select_option("English")
    expect(page.get_by_role("heading", name="Epoch by epoch")).to_be_visible()
