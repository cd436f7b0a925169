"""Write a page for each package of the library: all that it exports, by the file it comes from.

A table on top has each name with the first sentence of its description.

The pages follow from the sources, so a new function is documented by being exported: its section
is its file, introduced by the file's own docstring. They are written to `docs/generated/`.
"""

import ast
import dataclasses
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:  # so that the tests, which run without Sphinx, can ask what is documented
    from sphinx.application import Sphinx

ROOT = Path(__file__).parents[2]
ALSO = {
    "attn_jax.interop.kernels": {
        "attn_jax.interop.kernels": [
            "RULES",
            "blockwise_flash_attention",
            "pallas_gpu_attention",
            "pallas_tpu_flash_attention",
            "tap_context",
        ]
    },
    "experiments": {
        "experiments": ["load"],
        "experiments.experiment": ["Experiment", "settings"],
        "experiments.image": ["ImageExperiment", "RECIPE"],
        "experiments.retrieval": ["RetrievalExperiment"],
        "experiments.truth": ["Evidence"],
        "experiments.catalogue": ["experiments", "nearest", "table"],
    },
}
"""What is public in a package that exports no names, by the module that defines it."""


class Export(NamedTuple):
    """One public name.

    Attributes:
        package: That exports it, as `attn_jax.ops`.
        module: That defines it, as `attn_jax.ops.masks`.
        name: Itself.
    """

    package: str
    module: str
    name: str

    @property
    def directive(self) -> str:
        """The directive of autodoc that documents it."""
        value = getattr(import_module(self.module), self.name)
        if not isinstance(value, type):
            plain = type(value).__module__ == "typing" or not callable(value)
            return "autodata" if plain else "autofunction"
        return "autoexception" if issubclass(value, BaseException) else "autoclass"

    @property
    def settings(self) -> list[str]:
        """The fields of a class that hold functions, which autodoc would take for methods."""
        value = getattr(import_module(self.module), self.name)
        fields = dataclasses.fields(value) if dataclasses.is_dataclass(value) else ()
        return [f.name for f in fields if callable(getattr(value, f.name, None))]

    @property
    def path(self) -> str:
        """The name that users import; a constant's is that of the file with its description."""
        home = self.module if self.directive == "autodata" else self.package
        return f"{home}.{self.name}"

    def lines(self) -> Iterator[str]:
        """Yield the reStructuredText that documents it."""
        directive = self.directive
        yield f".. {directive}:: {self.path}"
        if directive == "autoclass":
            yield "   :members:"
            yield "   :special-members: __call__"
            yield f"   :exclude-members: {', '.join(self.settings)}"
        yield ""


def packages() -> list[str]:
    """Return the packages that have a page, in the order in which they build on each other."""
    order = ["hooks", "ops", "nn", "models", "tasks", "train", "measure", "plot"]
    found = {path.parent.name for path in (ROOT / "attn_jax").glob("[a-z]*/__init__.py")}
    known = [name for name in order if name in found]
    return [f"attn_jax.{name}" for name in (*known, *sorted(found - set(order)))] + [*ALSO]


def exports(package: str) -> list[Export]:
    """Return the public names of a package, in the order in which it imports them.

    Args:
        package: As `attn_jax.ops`.

    Returns:
        Every name of its `__all__`, beside the module it is imported from.
    """
    if package in ALSO:
        return [Export(m, m, name) for m, names in ALSO[package].items() for name in names]
    tree = ast.parse((ROOT / package.replace(".", "/") / "__init__.py").read_text("utf-8"))
    public = set(import_module(package).__all__)
    imported = [
        Export(package, node.module, alias.asname or alias.name)
        for node in tree.body
        if isinstance(node, ast.ImportFrom) and node.module
        for alias in node.names
        if (alias.asname or alias.name) in public
    ]
    defined = sorted(public - {export.name for export in imported})
    return [*imported, *(Export(package, package, name) for name in defined)]


def page(package: str) -> str:
    """Return the page of one package, as reStructuredText.

    Args:
        package: As `attn_jax.ops`.
    """
    lines = [package, "=" * len(package), "", f".. automodule:: {package}", "   :no-members:", ""]
    by_module: dict[str, list[Export]] = {}
    public = exports(package)
    lines += [".. autosummary::", "   :nosignatures:", ""]
    lines += [*(f"   ~{export.path}" for export in public), ""]
    for export in public:
        by_module.setdefault(export.module, []).append(export)
    for module, group in by_module.items():
        lines += _section(package, module, group)
    return "\n".join(lines)


def _section(package: str, module: str, group: list[Export]) -> Iterator[str]:
    """Yield the exports of one file, under its name."""
    if module != package:
        title = module.rpartition(".")[2].replace("_", " ").capitalize()
        yield from (title, "-" * len(title), "", _summary(module), "")
    for export in group:
        yield from export.lines()


def _summary(module: str) -> str:
    """Return the first paragraph of a file's docstring."""
    return " ".join((import_module(module).__doc__ or "").partition("\n\n")[0].split())


def write(app: "Sphinx") -> None:
    """Write the pages; those that have not changed are left alone, and so not built again."""
    folder = Path(app.srcdir) / "generated"
    folder.mkdir(exist_ok=True)
    pages = {folder / f"{package}.rst": page(package) for package in packages()}
    for stale in set(folder.glob("*.rst")) - set(pages):
        stale.unlink()
    for path, text in pages.items():
        if not path.exists() or path.read_text("utf-8") != text:
            path.write_text(text, "utf-8")


def setup(app: "Sphinx") -> dict[str, Any]:
    """Register."""
    app.connect("builder-inited", write)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
