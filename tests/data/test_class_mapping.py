from collections import Counter

import numpy as np
import pytest

from jde_lightning.data.class_mapping import describe_unwanted, map_classes
from jde_lightning.errors import InputError
from jde_lightning.structures import Role

P, I, O = Role.POSITIVE, Role.IGNORE, Role.OTHER  # noqa: E741


def mapped(labels, roles, names, wanted):
    labels, roles, others = map_classes(
        np.array(labels, np.int64), np.array(roles, np.int8), names, wanted, dataset="Zoo"
    )
    assert (labels.dtype, roles.dtype) == (np.int64, np.int8)
    return labels.tolist(), roles.tolist(), others


def test_by_name_and_what_is_not_wanted_becomes_other():
    labels, roles, others = mapped([0, 1, 2, 2], [P, P, P, P], ["car", "person", "dog"], ["dog", "person"])
    assert labels[1:] == [1, 0, 0]
    assert roles == [O, P, P, P]
    assert others == Counter(car=1)


def test_only_positives_have_a_class():
    assert mapped([0, 9, -1], [P, I, O], ["car", "person"], ["person", "car"]) == ([1, 0, 0], [P, I, O], Counter())


def test_upper_and_lower_case_do_not_matter_unless_they_must():
    assert mapped([0], [P], ["Person"], ["car", "person"])[0] == [1]
    assert mapped([0, 1], [P, P], ["Person", "person"], ["person", "Person"])[0] == [1, 0]
    assert mapped([0, 1], [P, P], ["PERSON", "person"], ["person", "Person"])[2] == Counter(PERSON=1)  # which of them?


def test_nothing_changes_for_equal_names_or_numbers_without_names():
    labels, roles = np.array([0, 1]), np.zeros(2, np.int8)
    for names in (["a", "b"], ("a", "b"), None):
        same_labels, same_roles, others = map_classes(labels, roles, names, ("a", "b"), "Zoo")
        assert same_labels is labels
        assert same_roles is roles
        assert not others


def test_nothing_in_common_lists_both_and_says_what_to_set():
    message = (
        "dataset 'Zoo' has the classes lion, tiger, data.class_names has person, car: none in common; name in "
        "data.class_names those classes of the dataset that are to be learned"
    )
    with pytest.raises(InputError) as error:
        mapped([0], [P], ["lion", "tiger"], ["person", "car"])
    assert str(error.value) == message
    assert mapped([0], [I], ["lion", "tiger"], ["person"])[1] == [I]  # pictures without objects are welcome
    assert mapped([], [], ["lion", "tiger"], ["person"]) == ([], [], Counter())


@pytest.mark.parametrize("number", [2, -1])
def test_numbers_without_a_name(number):
    with pytest.raises(InputError, match=rf"dataset 'Zoo' has class number {number}, but data.class_names has 2 names"):
        mapped([0, number], [P, P], None, ["a", "b"])
    with pytest.raises(InputError, match=rf"dataset 'Zoo' has class number {number}, but names 2 classes \(a, b\)"):
        mapped([0, number], [P, P], ["a", "b"], ["a"])


def test_long_lists_are_cut():
    names = [f"c{i:02d}" for i in range(80)]
    text = describe_unwanted(Counter({name: 80 - i for i, name in enumerate(names)}))
    assert text.endswith(": " + ", ".join(names[:12]) + " and 68 more")
