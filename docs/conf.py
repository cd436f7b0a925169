"""Configuration of the documentation, which `make docs` builds without a network."""

import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(Path(__file__).parent / "_ext"))

# Below the path that the extensions are found by.
from attn_jax import __version__ as release  # noqa: E402
from experiments.benchmarks.record import state_of_the_code  # noqa: E402

project = "attn_jax"
author = "the attn_jax authors"
version = release
extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "myst_nb",
    "api_pages",
    "benchmarks",
    "docstrings",
    "live_viewer",
    "mathml",
    "notebooks",
    "pictures",
    "signatures",
    "weights",
]
exclude_patterns = ["_build", "_ext", "data", "stored"]

# Docstrings: single backticks are code, and a link where the code is documented.
default_role = "py:obj"
add_module_names = False
python_maximum_signature_line_length = 90
toc_object_entries_show_parents = "hide"
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
autodoc_typehints_format = "short"
autosummary_generate = False
# The tables of the reference name things as users import them.
suppress_warnings = ["autosummary.import_cycle"]
napoleon_numpy_docstring = False
napoleon_custom_sections = [("Attributes", "params_style")]
napoleon_use_admonition_for_examples = False
viewcode_follow_imported_members = True


myst_enable_extensions = ["amsmath", "attrs_block", "attrs_inline", "colon_fence", "dollarmath"]
myst_heading_anchors = 3
# Run once for each state of the code, so that what they show is what it does.
nb_execution_mode = "cache"
nb_execution_cache_path = str(ROOT / "docs/_build/notebooks" / state_of_the_code())
nb_execution_raise_on_error = True
nb_execution_timeout = 600
nb_execution_show_tb = True
nb_ipywidgets_js = {}
nb_merge_streams = True

html_theme = "furo"
html_title = f"attn_jax {release}"
html_static_path = ["_static"]
html_extra_path = ["llms.txt"]
html_css_files = ["attn_jax.css"]
html_show_copyright = False
html_show_sphinx = False
html_copy_source = False
pygments_style = "a11y-high-contrast-light"
pygments_dark_style = "a11y-high-contrast-dark"
html_theme_options = {
    "light_css_variables": {
        "color-brand-primary": "#821b5c",
        "color-brand-content": "#821b5c",
        "color-brand-visited": "#821b5c",
    },
    "dark_css_variables": {
        "color-brand-primary": "#f9b07b",
        "color-brand-content": "#f9b07b",
        "color-brand-visited": "#f9b07b",
    },
}
