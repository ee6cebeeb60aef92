import re

import pytest
from page_blocks import PAGES, ROOT, _blocks_of, blocks, commands, indented_blocks

LANGUAGES = {"bash", "python", "yaml", "text", "markdown"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_block_says_what_it_is(page):
    found = _blocks_of(page)
    assert [block.line for block in found if block.language not in LANGUAGES] == []
    assert indented_blocks(page) == []
    # what could be executed does not hide as text
    hidden = ("jde-lightning ", "python -m", "pip install", "import ", "from jde_lightning")
    assert [b.line for b in found if b.language == "text" and b.text.startswith(hidden) and not b.why_not] == []


def test_reasons_are_told_only_where_a_block_follows():
    for page in PAGES:
        marks = page.read_text(encoding="utf-8").count("<!-- not executed:")
        assert marks == sum(bool(block.why_not) for block in _blocks_of(page)), page


def test_most_blocks_are_executed():
    found = [block for block in blocks() if block.language not in ("text", "markdown")]
    assert len(found) > 50
    assert sum(not block.why_not for block in found) / len(found) > 0.85


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a --b c  # d\n", [["a", "--b", "c"]]),
        ("a \\\n  b && c; d | e\n", [["a", "b"], ["c"], ["d"], ["e"]]),
        ('X=1 Y="2 3" a "b *" 2\n', [["a", "b *", "2"]]),
        ("for x in a/*-B c; do\n  f $x --y z\ndone\n", [["f", "$x", "--y", "z"]]),
        ("for x in a; do f $x; done\n", [["f", "$x"]]),
        ("pip install -e '.[dev]'\n", [["pip", "install", "-e", ".[dev]"]]),
        ("a b > c.yaml && d\n", [["a", "b"], ["d"]]),
        ("# only a comment\n\n", []),
    ],
)
def test_commands_of_a_script(text, expected):
    assert commands(text) == expected


def test_blocks_of_a_page(tmp_path, monkeypatch):
    page = tmp_path / "page.md"
    page.write_text(
        "text\n\n1. in a list\n\n   ```bash\n   a\n     b\n   ```\n\n<!-- not executed: no GPU -->\n\n```python\nx\n"
        "```\n\n<!-- needs: boxmot -->\n```python\ny\n```\n\n<!-- not executed: of nothing -->\nwords\n\n```yaml\n"
        "z: 1\n```\n"
    )
    monkeypatch.setattr("page_blocks.ROOT", tmp_path)
    found = _blocks_of(page)
    assert [(b.line, b.language, b.text, b.why_not, b.needs) for b in found] == [
        (6, "bash", "a\n  b\n", "", ""),
        (13, "python", "x\n", "no GPU", ""),
        (18, "python", "y\n", "", "boxmot"),
        (25, "yaml", "z: 1\n", "", ""),
    ]


def test_indented_code_is_found_and_lists_are_not(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("words\n\n    code\n\n* list\n\n    its text\n\n!!! note\n\n    its text\n\nwords\n\n    code\n")
    assert indented_blocks(page) == [3, 15]


def test_every_figure_that_the_page_on_embeddings_names_has_its_example():
    page = "docs/exploring_embeddings.md"
    named = set(re.findall(r"`(plot_\w+)`", (ROOT / page).read_text(encoding="utf-8")))
    called = set(re.findall(r"\b(plot_\w+)\(", "".join(b.text for b in blocks("python") if b.page == page)))
    assert len(named) >= 8
    assert named <= called
