"""The report card of a run, a judgment of its attention, stored beside the figures."""

import sys
from pathlib import Path
from typing import Any

from attn_jax.plot.card import card_content
from attn_jax.train.disk.stored import StoredFileError, read_json, set_aside, write_json

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
    write_json(path, card_content(card), ensure_ascii=False)
    return path


def read_card(run: Path) -> dict[str, Any] | None:
    """Read the card of a run, if it has one; say on standard error if it is damaged.

    Args:
        run: The run's folder.

    Returns:
        Its `verdict` and `lines`, or None.
    """
    path = run / _NAME
    if not path.exists():
        return None
    try:
        return card_content(read_json(path, dict))
    except StoredFileError as error:
        print(f"{error}; {set_aside(path)}, and left out.", file=sys.stderr)
    except (TypeError, ValueError, AttributeError, OverflowError) as error:
        reason = f"{path} is not a report card ({error})"
        print(f"{reason}; {set_aside(path)}, and left out.", file=sys.stderr)
    return None
