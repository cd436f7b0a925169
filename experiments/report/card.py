"""The report card of a run, a judgment of its attention, stored beside the figures."""

import json
from pathlib import Path
from typing import Any

from attn_jax.plot.card import card_content

_NAME = "card.json"


def save_card(run: Path, card: Any) -> Path:
    """Store a card for the run's report.

    Args:
        run: The run's folder.
        card: The card from `attn_jax.measure.report_card`.

    Returns:
        The file written.

    Raises:
        ValueError: If it is not a card.
    """
    run.mkdir(parents=True, exist_ok=True)
    path = run / _NAME
    path.write_text(json.dumps(card_content(card), indent=1, ensure_ascii=False), encoding="utf-8")
    return path


def read_card(run: Path) -> dict[str, Any] | None:
    """Read the card of a run, if it has one.

    Args:
        run: The run's folder.

    Returns:
        Its `verdict` and `lines`, or None.
    """
    path = run / _NAME
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None
