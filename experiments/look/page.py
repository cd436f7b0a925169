"""The folder of a look: its figures, and `report.html` that holds them."""

import platform
import shlex
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import jax

from attn_jax.measure import ReportCard
from attn_jax.plot.card import card_content
from attn_jax.pretrained import Pretrained, Source, available
from attn_jax.train.disk.manifest import write_atomically
from experiments.invocation import program
from experiments.look.look import Look, Pairs
from experiments.report import save_sheet
from experiments.report.figure_words import figures_in
from experiments.report.pictures import read_pictures
from experiments.report.render import render


def write_page(
    folder: Path,
    look: Look,
    model: Pretrained,
    arguments: Sequence[str],
    card: ReportCard | None = None,
    *,
    language: str = "en",
) -> Path:
    """Draw the figures and write the page that holds them.

    Args:
        folder: The folder of this look.
        look: The content.
        model: The model.
        arguments: The words of the command line, for the page to repeat.
        card: The report card, if there is one.
        language: The language that the page opens in, and of the words inside its figures, `"en"`
            or `"zh"`, Chinese.

    Returns:
        The page's path.
    """
    with figures_in(language):
        for sheet in look.sheets:
            save_sheet(folder, sheet)
    page = folder / "report.html"
    content = render(
        "look/look.html.jinja",
        list(read_pictures(folder / "figures")),
        language=language,
        name=short_name(model.name),
        time=datetime.now(UTC).strftime("%Y-%m-%d %H:%M"),
        source=_source(model),
        look=look,
        card=None if card is None else card_content(card),
        model=_model_facts(model),
        command=f"{program()} look {shlex.join(arguments)}",
        code=_code(model, look.inputs_code),
        facts=_run_facts(),
    )
    write_atomically(page, content)
    return page


def short_name(source: str) -> str:
    """Return the name of a model without the folders before it, to name a folder and a page.

    Example:
        >>> from experiments.look.page import short_name
        >>> short_name("minilm"), short_name("owner/model")
        ('minilm', 'owner--model')
    """
    path = Path(source)
    return (path.resolve().name or "model") if path.is_dir() else source.replace("/", "--")


def _source(model: Pretrained) -> Source | None:
    for source in available().values():
        if model.name in (source.name, source.hub_name) and not Path(model.name).is_dir():
            return source
    return None


def _model_facts(model: Pretrained) -> Pairs:
    facts = [("architecture", str(model.config.get("model_type")))]
    source = _source(model)
    if source is None:
        return [*facts, ("from", model.name), ("license", "not stated in the checkpoint's files")]
    bytes_are = "those that its makers published" if source.is_upstream else "converted by others"
    hub_name = [("name on the hub", source.hub_name)] if source.hub_name else []
    return [
        *hub_name,
        ("made by", source.origin),
        ("license", source.license),
        *facts,
        ("weights", f"{bytes_are}; sha256 checked"),
    ]


def _code(model: Pretrained, inputs_code: str) -> str:
    return (
        "from attn_jax import hooks, pretrained\n\n"
        f"model = pretrained.load({model.name!r})\n"
        f"{inputs_code}\n"
        'out, weights = hooks.capture(model, "*.weights")(inputs)'
    )


def _run_facts() -> Pairs:
    devices = jax.devices()
    versions = [(name, version(name)) for name in ("jax", "flax")]
    return [
        ("device", f"{len(devices)} × {devices[0].device_kind}"),
        ("python", platform.python_version()),
        *versions,
    ]
