"""Docstrings as pairs, read from the text of source files, none of which is ever imported."""

import ast
import inspect
import re
import warnings
from collections.abc import Iterable, Iterator, Sequence
from importlib.resources.abc import Traversable

from attn_jax.tasks.summaries.pair import Pair, split_words

__all__ = ["MOST_WORDS", "read_docstrings", "read_package", "without_copies"]

MOST_WORDS = 20
"""The most words of a summary; a longer first line is left out."""

_FEWEST_WORDS = 3
_FEWEST_DOCUMENT = 10
_FOREIGN = re.compile(r"_?vendor(ed)?|_?extern(al)?s?|third_party|.*compat.*|.*_extra")
_TESTS = re.compile(r"tests?|testing|.*_tests?(\.py)?|test_.*|conftest\.py")
_DOCUMENTED = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


def read_package(root: Traversable, origin: str) -> list[Pair]:
    """Read the docstrings of all Python files below a folder, in the order of their paths.

    Tests, and folders that hold other projects' code, are left out.

    Args:
        root: The folder.
        origin: The name of the package.
    """
    pairs = []
    for path in sorted(root.iterdir(), key=lambda path: path.name):
        if _FOREIGN.fullmatch(path.name) or _TESTS.fullmatch(path.name):
            continue
        if path.is_dir():
            pairs += read_package(path, origin)
        elif path.name.endswith(".py"):
            pairs += read_docstrings(path.read_text(encoding="utf-8"), origin)
    return pairs


def read_docstrings(source: str, origin: str) -> list[Pair]:
    """Read the docstrings of the functions and classes in the text of a source file.

    A docstring is a pair if its first line is a paragraph of 3 to 20 words and the rest has at
    least 10 words.

    Args:
        source: The text.
        origin: Where it is from.

    Returns:
        The pairs, in the order of the text; none if it is not Python.

    Example:
        >>> source = '''
        ... def halve(x):
        ...     \"\"\"Return half of a number.
        ...
        ...     The number x may be odd. Then what is left over goes to nobody, as in life.
        ...     \"\"\"
        ... '''
        >>> (pair,) = read_docstrings(source, "example")
        >>> " ".join(pair.summary), " ".join(pair.document[:6])
        ('return half of a number', 'the number x may be odd')
    """
    try:
        with warnings.catch_warnings(action="ignore"):  # Of escapes in the strings of others.
            tree = ast.parse(source)
    except SyntaxError:
        return []
    texts = (ast.get_docstring(node, clean=False) for node in _documented(tree))
    return [pair for text in texts if text and (pair := _pair(text, origin))]


def _documented(node: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef]:
    """Yield functions and classes. Expressions, which most nodes are, hold none."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.stmt):
            if isinstance(child, _DOCUMENTED):
                yield child
            yield from _documented(child)


def _pair(text: str, origin: str) -> Pair | None:
    first, _, rest = inspect.cleandoc(text).partition("\n")
    if rest[:1] != "\n":
        return None
    summary, document = split_words(first), split_words(rest)
    if not _FEWEST_WORDS <= len(summary) <= MOST_WORDS or len(document) < _FEWEST_DOCUMENT:
        return None
    return Pair(document, summary, origin)


def without_copies(pairs: Iterable[Pair]) -> Iterator[Pair]:
    """Leave out pairs whose document or summary occurs before, in whatever package.

    Args:
        pairs: The pairs.

    Yields:
        The others, in the same order.
    """
    known: set[Sequence[str]] = set()
    for pair in pairs:
        if pair.document not in known and pair.summary not in known:
            yield pair
        known |= {pair.document, pair.summary}
