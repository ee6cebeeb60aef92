"""The code blocks of the documentation, and the commands in them."""

import re
import shlex
import textwrap
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted(ROOT.glob("docs/**/*.md")), *sorted(ROOT.glob("configs/**/README.md"))]
PAGES = [page for page in PAGES if "_mkdocs" not in page.parts]
_FENCE = re.compile(r"^( *)(`{3,})(\S*)\s*$")
_MARKER = re.compile(r"<!-- (not executed|needs): ?(.+?) -->")


class Block(NamedTuple):
    """A fenced block.

    Attributes:
        page: the file, from the root of the repository.
        line: line of the file, from 1, of the first line of the block.
        language: as the fence says.
        text: what is in it, without its indentation.
        why_not: the reason given in the page for not executing it; empty if none.
        needs: the package without which it cannot be executed; empty if none.
    """

    page: str
    line: int
    language: str
    text: str
    why_not: str
    needs: str

    @property
    def name(self) -> str:
        """Where it is, as an editor takes it."""
        return f"{self.page}:{self.line}"


def blocks(language: str | None = None) -> list[Block]:
    """All blocks of all pages, or those of a language."""
    found = [block for page in PAGES for block in _blocks_of(page)]
    return [block for block in found if language in (None, block.language)]


def _blocks_of(page: Path) -> list[Block]:
    lines = page.read_text(encoding="utf-8").splitlines()
    found, begin, closing, language = [], 0, "", ""
    marks: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        fence = _FENCE.match(line)
        if closing:
            if line.strip() == closing:
                text = textwrap.dedent("\n".join(lines[begin : number - 1])) + "\n"
                name = page.relative_to(ROOT).as_posix()
                found.append(
                    Block(name, begin + 1, language, text, marks.get("not executed", ""), marks.get("needs", ""))
                )
                closing, marks = "", {}
        elif fence:
            begin, closing, language = number, fence[2], fence[3]
        elif marker := _MARKER.search(line):
            marks[marker[1]] = marker[2]
        elif line.strip():
            marks = {}
    assert not closing, f"{page}: a block that is not closed"
    return found


def indented_blocks(page: Path) -> list[int]:
    """Lines at which Markdown would see code without a language: indented by four, after an empty line, in no list."""
    lines = re.sub(r"(?ms)^( *)```.*?^ *```", lambda m: "\n" * m[0].count("\n"), page.read_text()).splitlines()
    found, in_list = [], False
    for number, line in enumerate(lines):
        if re.match(r"\s*([*+-]|\d+\.|:) ", line):
            in_list = True
        elif line and not line.startswith(" "):
            in_list = False
        code = line.startswith("    ") and number and not lines[number - 1].strip() and not in_list
        if code and not re.match(r"[!?]{3}", _last_unindented(lines, number)):
            found.append(number + 1)
    return found


def _last_unindented(lines: list[str], number: int) -> str:
    return next((line for line in reversed(lines[:number]) if line and not line.startswith(" ")), "")


def commands(text: str) -> list[list[str]]:
    """The words of each command of a shell script: comments, environment variables and loops around them left out."""
    found: list[list[str]] = []
    for line in text.replace("\\\n", " ").splitlines():
        lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
        lexer.wordchars += "$[]{}"
        lexer.whitespace_split = True
        command: list[str] = []
        into_file = False
        for word in [*lexer, ";"]:
            if word in (";", "&&", "|", "||", ">"):
                found.append(command)
                command, into_file = [], word == ">"
            elif not into_file:
                command.append(word)
    found = [words[1:] if words[:1] == ["do"] else words for words in found]
    while any(words and re.fullmatch(r"[A-Z_]+=.*", words[0]) for words in found):
        found = [words[1:] if words and re.fullmatch(r"[A-Z_]+=.*", words[0]) else words for words in found]
    return [words for words in found if words and words[0] not in ("for", "done")]


def inline_code(page: Path) -> list[str]:
    """The pieces of code in the running text of a page."""
    text = re.sub(r"(?ms)^( *)```.*?^ *```", "", page.read_text(encoding="utf-8"))
    return [" ".join(piece.split()) for piece in re.findall(r"(?<!`)`([^`]+)`(?!`)", text)]
