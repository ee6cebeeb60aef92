"""Links between the pages lead somewhere for whoever reads them as files: in a clone, or on GitHub."""

import re

import pytest
from page_blocks import PAGES, ROOT

READ = sorted({*PAGES, *ROOT.glob("*.md")})
LINK = re.compile(r"!?\[(?:[^\[\]]|\[[^\]]*\])*\]\(([^)\s]+)\)")


def without_code(text):
    """The text without fenced blocks and code within lines."""
    return re.sub(r"(?<!`)`[^`\n]+`(?!`)", "", re.sub(r"(?ms)^( *)(`{3,}).*?^ *\2", "", text))


def anchors(page):
    """What GitHub calls the headings of a page: lower case, punctuation gone, a hyphen for every space."""
    found = set()
    for heading in re.findall(r"(?m)^#{1,6} +(.+?)\s*$", re.sub(r"(?ms)^( *)(`{3,}).*?^ *\2", "", page.read_text())):
        words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
        slug = re.sub(r"[^\w\- ]", "", words).replace(" ", "-")
        number = 0
        while (name := f"{slug}-{number}" if number else slug) in found:
            number += 1
        found.add(name)
    return found


def broken(page, text):
    """Links of a page that lead nowhere."""
    for target in LINK.findall(without_code(text)):
        if re.match(r"[a-z]+:", target):
            continue
        place, _, anchor = target.partition("#")
        path = (page.parent / place).resolve() if place else page
        inside = path == ROOT or ROOT in path.parents
        if not (inside and path.exists()) or (anchor and anchor not in anchors(path)):
            yield target


@pytest.mark.parametrize("page", READ, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_of_a_page_lead_somewhere(page):
    assert list(broken(page, page.read_text(encoding="utf-8"))) == []


def test_a_link_that_leads_nowhere_is_found():
    page = ROOT / "docs" / "index.md"
    text = (
        "[a](reference/keys.md) ![b](images/none.png) [c](#licence) [d](#license) [e](../../x) `[f](g)` "
        "[h](metrics.md#no-such) [i](https://x) [`j`](architecture.md)\n```\n[k](l)\n```\n"
    )
    assert list(broken(page, text)) == [
        "reference/keys.md",
        "images/none.png",
        "#license",
        "../../x",
        "metrics.md#no-such",
    ]
    assert {ROOT / "README.md", ROOT / "docs" / "tutorials" / "first_run.md"} <= set(READ)
