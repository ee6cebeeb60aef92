"""The only place that imports ultralytics: quiet, offline, and without its side effects on this process.

Importing ultralytics writes a settings file, sets thread counts, patches ``torch.save`` and ``PIL.Image.open``,
changes print options and warning filters, and looks up hosts. This module sets the environment that prevents what can
be prevented, imports the few names that the package uses, and puts back what was changed.
"""

from __future__ import annotations

import os
import tempfile
import warnings
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import PIL.Image
import torch
import torchvision  # noqa: F401  # imported before ultralytics, whose own NMS otherwise falls back to a slow loop


def check_version(found: str) -> None:
    """Refuse a release whose assigner or heads give other numbers or other types.

    Args:
        found: version of the installed ultralytics.

    Raises:
        ImportError: if it is older than 8.4.190 or newer than 8.4.
    """
    numbers = tuple(int("".join(c for c in part if c.isdigit()) or 0) for part in found.split(".")[:3])
    if not (8, 4, 190) <= numbers < (8, 5):
        wanted = "ultralytics>=8.4.190,<8.5"
        msg = f"jde_lightning needs {wanted}, found {found}: pip install '{wanted}'"
        raise ImportError(msg)


_user = f"_{os.getuid()}" if hasattr(os, "getuid") else ""
for _key, _value in {
    "YOLO_OFFLINE": "true",
    "YOLO_AUTOINSTALL": "false",
    "YOLO_VERBOSE": "false",
    "YOLO_CONFIG_DIR": str(Path(tempfile.gettempdir()) / f"jde_lightning_ultralytics{_user}"),
}.items():
    os.environ.setdefault(_key, _value)

_TOUCHED = ("OMP_NUM_THREADS", "NUMEXPR_MAX_THREADS", "TF_CPP_MIN_LOG_LEVEL", "TORCH_CPP_LOG_LEVEL", "KINETO_LOG_LEVEL")
_environment = {key: os.environ.get(key) for key in _TOUCHED}
_cv2_threads = cv2.getNumThreads()
_numpy_print = np.get_printoptions()
_torch_print = vars(torch._tensor_str.PRINT_OPTS).copy()
_patched = ((torch, "save"), (PIL.Image, "open"), (cv2, "imread"), (cv2, "imwrite"), (cv2, "imshow"))
_originals = [getattr(module, name) for module, name in _patched]

with warnings.catch_warnings():
    from ultralytics import __version__ as VERSION

    check_version(VERSION)
    from ultralytics.nn.modules import Conv, Detect
    from ultralytics.nn.tasks import DetectionModel
    from ultralytics.utils.loss import v8DetectionLoss
    from ultralytics.utils.torch_utils import initialize_weights

for _key, _old in _environment.items():
    if _old is None:
        os.environ.pop(_key, None)
    else:
        os.environ[_key] = _old
cv2.setNumThreads(_cv2_threads)
np.set_printoptions(**_numpy_print)
vars(torch._tensor_str.PRINT_OPTS).update(_torch_print)
for (_module, _name), _original in zip(_patched, _originals, strict=True):
    setattr(_module, _name, _original)


def load_yolo(weights: str) -> Any:
    """Open a checkpoint with ``ultralytics.YOLO``, its front end, which is imported only for this."""
    from ultralytics import YOLO

    return YOLO(weights)


def default_tracker(name: str) -> dict[str, Any]:
    """The parameters that a tracker of ultralytics has by default, such as ``botsort``."""
    from ultralytics.utils import YAML
    from ultralytics.utils.checks import check_yaml

    return dict(YAML.load(check_yaml(f"{name}.yaml")))


__all__ = [
    "VERSION",
    "Conv",
    "Detect",
    "DetectionModel",
    "check_version",
    "default_tracker",
    "initialize_weights",
    "load_yolo",
    "v8DetectionLoss",
]
