"""How Sphinx builds the documentation."""

from importlib.metadata import version as installed_version

project = "docsession"
author = "the docsession authors"
copyright = "2026, the docsession authors"
version = release = installed_version("docsession")

extensions = ["sphinx.ext.autodoc", "sphinx.ext.napoleon", "myst_parser"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = "docsession"

myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_class_signature = "mixed"
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True
# The signature has them already, with short names.
napoleon_attr_annotations = False
