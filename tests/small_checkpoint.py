"""A network of a test's own, written as ``fit`` would write it."""

from pathlib import Path

import torch

from jde_lightning.models.network import YOLO11JDE


def write_checkpoint(network: YOLO11JDE, path: Path, image_size: int, **more: object) -> Path:
    """Write what loading a network needs, and whatever else the test wants in the file.

    Args:
        network: its first classes are called person, rider and dog.
        path: the file; its folder is created.
        image_size: that it was validated at, in pixels.
        more: further keys of the checkpoint, such as ``epoch``.

    Returns:
        The path.
    """
    facts = {
        "scale": network.scale,
        "embed_dim": network.embed_dim,
        "embedding_pooling": network.embedding_pooling,
        "class_names": ["person", "rider", "dog"][: network.num_classes],
        "image_size": image_size,
    }
    state = {f"network.{name}": tensor for name, tensor in network.state_dict().items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save({"state_dict": state, "hyper_parameters": {}, "jde_lightning": facts, **more}, path)
    return path
