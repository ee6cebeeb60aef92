"""Reading annotations out of MATLAB files, whatever the nesting.

MATLAB knows neither scalars nor flat lists: a number is a 1x1 matrix, a list a 1xN or Nx1 cell or struct array, and
files written by other tools wrap or unwrap one level more. The functions here look through that, turn every number into
float64 (files mix unsigned and signed integer types, and ``uint16`` wraps around when subtracted), and name the file
and the place where something else stands than expected.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.io import loadmat

from jde_lightning.errors import InputError
from jde_lightning.structures import IntArray


def read_variable(file: Path, names: Sequence[str]) -> Any:
    """Read the one variable of a MATLAB file (format 4 to 7) that counts.

    Args:
        file: the MATLAB file, with any suffix.
        names: what the variable may be called; the first one that the file holds is taken.

    Returns:
        What :func:`scipy.io.loadmat` makes of it; see :func:`elements`, :func:`column` and :func:`stack`.

    Raises:
        InputError: if the file is missing, damaged, no MATLAB file, in the HDF5 format of MATLAB 7.3, or has no such
            variable.
    """
    try:
        with file.open("rb") as stream:
            variables = loadmat(stream)
    except FileNotFoundError as error:
        msg = f"{file}: no such file, expected a MATLAB file with the variable {' or '.join(names)}"
        raise InputError(msg) from error
    except NotImplementedError as error:
        msg = f"{file}: this is a MATLAB 7.3 (HDF5) file, expected format 7 or older as in the official download; "
        raise InputError(msg + "load it in MATLAB and save it with -v7") from error
    except Exception as error:  # a damaged file fails wherever its bytes first make no sense to the parser
        reason = str(error).replace("\n", " ")
        msg = f"{file}: cannot be read as a MATLAB file ({reason}); it is damaged or something else, download it again"
        raise InputError(msg) from error
    for name in names:
        if name in variables:
            return variables[name]
    found = ", ".join(name for name in variables if not name.startswith("__")) or "nothing"
    msg = f"{file}: no variable {' or '.join(names)}, found {found}; is it the file of another dataset or split?"
    raise InputError(msg)


def elements(value: Any) -> list[Any]:
    """List the members of a cell array or struct array, of whatever orientation; a single struct lists itself.

    Args:
        value: an array as :func:`scipy.io.loadmat` returns it. A cell that only wraps another cell is opened.

    Returns:
        The members, each freed from cells that only wrap it; nothing for an empty array.
    """
    if isinstance(value, np.void):
        return [value]
    array = np.asarray(value)
    while _is_cell(array) and array.size == 1 and _is_cell(array.flat[0]):
        array = array.flat[0]
    if _is_cell(array):
        return [_bare(member) for member in array.flat]
    if array.dtype.names or array.size == 0:
        return list(array.flat)
    return [array]


def column(structs: Any, name: str, where: str) -> list[Any]:
    """Take one field of every struct of a struct array (or of a cell array of structs).

    Args:
        structs: the array; an empty array of any type has no structs.
        name: name of the field.
        where: file and place, for the error.

    Returns:
        One value per struct.

    Raises:
        InputError: if a member is no struct or has no such field.
    """
    names = getattr(getattr(structs, "dtype", None), "names", None)
    if isinstance(structs, np.ndarray) and names and name in names:
        return list(structs[name].flat)  # one look-up for the whole array instead of one per struct
    return [_field(struct, name, where) for struct in elements(structs)]


def field(struct: Any, name: str, where: str) -> Any:
    """Take one field of a single struct.

    Args:
        struct: a 1x1 struct, wrapped or not.
        name: name of the field.
        where: file and place, for the error.

    Raises:
        InputError: if there is not exactly one struct, or it has no such field.
    """
    values = column(struct, name, where)
    if len(values) != 1:
        msg = f"{where}: found {len(values)} structs, expected one with the field {name}; download the file again"
        raise InputError(msg)
    return values[0]


def text(value: Any, where: str) -> str:
    """Return a MATLAB string; an empty array of any type is the empty string.

    Raises:
        InputError: if it is something else.
    """
    array = np.asarray(_bare(value))
    if array.size == 0:
        return ""
    if array.dtype.kind == "U" and array.size == 1:
        return str(array.flat[0])
    msg = f"{where}: found {_described(array)}, expected a string; download the file again"
    raise InputError(msg)


def stack(values: Iterable[Any], columns: int, where: str) -> tuple[npt.NDArray[np.float64], IntArray]:
    """Stack numeric matrices of equal width on top of each other, as float64 whatever their types.

    Args:
        values: matrices ``(n, columns)``, vectors of ``columns`` numbers (one row), or empty arrays (no row).
        columns: expected width.
        where: file and place, for the error.

    Returns:
        ``(N, columns)`` float64, and ``(len(values),)`` int64 rows of each value.

    Raises:
        InputError: if a value has another width, is not numeric or not finite.
    """
    arrays = [np.asarray(_bare(value)) for value in values]
    for array in arrays:
        width = array.size if array.ndim < 2 or array.size == columns else array.shape[1]
        if array.dtype.kind not in "biuf" or (array.size and width != columns):
            msg = f"{where}: found {_described(array)}, expected rows of {columns} numbers; download the file again"
            raise InputError(msg)
    rows = [array.reshape(-1, columns) for array in arrays]
    stacked = np.concatenate([np.zeros((0, columns)), *rows], dtype=np.float64)
    if not np.isfinite(stacked).all():
        msg = f"{where}: found a number that is NaN or infinite, expected finite ones; download the file again"
        raise InputError(msg)
    return stacked, np.array([len(row) for row in rows], dtype=np.int64)


def one_row_each(values: Sequence[Any], columns: int, where: str) -> npt.NDArray[np.float64]:
    """Stack values that must be one row each: ``(len(values), columns)`` float64.

    Raises:
        InputError: as :func:`stack`, and if a value is empty or has several rows.
    """
    rows, counts = stack(values, columns, where)
    if (counts != 1).any():
        first = int(np.flatnonzero(counts != 1)[0])
        msg = f"{where}: entry {first + 1} has {counts[first]} rows, expected one of {columns} numbers; "
        raise InputError(msg + "download the file again")
    return rows


def _is_cell(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.dtype.kind == "O"


def _bare(value: Any) -> Any:
    """Take a value out of 1x1 cells around it."""
    while _is_cell(value) and value.size == 1:
        value = value.flat[0]
    return value


def _field(struct: Any, name: str, where: str) -> Any:
    struct = _bare(struct)
    names = getattr(getattr(struct, "dtype", None), "names", None)
    if not names or name not in names:
        found = f"the fields {', '.join(names)}" if names else _described(np.asarray(struct))
        msg = f"{where}: found {found}, expected a struct with the field {name}; download the file again"
        raise InputError(msg)
    return _bare(struct.flat[0] if isinstance(struct, np.ndarray) else struct)[name]


def _described(array: npt.NDArray[Any]) -> str:
    kinds = {"U": "text", "O": "a cell array", "V": "a struct"}
    if array.dtype.kind not in kinds:
        return f"a {'x'.join(str(n) for n in array.shape) or '1x1'} matrix"
    return kinds[array.dtype.kind]
