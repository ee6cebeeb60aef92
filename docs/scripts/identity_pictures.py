"""Draw the pictures of docs/identities.md from the synthetic crowd: a batch of mosaics, and who is whom in a video.

Example:
    jde-lightning data synthesize --output datasets/synthetic
    python docs/scripts/identity_pictures.py --data datasets/synthetic --output docs/images
"""

import argparse
from pathlib import Path

import cv2
import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from jde_lightning.data.identities import assign_training_identities
from jde_lightning.data.linking import LinkingConfig
from jde_lightning.data.readers import MOTChallenge
from jde_lightning.datamodule import JDEDataModule
from jde_lightning.plots import draw_training_batch
from jde_lightning.plots.canvas import draw_box, draw_label
from jde_lightning.plots.colors import identity_color

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--data", type=Path, required=True, help="folder of `jde-lightning data synthesize`")
parser.add_argument("--output", type=Path, required=True, help="folder for the pictures")
parser.add_argument("--size", type=int, default=640, help="side of a mosaic in pixels")
args = parser.parse_args()


def write(name: str, picture: np.ndarray, quality: int = 62) -> None:
    """Write a JPEG, and say how large it is."""
    path = args.output / name
    cv2.imwrite(str(path), picture, [cv2.IMWRITE_JPEG_QUALITY, quality])
    print(f"{path}: {picture.shape[1]}x{picture.shape[0]}, {path.stat().st_size // 1000} kB")


# --- two mosaics of one batch: with mosaic_mode paired every image is in it twice
module = JDEDataModule(
    root=str(args.data),
    train=[MOTChallenge(path="MOT17/train", min_visibility=0.4)],
    val=[MOTChallenge(path="MOT17/val")],
    image_size=args.size,
    batch_size=2,
    num_workers=0,
    mosaic_mode="paired",
    index_cache=False,
    seed=5,
)
module.prepare_data()
module.setup("fit")
batch = next(iter(module.train_dataloader()))
arrays = [batch[key].numpy() for key in ("images", "boxes", "identities", "batch_idx")]
left, right = np.split(draw_training_batch(*arrays, tile=args.size), 2, axis=1)
gap = np.full((args.size, args.size // 40, 3), 255, np.uint8)
write("mosaic_pair.jpg", np.concatenate([left, gap, right], axis=1))

# --- the same people in four frames, with the identities of each setting
index = module.frame_index("train")
sequence = index.sequence_codes[0]
frames = np.flatnonzero(index.sequence_codes == sequence)
frames = frames[len(frames) // 2 :][:3]
settings = {
    "identities: per_box - every box is somebody (the paper)": assign_training_identities(index)[0],
    "identities: linked - boxes that can only be one person": assign_training_identities(index, None, LinkingConfig())[
        0
    ],
    "supervision: full - as annotated": assign_training_identities(index, dict.fromkeys(index.datasets, "full"))[0],
}
rows = []
for title, identities in settings.items():
    pictures = []
    for frame in frames:
        image = cv2.imread(str(index.frame(int(frame)).image_path))
        for row in np.flatnonzero(index.box_frames == frame):
            if identities[row] >= 0:
                color = identity_color(int(identities[row]))
                draw_box(image, index.boxes[row], color, 3)
                draw_label(image, str(identities[row]), tuple(index.boxes[row, :2].astype(int)), color, 1.0)
        pictures.append(image[image.shape[0] * 3 // 10 :])  # without the sky
    rows.append((title, pictures))

with mpl.rc_context({"font.size": 8, "font.family": "DejaVu Sans"}):
    figure = Figure(figsize=(9, 5.9), dpi=110, layout="constrained")
    for (title, pictures), part in zip(rows, figure.subfigures(len(rows), 1), strict=True):
        part.suptitle(title, fontsize=9, x=0.01, ha="left")
        for picture, axis, frame in zip(pictures, part.subplots(1, len(pictures)), frames, strict=True):
            axis.imshow(picture[..., ::-1])
            axis.set_axis_off()
            axis.set_title(f"frame {index.frame(int(frame)).frame}", fontsize=7, pad=2)
    figure.savefig(args.output / "who_is_whom.png")
picture = cv2.imread(str(args.output / "who_is_whom.png"))
(args.output / "who_is_whom.png").unlink()
write("who_is_whom.jpg", picture, 80)
