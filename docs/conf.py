"""The site: these guides, the examples with their figures, and a reference of all public names.

`python -m sphinx -W -b html docs docs/_build` builds it; `-D plot_gallery=0` runs no example.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))  # site_pages

import site_pages

import sklearn_cnn

project = "sklearn_cnn"
author = copyright = "The sklearn_cnn developers"
release = version = sklearn_cnn.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.intersphinx",
    "numpydoc",
    "myst_parser",
    "sphinx_copybutton",
    "sphinx_gallery.gen_gallery",
    "site_pages",
]
exclude_patterns = ["_build", "_templates", "examples"]
templates_path = ["_templates"]

# Docstrings write `fit` where reStructuredText has ``fit``, as scikit-learn's do.
default_role = "literal"
autosummary_generate = True
numpydoc_show_class_members = False
# Links to our own names are checked. What types are called in docstrings is no name ("int").
nitpicky = True
nitpick_ignore_regex = [("py:.*", r"(?!sklearn_cnn).*")]

# Headings have the anchors that GitHub gives them.
myst_heading_anchors = 4

# Without a network the fallback, which holds nothing, leaves such names without a link.
intersphinx_mapping = {
    name: (address, (None, site_pages.EMPTY_INVENTORY))
    for name, address in {
        "python": "https://docs.python.org/3",
        "numpy": "https://numpy.org/doc/stable",
        "sklearn": "https://scikit-learn.org/stable",
        "skorch": "https://skorch.readthedocs.io/en/stable",
        "torch": "https://docs.pytorch.org/docs/stable",
    }.items()
}
intersphinx_timeout = 5

sphinx_gallery_conf = {
    "examples_dirs": "examples",
    "gallery_dirs": "auto_examples",
    "filename_pattern": site_pages.RUN_EXAMPLES,
    "within_subsection_order": "site_pages.example_order",
    "doc_module": "sklearn_cnn",
    "backreferences_dir": "api/backreferences",
    "default_thumb_file": str(site_pages.DOCS / "_static" / "logo.svg"),
    "show_memory": False,
    "write_computation_times": False,
}

html_theme = "pydata_sphinx_theme"
html_title = "sklearn_cnn"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sourcelink = False
html_logo = html_favicon = "_static/logo.svg"
html_context = {"default_mode": "auto"}
html_theme_options = {
    "logo": {"text": "sklearn_cnn"},
    "header_links_before_dropdown": 6,
    "show_toc_level": 2,
    "footer_start": ["copyright"],
    "footer_end": [],
    # two columns of code need the room
    "secondary_sidebar_items": {"**": ["page-toc"], "coming_from": []},
}
toc_object_entries_show_parents = "hide"
