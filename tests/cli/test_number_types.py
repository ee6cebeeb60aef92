from typing import Union

import pytest
from jsonargparse import ArgumentParser
from lightning.pytorch.cli import LightningArgumentParser

from jde_lightning.cli.lightning_verbs import JDELightningCLI
from jde_lightning.cli.number_types import whole_numbers_first

FLOAT_FIRST = float | int | None  # keeps its order; so may Lightning's, which says Optional[Union[int, float]], become


class Limited:
    def __init__(self, batches: FLOAT_FIRST = None, name: Union[float, int, str, None] = None) -> None:  # noqa: UP007
        pass


@pytest.mark.parametrize(("text", "value"), [("1", 1), ("1.0", 1.0), ("0.5", 0.5), ("null", None)])
def test_a_whole_number_is_one_whatever_the_order_of_the_types(text, value):
    parser = ArgumentParser()
    parser.add_class_arguments(Limited, "limited")
    whole_numbers_first(parser)
    found = parser.parse_args(["--limited.batches", text, "--limited.name", text]).limited
    for each in (found.batches, found.name):
        assert each == value
        assert type(each) is type(value)


def test_fit_does_it():
    parser = LightningArgumentParser()
    for key in ("data.image_size", "data.val_image_size", "model.image_size"):
        parser.add_argument(f"--{key}", type=int)
    for key in ("data.class_names", "model.class_names"):
        parser.add_argument(f"--{key}", type=list)
    parser.add_argument("--trainer.limit_train_batches", type=FLOAT_FIRST)
    JDELightningCLI.add_arguments_to_parser(None, parser)
    (action,) = [each for each in parser._actions if each.dest == "trainer.limit_train_batches"]
    assert action._typehint.__args__ == (int, float, type(None))
