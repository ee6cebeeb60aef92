"""Help texts of options that several verbs share, so that they say the same."""

from __future__ import annotations

TRACKER_HELP = "yolo11_jde (default), fairmot, bytetrack, low_frame_rate, short_training, or a YAML file"

CONFIG_HELP = "file, or name of a packaged configuration, as for fit; may repeat"

IMAGE_SIZE_HELP = (
    "longest side of the network's input (default: as the checkpoint was validated; 640 for plain YOLO11 weights)"
)
