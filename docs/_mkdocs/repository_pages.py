"""Files of the repository that the documentation speaks of, as pages of the site: configurations and the changelog."""

from __future__ import annotations

import posixpath
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_LINK = re.compile(r"(?<!!)\[([^\[\]]+)\]\(([^)\s#]+)(#[^)\s]*)?\)")
_LOADED = re.compile(r"""(?:<(?:script|img|iframe|source|video)[^>]*\ssrc=|<link[^>]*\shref=)["']?(https?:)?//""")
_LANGUAGES = {".yaml": "yaml", ".sh": "bash", ".sbatch": "bash", ".def": "text", "": "dockerfile"}


def pages() -> dict[str, str]:
    """The pages, by their place in the site: that of ``configs/quickstart.yaml`` is ``configs/quickstart.yaml.md``."""
    found = {"changelog.md": (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")}
    for path in sorted((ROOT / "configs").rglob("*")):
        place = path.relative_to(ROOT).as_posix()
        if path.name == "README.md":
            found[place] = path.read_text(encoding="utf-8")
        elif path.is_file() and path.suffix in _LANGUAGES:
            found[f"{place}.md"] = (
                f"# {path.name}\n\n`{place}`\n\n```{_LANGUAGES[path.suffix]}\n{path.read_text(encoding='utf-8')}```\n"
            )
    return found


def relink(markdown: str, uri: str, known: set[str]) -> str:
    """Let links that are right in the repository be right in the site.

    Args:
        markdown: a page.
        uri: its place in the site, such as ``datasets/mot.md`` or ``configs/README.md``.
        known: places of all pages.

    Returns:
        The page. A link to a file or folder of the repository that is no page of the site becomes its text.
    """
    inside = "" if uri.startswith("configs/") or uri == "changelog.md" else "docs"
    here = posixpath.dirname(posixpath.join(inside, uri))

    def replace(found: re.Match[str]) -> str:
        text, target, anchor = found[1], found[2], found[3] or ""
        if re.match(r"[a-z]+:", target):
            return found[0]
        place = posixpath.normpath(posixpath.join(here, target))
        in_site = posixpath.relpath(place, "docs") if place.startswith("docs/") else place
        for candidate in (in_site, f"{in_site}.md", posixpath.join(in_site, "README.md")):
            if candidate in known:
                return f"[{text}]({posixpath.relpath(candidate, posixpath.dirname(uri) or '.')}{anchor})"
        if not place.startswith("docs/") and (ROOT / place).exists():
            return text if text.startswith("`") else f"{text} (`{place}`)"
        return found[0]  # a broken link: the strict build names it

    return _LINK.sub(replace, markdown)


def with_pages_below(markdown: str, uri: str, generated: dict[str, str]) -> str:
    """Add to an overview that is a file of the repository links to the pages that only the site has.

    Args:
        markdown: the overview.
        uri: its place in the site.
        generated: the pages by their place; those in the folder of the overview are named by their headings.
    """
    folder = posixpath.dirname(uri)
    links = [
        f"* [{content.splitlines()[0].removeprefix('# ')}]({posixpath.relpath(place, folder)})"
        for place, content in generated.items()
        if place.startswith(f"{folder}/")
    ]
    return "\n".join([markdown.rstrip(), "", "## Pages", "", *links, ""])


def check_local(output: str, uri: str) -> str:
    """Hold the site to its own files, so that it can be read without network and tells nobody who reads it.

    Args:
        output: the HTML of a whole page.
        uri: its place, for the message.

    Returns:
        The same.

    Raises:
        ValueError: if the page would load a script, a style, a font or a picture from elsewhere.
    """
    found = _LOADED.search(output)
    if found:
        msg = f"{uri} loads from elsewhere: {output[found.start() : found.end() + 60]!r}"
        raise ValueError(msg)
    return output
