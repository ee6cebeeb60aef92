"""A small network, as a checkpoint and exported, for tests of what runs exported networks."""

from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from small_checkpoint import write_checkpoint

from jde_lightning.models.network import YOLO11JDE

SIZE = 96
INSIDE = {"conf": 0.3, "iou": 0.6, "max_det": 50}
TRACKER = {"class_path": "jde_lightning.tracking.FairMOTTracker", "init_args": {"conf_thresh": 0.2}}


class SmallExports(NamedTuple):
    """A checkpoint and what was exported of it.

    Attributes:
        checkpoint: 2 classes, embeddings of width 8, averaged over anchors.
        traced: the ONNX model before anything is added; to be copied before it is changed.
        dense: any size, all anchors, names FairMOT's tracker.
        suppressing: any size, with the suppression inside.
        fixed: 64x96 pixels (height x width), all anchors.
    """

    checkpoint: Path
    traced: Any
    dense: Path
    suppressing: Path
    fixed: Path


def make_small_exports(folder):
    """Trace once, which takes long, and write files of all kinds."""
    from jde_lightning.inference import onnx_export
    from jde_lightning.models.export_graph import DetectionGraph

    network = small_network("mean")
    checkpoint = write_checkpoint(network, folder / "best.ckpt", SIZE)
    traced = onnx_export._traced(DetectionGraph(network), (SIZE, SIZE), dynamic_size=True)
    inside = onnx_export.Suppression(**INSIDE)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(onnx_export, "_traced", lambda *_: copy_of(traced))
        export = onnx_export.export_onnx
        files = (
            export(checkpoint, folder / "dense.onnx", dynamic_size=True, tracker=TRACKER),
            export(checkpoint, folder / "suppressing.onnx", dynamic_size=True, suppression=inside),
            export(checkpoint, folder / "fixed.onnx", (64, 96)),
        )
    return SmallExports(checkpoint, traced, *(each.path for each in files))


def copy_of(model):
    """A copy of an ONNX model that may be changed."""
    copied = type(model)()
    copied.CopyFrom(model)
    return copied


def small_network(pooling="best", classes=2):
    """An untrained network that answers differently for different images, with scores far apart."""
    torch.manual_seed(0)
    network = YOLO11JDE("n", classes, embed_dim=8, embedding_pooling=pooling)
    norms = [layer for layer in network.modules() if isinstance(layer, torch.nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = 1.0  # all statistics are those of one batch, so that nothing fades from layer to layer
    network.train()
    with torch.no_grad():
        network(torch.nn.functional.interpolate(torch.rand(4, 3, 12, 12), SIZE))
        for branch in network.model[-1].cv2:
            branch[2].weight.mul_(0.1)  # distances that spread over several bins, as trained ones do
        for branch in network.model[-1].cv3:
            torch.nn.init.normal_(branch[2].weight, std=0.02)
            torch.nn.init.constant_(branch[2].bias, -1.0)
    return network.eval()
