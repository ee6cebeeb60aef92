"""What `mkdocs build` does beside reading docs/: pages that the code writes, links into the repository, formulas.

MkDocs calls these functions by their names (``hooks`` in mkdocs.yml).
"""

from __future__ import annotations

from typing import Any

import api_reference
import command_line_reference
import configuration_reference
import formulas
import repository_pages
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Add the pages that nobody writes by hand: they are made from the code each time, so they are never behind it."""
    generated = {
        "reference/configuration.md": configuration_reference.keys_page(),
        "reference/classes.md": configuration_reference.classes_page(),
        "reference/command_line.md": command_line_reference.page(),
        **api_reference.pages(),
        **repository_pages.pages(),
    }
    index = files.get_file_from_path("reference/README.md")
    if index is not None:
        files.remove(index)
        generated[index.src_uri] = repository_pages.with_pages_below(index.content_string, index.src_uri, generated)
    for uri, content in generated.items():
        files.append(File.generated(config, uri, content=content))
    return files


def on_page_markdown(markdown: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn links to files of the repository into links within the site."""
    return repository_pages.relink(markdown, page.file.src_uri, {file.src_uri for file in files})


def on_page_content(html: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Write formulas as MathML."""
    return formulas.to_mathml(html)


def on_post_page(output: str, *, page: Page, config: MkDocsConfig) -> Any:
    """Refuse a page that would load something from elsewhere."""
    return repository_pages.check_local(output, page.file.src_uri)
