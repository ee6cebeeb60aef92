import pytest

from jde_lightning.data.readers.class_choice import ClassChoice
from jde_lightning.errors import InputError

ANNOTATED = {1: "pedestrian", 2: "rider", 7: "car"}


@pytest.mark.parametrize(
    ("classes", "names", "labels"),
    [
        (None, ("pedestrian", "rider", "car"), {1: 0, 2: 1, 7: 2}),
        (["car", "pedestrian"], ("car", "pedestrian"), {1: 1, 7: 0}),
        ({"pedestrian": "person", "rider": "person"}, ("person",), {1: 0, 2: 0}),
        ([], (), {}),
    ],
    ids=["all", "some, in the order of the choice", "two become one", "none"],
)
def test_choice(classes, names, labels):
    choice = ClassChoice(ANNOTATED, classes, "a.json: categories")
    assert (choice.names, choice.labels) == (names, labels)


def test_unknown_class():
    with pytest.raises(InputError, match="a.json: categories: no class 'bike', found pedestrian, rider, car"):
        ClassChoice(ANNOTATED, ["bike"], "a.json: categories")
