"""The site builds without a warning and loads nothing from elsewhere; what is made from the code is whole."""

import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
import yaml
from page_blocks import ROOT

from jde_lightning import cli

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The built site."""
    for name in ("mkdocs", "mkdocstrings_handlers.python", "latex2mathml", "material"):
        pytest.importorskip(name, reason="needs the extra docs: pip install -e '.[docs]'")
    folder = tmp_path_factory.mktemp("site")
    command = [
        sys.executable,
        "-W",
        "ignore",
        "-m",
        "mkdocs",
        "build",
        "--strict",
        "--quiet",
        "--site-dir",
        str(folder),
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600)
    problems = [line for line in done.stderr.splitlines() if line.startswith(("WARNING", "ERROR", "Aborted"))]
    assert (done.returncode, problems) == (0, []), done.stderr[-3000:]
    return folder


class Page(HTMLParser):
    """What a page loads, the places that links can go to, and its text."""

    def __init__(self, path):
        super().__init__()
        self.loads, self.anchors, self.text = [], set(), []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        self.anchors.add(values.get("id"))
        if tag in ("script", "img", "iframe", "source", "video") and values.get("src"):
            self.loads.append(values["src"])
        if tag == "link" and values.get("rel") not in ("canonical", "prev", "next"):
            self.loads.append(values.get("href"))

    def handle_data(self, data):
        self.text.append(data)


@pytest.mark.slow
def test_nothing_is_loaded_from_elsewhere(site):
    pages = sorted(site.rglob("*.html"))
    assert len(pages) > 60
    for path in pages:
        for source in Page(path).loads:
            assert not re.match(r"(https?:)?//", source), f"{path}: {source}"
            # 404.html has absolute addresses, because it stands for any page
            target = site / source.lstrip("/") if path.name == "404.html" else path.parent / source
            assert source.startswith("data:") or Path(str(target).partition("?")[0]).resolve().exists(), (path, source)
    styles = "".join(path.read_text(encoding="utf-8") for path in site.rglob("*.css"))
    assert not re.search(r"url\([\"']?(https?:)?//", styles)


@pytest.mark.slow
def test_the_overview_of_the_reference_leads_to_all_its_pages(site):
    overview = (site / "reference" / "index.html").read_text(encoding="utf-8")
    pages = [path.parent for path in (site / "reference").rglob("index.html") if path.parent != site / "reference"]
    assert len(pages) > 10
    for page in pages:
        place = page.relative_to(site / "reference").as_posix()
        assert re.search(rf'<li>\s*<a href="{place}/"', overview), place


@pytest.mark.slow
def test_every_key_of_the_configuration_has_its_entry(site):
    """Against what `fit --print_config` prints, read as YAML."""
    command = [sys.executable, "-m", "jde_lightning", "fit", "--print_config"]
    printed = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300, cwd=ROOT).stdout
    page = Page(site / "reference" / "configuration" / "index.html")
    text = "".join(page.text)
    expected = dict(flat(yaml.safe_load(printed)))
    assert len(expected) > 150
    for key, value in expected.items():
        assert key in page.anchors, f"{key} is missing"
        default = "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
        assert re.search(rf"(?<![\w.]){re.escape(key)} [^\n]*, default {re.escape(default)}\n", text), (key, default)


def flat(mapping, prefix=""):
    """The keys of a configuration with dots; the settings of whole groups, not the groups."""
    for key, value in mapping.items():
        if isinstance(value, dict):
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def test_no_key_of_ours_is_without_description():
    import configuration_reference as reference

    undescribed = [key.name for key in reference.all_keys() if not key.text.strip()]
    undescribed += [
        f"{kind.__name__}.{key.name}"
        for kind in reference.classes()
        for key in reference.class_keys(kind)
        if not key.text.strip()
    ]
    assert undescribed == []


def test_every_class_that_a_configuration_may_name_has_its_section():
    import configuration_reference as reference

    names = {kind.__name__ for kind in reference.classes()}
    found = set()
    for path in (ROOT / "configs").rglob("*.yaml"):
        found |= set(re.findall(r"class_path: (?:jde_lightning\.[\w.]+\.)?(\w+)\b(?!\.)", path.read_text()))
    assert found
    assert {name for name in found if name in dir_of_ours()} <= names
    assert {"CrowdHuman", "YOLO11JDETracker", "ReIDLoss", "SyntheticCrowd", "AugmentationConfig", "Phase"} <= names


def dir_of_ours():
    import jde_lightning.data as data
    import jde_lightning.losses as losses
    import jde_lightning.tracking as tracking

    return {*data.__all__, *losses.__all__, *tracking.__all__, "SyntheticCrowd"}


def test_every_verb_and_option_is_on_the_page():
    import command_line_reference as reference

    page = reference.page()
    for verb in cli._OWN_VERBS:
        assert f"\n## {verb}\n" in page
        for action in reference.parser_of(verb)._actions:
            for option in action.option_strings:
                assert f"`{option}`" in page
    assert "Default: `None`" not in page


def test_every_public_name_is_in_the_reference():
    import importlib

    import api_reference as reference

    pages = "\n".join(reference.pages().values())
    for name in ("losses", "tracking", "metrics", "models", "data", "inference", "callbacks", "plots"):
        module = importlib.import_module(f"jde_lightning.{name}")
        for public in module.__all__:
            value = getattr(module, public)
            assert re.search(rf"^::: {re.escape(value.__module__)}\.{public}$", pages, re.M), f"{name}.{public}"


def test_types_are_told_in_words():
    from collections.abc import Callable, Iterable
    from typing import Literal, Optional, Union

    from configuration_reference import type_name

    assert type_name(Optional[int]) == type_name(int | None) == "int or null"  # noqa: UP045
    assert type_name(Literal["n", "s"]) == '"n" or "s"'
    assert type_name(list[str]) == "list of str"
    assert type_name(Union[None, dict[str, float]]) == "mapping of str to float or null"  # noqa: UP007
    assert type_name(Callable[[Iterable], int]) == "int class"


@pytest.mark.parametrize(
    ("link", "uri", "expected"),
    [
        ("[a](../configs/README.md)", "x.md", "[a](configs/README.md)"),
        ("[a](../../configs/own.yaml#b)", "datasets/x.md", "[a](../configs/own.yaml.md#b)"),
        ("[a](../docs/x.md)", "configs/README.md", "[a](../x.md)"),
        ("[a](../configs/cluster)", "x.md", "[a](configs/cluster/README.md)"),
        ("[a](../setup.cfg)", "x.md", "a (`setup.cfg`)"),
        (
            "[a](y.md) [b](https://x.org/y.md) ![c](../z.png)",
            "x.md",
            "[a](y.md) [b](https://x.org/y.md) ![c](../z.png)",
        ),
    ],
)
def test_links_into_the_repository(link, uri, expected):
    from repository_pages import relink

    known = {"configs/README.md", "configs/own.yaml.md", "x.md", "y.md", "configs/cluster/README.md"}
    assert relink(link, uri, known) == expected


def test_formulas_become_mathml():
    pytest.importorskip("latex2mathml")
    from formulas import to_mathml

    page = r'<p>a <span class="arithmatex">\(x &lt; y\)</span></p><div class="arithmatex">\[\frac{1}{2}\]</div>'
    made = to_mathml(page)
    assert "arithmatex" not in made
    assert made.count("<math") == 2
    assert "<mfrac>" in made
    assert 'class="formula"' in made
    with pytest.raises(ValueError, match="arg cannot be written"):
        to_mathml(r'<span class="arithmatex">\(\arg x\)</span>')


@pytest.mark.parametrize(
    "html",
    [
        '<script src="https://cdn.x/y.js">',
        '<link href="//fonts.x/y.css" rel="stylesheet">',
        '<img alt="" src=http://x/y.png>',
    ],
)
def test_page_that_loads_from_elsewhere_is_refused(html):
    from repository_pages import check_local

    with pytest.raises(ValueError, match="loads from elsewhere"):
        check_local(f"<html>{html}</html>", "x.md")
    assert check_local('<a href="https://x"></a>', "x.md")
