import cv2
import numpy as np
import pytest
import torch

from jde_lightning.data.collate import collate_validation
from jde_lightning.data.datasets import FrameDataset
from jde_lightning.data.index import FrameIndex
from jde_lightning.inference.predictor import Predictor
from jde_lightning.inference.sources import open_source
from jde_lightning.module import JDEModule
from jde_lightning.structures import FrameAnnotations


@pytest.fixture(scope="module", params=[("plain", False), ("light", True)], ids=str)
def module(request):
    torch.manual_seed(0)
    branch, fusion = request.param
    made = JDEModule(
        scale="n", embed_dim=8, reid_branch=branch, reid_fusion=fusion, image_size=128, conf=0.01, max_det=30
    )
    if fusion:  # it begins as the identity
        for layer in made.network.model[-1].cv4.fusion.expand:
            torch.nn.init.ones_(layer.bn.weight)
    made.network.train()
    with torch.no_grad():
        made.network(torch.rand(4, 3, 128, 128))
        for branch in made.network.model[-1].cv3:
            torch.nn.init.normal_(branch[2].weight, std=0.3)
            branch[2].bias.fill_(-2.0)
    return made.eval()


def test_checkpoint_detects_as_its_validation_did(module, tmp_path):
    rng = np.random.default_rng(1)
    folder = tmp_path / "frames"
    folder.mkdir()
    frames = []
    for number in (1, 2):
        path = folder / f"{number:06d}.jpg"
        cv2.imwrite(str(path), cv2.resize(rng.integers(0, 255, (9, 16, 3), dtype=np.uint8), (320, 180)))
        frames.append(FrameAnnotations(path, 320, 180, [], [], [], [], [], sequence="frames", frame=number))
    checkpoint = {"state_dict": module.state_dict(), "hyper_parameters": dict(module.hparams)}
    module.on_save_checkpoint(checkpoint)
    torch.save(checkpoint, tmp_path / "last.ckpt")

    dataset = FrameDataset(FrameIndex.from_frames(frames), image_size=128)
    expected = module.validation_step(collate_validation([dataset[0], dataset[1]]), 0).detections
    predictor = Predictor.from_checkpoint(tmp_path / "last.ckpt", conf=0.01, max_det=30, device="cpu")
    found = predictor.detect([frame.image for frame in open_source(str(folder))])

    assert predictor.image_size == 128
    for one, other in zip(found, expected, strict=True):
        assert len(one) == len(other) == 30
        # The predictor folds batch norms into convolutions, which rounds differently: boxes that are as confident as
        # each other may change places.
        place = np.abs(one.boxes[None] - other.boxes[:, None]).max(axis=2).argmin(axis=1)
        assert sorted(place) == list(range(30))
        one = one[place]
        np.testing.assert_allclose(one.boxes, other.boxes, atol=1e-3)
        np.testing.assert_allclose(one.scores, other.scores, atol=1e-6)
        np.testing.assert_allclose(one.embeddings, other.embeddings, atol=1e-5)

    exact = Predictor.from_checkpoint(
        tmp_path / "last.ckpt", conf=0.01, max_det=30, device="cpu", embeddings="dense", fold=False
    )
    for one, other in zip(exact.detect([frame.image for frame in open_source(str(folder))]), expected, strict=True):
        np.testing.assert_array_equal(one.boxes, other.boxes)
        np.testing.assert_array_equal(one.scores, other.scores)
        np.testing.assert_array_equal(one.embeddings, other.embeddings)
