"""The report card: how far a map shows what a model's predictions depend on."""

from attn_jax.measure.card.heads import HeadCards, report_cards
from attn_jax.measure.card.report import report_card
from attn_jax.measure.card.result import Answer, CardLine, ReportCard

__all__ = ["Answer", "CardLine", "HeadCards", "ReportCard", "report_card", "report_cards"]
