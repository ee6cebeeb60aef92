"""``jde-lightning data synthesize``: write the synthetic crowd."""

from __future__ import annotations

import argparse
from pathlib import Path

HELP: str = "write a synthetic dataset in the official layouts of MOT17 and CrowdHuman"

EPILOG: str = "examples:\n  jde-lightning data synthesize --output datasets/synthetic --seed 1 --train-sequences 8"

_OPTIONS = (
    ("train_sequences", 4, "sequences in MOT17/train"),
    ("val_sequences", 2, "sequences in MOT17/val"),
    ("frames", 60, "frames of each sequence"),
    ("stills", 120, "pictures in CrowdHuman"),
    ("width", 640, "image width in pixels"),
    ("height", 384, "image height in pixels"),
    ("people", 12, "people in view at a time, about"),
    ("frame_rate", 15, "frames per second of the sequences"),
    ("seed", 0, "another seed gives another dataset"),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the verb."""
    parser.epilog = EPILOG
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="folder to fill; new or empty")
    for name, default, text in _OPTIONS:
        flag = "--" + name.replace("_", "-")
        parser.add_argument(flag, type=int, default=default, metavar="N", help=f"{text} (default: {default})")


def run(args: argparse.Namespace) -> int:
    """Write the set and a contact sheet of it, and print what is where.

    Args:
        args: the parsed options.

    Returns:
        The exit code 0.

    Raises:
        InputError: if an option is out of range or the folder holds something else.
    """
    import cv2

    from jde_lightning.data.synthetic import SyntheticCrowd
    from jde_lightning.data.synthetic.preview import contact_sheet
    from jde_lightning.files import written_whole

    crowd = SyntheticCrowd(**{name: getattr(args, name) for name, _, _ in _OPTIONS})
    root: Path = args.output
    already = crowd.is_written(root)
    crowd.write(root)
    with written_whole(root / "preview.png") as temporary:
        cv2.imwrite(str(temporary), contact_sheet(crowd))
    print(f"{root}: {crowd.images} images{' (already there)' if already else ''}")
    for split in ("train", "val"):
        print(f"  MOT17/{split}: {getattr(args, f'{split}_sequences')} sequences of {args.frames} frames")
    print(f"  CrowdHuman: {args.stills} images, annotation_train.odgt")
    print("  preview.png: some of them with boxes and identities")
    return 0
