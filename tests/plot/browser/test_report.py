"""The viewer in a report: it works in its frame, under the report's own policy."""

import json
from types import SimpleNamespace

import numpy as np
import pytest

from experiments.look.look import Look, Text
from experiments.look.page import write_page
from experiments.look.sheets import Choice, Reading, draw_sheets
from experiments.report import Sheet, save_sheet, write_report

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
