"""From a checkpoint to one ONNX file that runs without torch, checked against torch before it gets its name."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from jde_lightning.errors import InputError, UsageError
from jde_lightning.files import written_whole
from jde_lightning.inference.cache import file_sha256
from jde_lightning.inference.export_facts import ExportFacts
from jde_lightning.inference.loading import LoadedNetwork, load_network
from jde_lightning.inference.prediction_options import check_options
from jde_lightning.models.architecture import Scale
from jde_lightning.models.export_graph import DetectionGraph

_LOG = logging.getLogger(__name__)

OPSET = 18
_DEFAULT_SIZE = 640
_MOST_IMAGES, _MOST_CELLS = 1024, 256  # of a batch, and of the coarsest level along a side: 8192 pixels
_PACKAGES = ("onnx", "onnxscript", "onnxruntime")


class Suppression(NamedTuple):
    """The suppression that becomes part of a graph.

    Attributes:
        conf: confidence that a detection must exceed, in 0..1.
        iou: overlap above which the less confident of two boxes of a class goes, in 0..1.
        max_det: most detections of an image and class.
    """

    conf: float = 0.1
    iou: float = 0.7
    max_det: int = 300


class Exported(NamedTuple):
    """What was written.

    Attributes:
        path: the file.
        facts: its metadata.
        inputs: name and shape of the input, dynamic sides by name.
        outputs: name and shape of each output.
    """

    path: Path
    facts: ExportFacts
    inputs: dict[str, tuple[int | str, ...]]
    outputs: dict[str, tuple[int | str, ...]]


def export_onnx(
    weights: Path,
    output: Path,
    size: int | tuple[int, int] | None = None,
    dynamic_size: bool = False,
    suppression: Suppression | None = None,
    tracker: dict[str, Any] | None = None,
    scale: Scale | None = None,
    report: Callable[[str], None] = _LOG.info,
) -> Exported:
    """Write a network with its metadata as one ONNX file.

    Args:
        weights: checkpoint of this package; or, with ``scale``, YOLO11 weights of ultralytics or of the authors.
        output: the file, ``NAME.onnx``; its folder is created.
        size: of the input in pixels, multiples of 32: one side of a square, or height and width. With ``dynamic_size``
            the longest side that images are fitted to. The size of the checkpoint's validation if omitted.
        dynamic_size: whether the input may have any height and width that are multiples of 32.
        suppression: makes the suppression part of the graph; ``None`` leaves it to what follows.
        tracker: ``class_path`` and ``init_args`` of the tracker to use, for the metadata.
        scale: size of the network, which only weights of others leave open.
        report: told what is being done.

    Returns:
        What was written.

    Raises:
        ParityError: if onnxruntime does not compute what torch computes; then nothing is written.
        InputError: if the weights cannot be used, a value is out of its range, or a package is missing.
    """
    _check_packages()
    if output.suffix.lower() != ".onnx":
        msg = f"{output}: an exported network is a .onnx file; call it {output.name}.onnx"
        raise UsageError(msg)
    if suppression is not None:
        check_options(_DEFAULT_SIZE, *suppression)
    loaded = load_network(weights, scale)
    height, width = _size(size, loaded, dynamic_size)
    facts = ExportFacts(
        class_names=loaded.class_names,
        image_size=max(height, width),
        fixed_size=None if dynamic_size else (height, width),
        embed_dim=loaded.network.embed_dim if loaded.appearance else None,
        stride=loaded.network.strides[-1],
        pooling=loaded.network.embedding_pooling if loaded.appearance else "best",
        suppression=None if suppression is None else suppression._asdict(),
        tracker=tracker or {},
        weights=weights.name,
        weights_sha256=file_sha256([weights]),
    )
    graph = DetectionGraph(loaded.network, loaded.appearance, unit_norm=suppression is None)
    report(f"tracing the network at {height}x{width} pixels (height x width)")
    model = _traced(graph, (height, width), dynamic_size)
    with written_whole(output) as temporary:
        model = _checked(model, graph, facts, (height, width), temporary, report)
        _write(model, temporary)
    shapes = [{each.name: _shape(each) for each in part} for part in (model.graph.input, model.graph.output)]
    return Exported(output, ExportFacts.from_metadata(_metadata(model), output), *shapes)


def _checked(
    model: Any,
    graph: DetectionGraph,
    facts: ExportFacts,
    size: tuple[int, int],
    temporary: Path,
    report: Callable[[str], None],
) -> Any:
    """Compare the graph with torch, append the suppression if it is wanted, and add the metadata."""
    from jde_lightning.inference.export_parity import BATCHES, check_parity

    sizes = [size]
    if facts.fixed_size is None:  # another shape than the traced one, and no square
        sizes.append((max(size[0] // 2 // facts.stride, 1) * facts.stride, size[1]))
    report(f"comparing onnxruntime with torch on batches of {' and '.join(map(str, BATCHES))}")
    _write(model, temporary)
    facts = replace(facts, parity=check_parity(graph, temporary, sizes))
    if facts.suppression is not None:
        model = _with_suppression(model, facts, size, temporary)
    for key, text in facts.to_metadata().items():
        entry = model.metadata_props.add()
        entry.key, entry.value = key, text
    model.producer_name, model.producer_version = "jde_lightning", facts.version
    return model


def _with_suppression(model: Any, facts: ExportFacts, size: tuple[int, int], temporary: Path) -> Any:
    """Append the suppression, and check it where there is something to suppress."""
    from jde_lightning.inference.export_parity import candidate_threshold, check_suppression, made_up_images
    from jde_lightning.inference.onnx_sessions import open_session
    from jde_lightning.inference.onnx_suppression import add_suppression

    inside = Suppression(**facts.suppression)  # type: ignore[arg-type]
    dense = open_session(temporary, "onnxruntime", "cpu").run(made_up_images(4, *size))
    # Nobody stands in made-up images: the threshold of the check is lower than that of the file.
    trial = inside._replace(conf=float(np.float32(candidate_threshold(dense))))
    _write(add_suppression(model, len(facts.class_names), *trial, facts.pooling, keep_dense=True), temporary)
    check_suppression(temporary, size, *trial, facts.pooling)
    return add_suppression(model, len(facts.class_names), *inside, facts.pooling)


def _traced(graph: DetectionGraph, size: tuple[int, int], dynamic_size: bool) -> Any:
    """Turn the torch graph into an ONNX model with readable names of inputs, outputs and dynamic sides."""
    from torch.export import Dim

    stride = graph.network.strides[-1]
    dynamic: dict[int, Any] = {0: Dim("batch", min=1, max=_MOST_IMAGES)}
    if dynamic_size:
        dynamic[2] = stride * Dim("rows", min=1, max=_MOST_CELLS)
        dynamic[3] = stride * Dim("columns", min=1, max=_MOST_CELLS)
    # An example must not have sides of which the tracer could take one for the other, or for the batch.
    height, width = (stride * 3, stride * 5) if dynamic_size else size
    with warnings.catch_warnings(), redirect_stdout(StringIO()):  # the exporter tells its steps on stdout
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            graph,
            (torch.zeros(2, 3, height, width),),
            dynamo=True,
            input_names=["images"],
            output_names=graph.output_names,
            dynamic_shapes=(dynamic,),
            opset_version=OPSET,
            verbose=False,
        )
    if program is None:  # said by the types for older exporters
        msg = "torch.onnx.export returned nothing"
        raise RuntimeError(msg)
    model = program.model_proto
    for value in (*model.graph.input, *model.graph.output):
        for axis, told in ({2: "height", 3: "width"} if value.name == "images" else {1: "anchors"}).items():
            dim = value.type.tensor_type.shape.dim[axis]
            if dim.dim_param:
                dim.dim_param = told
    del model.metadata_props[:]  # of the tracer
    return model


def _size(size: int | tuple[int, int] | None, loaded: LoadedNetwork, dynamic_size: bool) -> tuple[int, int]:
    """Height and width of the input.

    Raises:
        InputError: if one is no positive multiple of 32, or a rectangle makes no sense.
    """
    if size is None:
        size = loaded.image_size or _DEFAULT_SIZE
    sides = (size, size) if isinstance(size, int) else size
    for side in sides:
        check_options(side, 0, 0, 1)
    if dynamic_size and sides[0] != sides[1]:
        msg = f"with a dynamic size, images are fitted to one longest side; give one number instead of {sides}"
        raise InputError(msg)
    return sides


def _check_packages() -> None:
    """Refuse to start where a package is missing that is needed only to export."""
    from importlib.util import find_spec

    missing = [name for name in _PACKAGES if find_spec(name) is None]
    if missing:
        msg = f"exporting needs {', '.join(missing)}; pip install 'jde-lightning[export]'"
        raise InputError(msg)


def _write(model: Any, path: Path) -> None:
    path.write_bytes(model.SerializeToString())


def _metadata(model: Any) -> dict[str, str]:
    return {entry.key: entry.value for entry in model.metadata_props}


def _shape(value: Any) -> tuple[int | str, ...]:
    return tuple(dim.dim_param or dim.dim_value for dim in value.type.tensor_type.shape.dim)
