"""What an exported file says about itself: all that running it needs, as text in the metadata of the ONNX file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from jde_lightning import __version__
from jde_lightning.errors import InputError

FORMAT = 1
"""To be raised when a file means something else than before."""

_PREFIX = "jde_lightning."
PREPROCESSING = {
    "layout": "NCHW float32",
    "color": "RGB",
    "scale": "divided by 255",
    "fit": "bilinear, aspect kept, to image_size or into the fixed size; grey around the centre to multiples of stride",
    "padding": 114,
}
"""How images become input, for programs that do not use this package."""


@dataclass(frozen=True, slots=True)
class ExportFacts:
    """The metadata of an exported file, each field under its name after ``jde_lightning.``, as JSON.

    Attributes:
        class_names: name of each class.
        image_size: longest side of the input in pixels.
        fixed_size: height and width of the input in pixels; ``None`` if any multiples of ``stride`` will do.
        embed_dim: width of the embeddings; ``None`` where there are none.
        stride: sides of the input are multiples of it.
        pooling: which anchors describe the appearance of a box, ``best`` or ``mean``.
        suppression: ``conf``, ``iou`` and ``max_det`` of the suppression inside the graph; ``None`` if there is none.
        tracker: ``class_path`` and ``init_args`` of the tracker to use.
        weights: name of the checkpoint that was exported.
        weights_sha256: of its content.
        parity: largest differences from torch that the export measured, see ``inference/export_parity.py``.
        preprocessing: how images become input.
        version: of the package that exported.
        format: of this metadata.
    """

    class_names: list[str]
    image_size: int
    fixed_size: tuple[int, int] | None
    embed_dim: int | None
    stride: int = 32
    pooling: str = "best"
    suppression: dict[str, float] | None = None
    tracker: dict[str, Any] = field(default_factory=dict)
    weights: str = ""
    weights_sha256: str = ""
    parity: dict[str, float] = field(default_factory=dict)
    preprocessing: dict[str, Any] = field(default_factory=lambda: dict(PREPROCESSING))
    version: str = __version__
    format: int = FORMAT

    def to_metadata(self) -> dict[str, str]:
        """The texts that go into the file."""
        return {_PREFIX + name: json.dumps(value) for name, value in asdict(self).items()}

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, str], path: object) -> ExportFacts:
        """Read the texts of a file.

        Args:
            metadata: of the file; keys of others are ignored.
            path: the file, for the error.

        Raises:
            InputError: if the file was not exported by this package, or by a version that this one does not know.
        """
        ours = {key.removeprefix(_PREFIX): text for key, text in metadata.items() if key.startswith(_PREFIX)}
        if not ours:
            msg = f"{path}: not exported by this package; write it with `jde-lightning export --weights CHECKPOINT`"
            raise InputError(msg)
        known = [each.name for each in fields(cls)]
        try:
            values = {name: json.loads(text) for name, text in ours.items() if name in known}
            if values.get("format") != FORMAT:
                msg = f"{path}: exported in format {values.get('format')} by version {values.get('version')}; this is "
                msg += f"version {__version__}, which reads format {FORMAT}; export again"
                raise InputError(msg)
            if values["fixed_size"] is not None:
                height, width = values["fixed_size"]
                values["fixed_size"] = (int(height), int(width))
            return cls(**values)
        except InputError:
            raise
        except (TypeError, ValueError, KeyError) as error:
            msg = f"{path}: the metadata is damaged ({error}); export again"
            raise InputError(msg) from error
