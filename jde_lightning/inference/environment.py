"""What a measurement was made with: processor, accelerator, threads, versions."""

from __future__ import annotations

import os
import platform
import sys
from importlib import metadata
from pathlib import Path

import cv2

from jde_lightning import __version__

_PACKAGES = ("torch", "torchvision", "onnxruntime", "openvino", "numpy", "opencv-python", "lap", "ultralytics")


def describe_environment() -> dict[str, str]:
    """Describe the machine and the software, in a few words each.

    Returns:
        Name to value: processor, cores, accelerator, threads, system, and the version of each package that is here.
        torch is asked only where it has been imported already.
    """
    found = {
        "processor": _processor(),
        "cores": str(_usable_cores()),
        "system": f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
        "jde-lightning": __version__,
    }
    for name in _PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    found["threads"] = f"OpenCV {cv2.getNumThreads()}"
    torch = sys.modules.get("torch")
    if torch is not None:
        found["threads"] = f"torch {torch.get_num_threads()}, {found['threads']}"
        if torch.cuda.is_available():
            found["accelerator"] = f"{torch.cuda.get_device_name()}, CUDA {torch.version.cuda}"
    return found


def _usable_cores() -> int:
    """Cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _processor() -> str:
    """Name of the processor, as well as the system tells it."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
