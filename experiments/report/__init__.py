"""Figures of a run, and one page that holds them.

:func:`draw_figures` needs the model's outputs on test images; :func:`write_report` needs only the
files of the run: `command.json`, `metrics.jsonl` and `figures/`. Experiments on other data save
their own figures with :func:`save_sheet`.
"""

from experiments.report.card import save_card
from experiments.report.figures import Sheet, Table, draw_curves, draw_figures, save_sheet
from experiments.report.page import write_report

__all__ = [
    "Sheet",
    "Table",
    "draw_curves",
    "draw_figures",
    "save_card",
    "save_sheet",
    "write_report",
]
