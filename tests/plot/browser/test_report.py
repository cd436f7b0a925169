"""The viewer in a run's report: it works in its frame, under the report's own policy."""

import json

import pytest

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
