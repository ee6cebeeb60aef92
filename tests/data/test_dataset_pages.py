"""The YAML on the pages of docs/datasets is what the data module accepts."""

import re
import textwrap
from pathlib import Path

import pytest
import yaml
from jsonargparse import ArgumentParser

from jde_lightning.data.readers import COCO, LabelsWithIds, YOLOText
from jde_lightning.datamodule import JDEDataModule

PAGES = Path(__file__).resolve().parents[2] / "docs" / "datasets"
NAMES = {"yolo.md": YOLOText, "coco.md": COCO, "labels_with_ids.md": LabelsWithIds}


def blocks(page):
    found = re.findall(r"(?ms)^ *```yaml\n(.*?)^ *```", page.read_text())
    return [block for block in map(textwrap.dedent, found) if block.startswith("data:")]


EXAMPLES = [(page.name, block) for page in sorted(PAGES.glob("*.md")) for block in blocks(page)]


# deprecated in favour of a method that the oldest supported version does not have
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize(("page", "example"), EXAMPLES, ids=[page for page, _ in EXAMPLES])
def test_example_builds_its_readers(page, example):
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(JDEDataModule, "data")
    module = parser.instantiate_classes(parser.parse_string(example)).data
    for split, readers in yaml.safe_load(example)["data"].items():
        if split not in ("train", "val"):
            continue
        assert [type(reader).__name__ for reader in module.readers[split]] == [r["class_path"] for r in readers]
        for reader, written in zip(module.readers[split], readers, strict=True):
            settings = reader.settings()
            assert set(written.get("init_args", {})) <= set(settings)


def test_every_page_has_an_example():
    assert {page for page, _ in EXAMPLES} == {page.name for page in PAGES.glob("*.md")}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize(
    ("reader", "arguments", "kept"),
    [
        ("YOLOText", "sixth_column: none, classes: [a], names: null", {"sixth_column": "none", "classes": ["a"]}),
        ("YOLOText", "classes: {a: b}", {"classes": {"a": "b"}, "names": None}),
        ("COCO", "identity_key: none, coordinate_base: 1", {"identity_key": "none", "coordinate_base": 1}),
        ("LabelsWithIds", "lists: a.json, class_names: [a, b]", {"lists": "a.json", "class_names": ("a", "b")}),
        (
            "LabelsWithIds",
            "lists: {x: a, y: b}, class_names: null",
            {"lists": {"x": "a", "y": "b"}, "class_names": None},
        ),
    ],
)
def test_yaml_means_what_it_says(reader, arguments, kept):
    parser = ArgumentParser()
    parser.add_class_arguments(JDEDataModule, "data")
    example = f"data: {{train: [{{class_path: {reader}, init_args: {{{arguments}}}}}]}}"
    (made,) = parser.instantiate_classes(parser.parse_string(example)).data.readers["train"]
    assert made.settings().items() >= kept.items()


@pytest.mark.parametrize("name", NAMES)
def test_pages_describe_arguments_that_exist(name):
    text = (PAGES / name).read_text()
    arguments = {key for reader in NAMES.values() for key in reader().settings()}
    mentioned = set(re.findall(r"`(\w+): [^`]*`", text))
    elsewhere = {"negatives"}  # of the Re-ID loss
    assert mentioned - arguments - elsewhere == set()
