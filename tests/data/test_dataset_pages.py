"""The configurations in docs/datasets can be copied: they are parsed against the real signatures."""

import re
from pathlib import Path

import pytest
import yaml
from jsonargparse import ArgumentParser

from jde_lightning.datamodule import JDEDataModule

PAGES = sorted((Path(__file__).resolve().parents[2] / "docs" / "datasets").glob("*.md"))
EXAMPLES = [
    (page.name, block) for page in PAGES for block in re.findall(r"```yaml\n(data:.*?)```", page.read_text(), re.S)
]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # the new name of instantiate_classes came in 4.49
@pytest.mark.parametrize(("page", "block"), EXAMPLES, ids=[page for page, _ in EXAMPLES])
def test_example_builds_its_readers(page, block):
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(JDEDataModule, "data")
    data = parser.instantiate_classes(parser.parse_string(block)).data
    for split, readers in yaml.safe_load(block)["data"].items():
        if split in ("train", "val"):
            assert [type(reader).__name__ for reader in data.readers[split]] == [r["class_path"] for r in readers]
            for reader, written in zip(data.readers[split], readers, strict=True):
                settings = reader.settings()
                assert {key: settings[key] for key in written["init_args"]} == written["init_args"]
