"""Help texts of options that several verbs share, so that they say the same."""

from __future__ import annotations

TRACKER_HELP = "yolo11_jde (default), fairmot, bytetrack, low_frame_rate, or a YAML file"

IMAGE_SIZE_HELP = (
    "longest side of the network's input (default: as the checkpoint was validated; 640 for plain YOLO11 weights)"
)

WEIGHTS_HELP = "checkpoint of fit; a file of export (.onnx, needs no torch); or YOLO11 weights with --scale"

BACKEND_HELP = "what runs an exported network: onnxruntime or openvino (default: the first that is installed)"
