import numpy as np
import pytest
from matlab_files import cell, number, row, structs, write_mat

from jde_lightning.data.readers.matlab import column, elements, field, one_row_each, read_variable, stack, text
from jde_lightning.errors import InputError


def saved(tmp_path, value):
    return read_variable(write_mat(tmp_path / "x.mat", x=value), ["x"])


@pytest.mark.parametrize(
    "value",
    [
        cell(["a", "b", "c"]),
        cell(["a", "b", "c"], (3, 1)),
        cell([cell(["a"]), cell(["b"]), cell(["c"])]),  # every member wrapped once more
        cell([cell(["a", "b", "c"])]),  # the whole wrapped once more
        np.array(["a", "b", "c"], dtype=object),
    ],
)
def test_lists_have_any_orientation_and_nesting(tmp_path, value):
    assert [text(member, "x") for member in elements(saved(tmp_path, value))] == ["a", "b", "c"]


def test_a_list_of_one_stays_a_list(tmp_path):
    one_struct = structs([{"name": "a"}], ["name"])
    for value in (cell([one_struct]), one_struct, {"name": "a"}):
        (member,) = elements(saved(tmp_path, value))
        assert text(field(member, "name", "x"), "x") == "a"


@pytest.mark.parametrize("empty", [np.zeros((0, 0)), cell([], (0, 0)), structs([], ["name"], (1, 0))])
def test_empty_arrays_of_any_type_have_no_members(tmp_path, empty):
    value = saved(tmp_path, empty)
    assert elements(value) == []
    assert column(value, "name", "x") == []


@pytest.mark.parametrize(
    "value",
    [
        structs([{"id": number(1)}, {"id": number(2)}], ["id"]),
        structs([{"id": number(1)}, {"id": number(2)}], ["id"], (2, 1)),
        cell([{"id": number(1)}, {"id": number(2)}]),
        [{"id": 1}, {"id": 2}],
    ],
)
def test_columns_of_struct_arrays_and_of_cells_of_structs(tmp_path, value):
    assert one_row_each(column(saved(tmp_path, value), "id", "x"), 1, "x").tolist() == [[1], [2]]


def test_numbers_become_float_before_anybody_subtracts(tmp_path):
    value = saved(tmp_path, cell([row(5, 3, dtype="uint8"), row(300, 7, dtype="uint16"), row(-4, 0, dtype="int16")]))
    rows, counts = stack(elements(value), 2, "x")
    assert rows.dtype == np.float64
    assert (rows[:, 1] - rows[:, 0]).tolist() == [-2, -293, 4]
    assert counts.tolist() == [1, 1, 1]


def test_stacks_matrices_vectors_and_nothing():
    rows, counts = stack([np.ones((2, 3)), np.zeros((0, 0)), np.array([4, 5, 6])], 3, "x")
    assert rows.tolist() == [[1, 1, 1], [1, 1, 1], [4, 5, 6]]
    assert counts.tolist() == [2, 0, 1]
    rows, counts = stack([], 4, "x")
    assert rows.shape == (0, 4)
    assert counts.tolist() == []


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (np.ones((2, 4)), "a 2x4 matrix"),
        (np.ones((3, 2)), "a 3x2 matrix"),
        (np.ones(4), "a 4 matrix"),
        (np.array("text"), "text"),
        (row(1, 2, np.nan), "a number that is NaN or infinite"),
    ],
)
def test_other_numbers_than_expected_are_named(value, found):
    with pytest.raises(InputError, match=f"^file, place: found {found}.*, expected .*download"):
        stack([value], 3, "file, place")


def test_missing_rows_are_named():
    with pytest.raises(InputError, match="^x: entry 2 has 0 rows, expected one of 4 numbers"):
        one_row_each([row(1, 2, 3, 4), np.zeros((0, 0))], 4, "x")


def test_other_things_than_expected_are_named(tmp_path):
    value = saved(tmp_path, structs([{"id": number(1), "pos": "a"}], ["id", "pos"]))
    with pytest.raises(InputError, match="^x: found the fields id, pos, expected a struct with the field lock"):
        field(value, "lock", "x")
    with pytest.raises(InputError, match="^x: found a 1x1 matrix, expected a struct with the field lock"):
        field(number(1), "lock", "x")
    with pytest.raises(InputError, match="^x: found 2 structs, expected one"):
        field(saved(tmp_path, [{"id": 1}, {"id": 2}]), "id", "x")
    with pytest.raises(InputError, match="^x: found a 1x1 matrix, expected a string"):
        text(number(1), "x")
    assert text(np.zeros((0, 0)), "x") == ""  # what MATLAB puts where a string was never set


def test_takes_the_first_name_there_is(tmp_path):
    file = write_mat(tmp_path / "x.mat", second=number(2), third=number(3))
    assert read_variable(file, ["first", "second", "third"]) == 2
    with pytest.raises(InputError, match=r"x\.mat: no variable fourth, found second, third; is it the file of another"):
        read_variable(file, ["fourth"])


@pytest.mark.parametrize("content", [b"", b"version https://git-lfs.github.com/spec/v1\n", b"<html></html>", None])
def test_damaged_files_are_one_clear_line(tmp_path, content):
    file = write_mat(tmp_path / "x.mat", x=np.arange(1000.0))
    file.write_bytes(file.read_bytes()[:500] if content is None else content)
    with pytest.raises(InputError, match=r"x\.mat: cannot be read as a MATLAB file .*download it again") as error:
        read_variable(file, ["x"])
    assert "\n" not in str(error.value)


def test_hdf5_and_missing_files_are_named(tmp_path):
    (tmp_path / "x.mat").write_bytes(b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM" + bytes(400))
    with pytest.raises(InputError, match=r"x\.mat: this is a MATLAB 7.3 \(HDF5\) file, .*save it with -v7"):
        read_variable(tmp_path / "x.mat", ["x"])
    with pytest.raises(InputError, match=r"y\.mat: no such file, expected a MATLAB file with the variable a or b"):
        read_variable(tmp_path / "y.mat", ["a", "b"])
