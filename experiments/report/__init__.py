"""What a run leaves to look at: its figures, and one page that holds them.

:func:`draw_figures` needs the model's outputs on test images; :func:`write_report` needs only the
files of the run: ``command.json``, ``metrics.jsonl`` and ``figures/``.
"""

from experiments.report.figures import draw_curves, draw_figures
from experiments.report.page import write_report

__all__ = ["draw_curves", "draw_figures", "write_report"]
