"""The finished trials of a search on disk, in a SQLite file of Optuna (so that its dashboard opens it too)."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jde_lightning.errors import InputError

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

_NAME = "tune"
_SETTINGS = "settings"
_TIMEOUT_SECONDS = 60


def import_optuna() -> Any:
    """Return the optional package ``optuna``, with its chatter off.

    Raises:
        InputError: if it is not installed.
    """
    try:
        optuna = importlib.import_module("optuna")
    except ImportError as error:
        msg = 'tune needs the package optuna, which is not installed: pip install "jde-lightning[tune]"'
        raise InputError(msg) from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


class TrialStore:
    """Keeps finished trials; an interrupted search goes on from them.

    A trial is written when it is finished, in one transaction, by the one process that decides: no half trial is left
    by an interrupt, worker processes never wait for the file, and two searches in one folder only add to each other.

    Args:
        path: the file; created if needed, with its folder.
        settings: what must be equal for trials to be comparable; values that JSON can hold.

    Raises:
        InputError: if the file holds trials of other settings, or is no such file.
    """

    def __init__(self, path: Path, settings: dict[str, Any]) -> None:
        optuna = import_optuna()
        from sqlalchemy.exc import DatabaseError  # comes with optuna

        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            storage = optuna.storages.RDBStorage(
                f"sqlite:///{path.absolute()}", engine_kwargs={"connect_args": {"timeout": _TIMEOUT_SECONDS}}
            )
            self._study = optuna.create_study(
                storage=storage, study_name=_NAME, direction="maximize", load_if_exists=True
            )
        except DatabaseError as error:
            msg = f"{path}: cannot be used as the store of trials ({str(error).splitlines()[0]}); remove it"
            raise InputError(msg) from error
        settings = json.loads(json.dumps(settings))  # tuples become lists, as they come back
        known = self._study.user_attrs.get(_SETTINGS)
        if known is None:
            self._study.set_user_attr(_SETTINGS, settings)
        elif known != settings:
            key = next(key for key in {**known, **settings} if known.get(key) != settings.get(key))
            found, wanted = (json.dumps(values.get(key))[:80] for values in (known, settings))
            msg = f"{path}: holds a search with {key} {found}, not {wanted}; give another --output, or remove the file"
            raise InputError(msg)

    def trials(self) -> list[FrozenTrial]:
        """All finished trials."""
        return [trial for trial in self._study.get_trials(deepcopy=False) if trial.state.is_finished()]

    def add(self, trial: FrozenTrial) -> None:
        """Keep a finished trial."""
        self._study.add_trial(trial)
