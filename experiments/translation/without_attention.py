"""Experiments that translate without attention, to compare with."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from experiments.translation.experiment import TranslationExperiment
from experiments.translation.scores import is_exact, write_scores

_SHOWN = 20


@dataclasses.dataclass(frozen=True)
class PlainTranslationExperiment(TranslationExperiment):
    """Translate by a model without attention, which has no alignment to score."""

    def on_epoch(self, params: Any, row: Mapping[str, Any], run: Path) -> Mapping[str, float]:
        """Score the test translations after the last epoch."""
        if row["epoch"] < self.train.epochs:
            return {}
        metrics, scores = self.evaluation(params).score_test()
        write_scores(run, scores)
        return metrics

    def on_log(self, params: Any, row: Mapping[str, Any], run: Path) -> None:
        """Do nothing: there is no alignment to film."""

    def draw(self, params: Any, run: Path) -> None:
        """Draw the learning curves, and list test sentences that are translated wrongly."""
        from experiments.report import Sheet, Table, draw_curves, save_sheet

        draw_curves(run)
        translations, references = self.evaluation(params).decode_test()
        wrong = [i for i in translations if not is_exact(translations[i], references[i])]
        examples, tokenizer = self.task.examples("test"), self.task.target_tokenizer
        rows = [
            (
                examples[i].source_text,
                tokenizer.decode(translations[i].tolist()),
                examples[i].target_text,
            )
            for i in wrong[:_SHOWN]
        ]
        caption = (
            f"{len(wrong):,} of {len(translations):,} test sentences are not translated exactly. "
            f"These are the first {len(rows)}."
        )
        table = Table(("Source", "Translation", "Reference"), rows)
        save_sheet(run, Sheet("mistakes", "What it gets wrong", caption, table))
