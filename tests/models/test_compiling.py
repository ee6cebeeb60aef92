"""Networks are compiled no more than needed; that they then answer as before: ``tests/inference/test_predictor.py``."""

import logging

import pytest
import torch

from jde_lightning.errors import InputError
from jde_lightning.models import LateMaps, RawMaps
from jde_lightning.models.compiling import CompiledForward, cache_folder


class Means:
    """A stand-in for the network that answers each image with its mean, and takes part in no compilation."""

    def forward(self, images):
        means = images.mean(dim=(2, 3))[..., None]
        return RawMaps(means, means[:, :1], means, ((1, 1),))

    def forward_late(self, images):
        raw = self.forward(images)
        return LateMaps(raw.boxes, raw.scores, (images,), raw.shapes)


@pytest.fixture
def compiled_for(monkeypatch, tmp_path):
    """Shapes that would have been compiled, in order."""
    seen = []

    def fake(function, dynamic, options):
        assert dynamic is False
        assert options["freezing"] is True

        def run(images):
            if tuple(images.shape) not in seen:
                seen.append(tuple(images.shape))
            return function(images)

        return run

    monkeypatch.setattr(torch, "compile", fake)
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    return seen


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("mode", ["default", "reduce-overhead"])
def test_a_smaller_batch_is_filled_up(compiled_for, late, mode):
    forward = CompiledForward(Means(), late, mode)
    images = torch.rand(4, 3, 32, 64)
    expected = images.mean(dim=(2, 3))
    for count in (4, 3, 1, 4):
        maps = forward(images[:count])
        torch.testing.assert_close(maps.boxes[..., 0], expected[:count])
        assert len(maps.scores) == count
        if late:
            assert torch.equal(maps.features[0], images[:count])
    assert compiled_for == [(4, 3, 32, 64)]


def test_a_larger_batch_is_compiled_and_then_the_one_that_is_filled_up(compiled_for):
    forward = CompiledForward(Means(), late=False)
    for count in (1, 5, 2, 5):
        assert len(forward(torch.rand(count, 3, 32, 32)).boxes) == count
    assert compiled_for == [(1, 3, 32, 32), (5, 3, 32, 32)]


def test_images_of_very_many_sizes_run_uncompiled(compiled_for, caplog):
    forward = CompiledForward(Means(), late=False)
    with caplog.at_level(logging.WARNING):
        for side in range(32, 32 * 14, 32):
            image = torch.rand(1, 3, side, 32)
            torch.testing.assert_close(forward(image).boxes[..., 0], image.mean(dim=(2, 3)))
    assert len(compiled_for) == 8
    assert [record.message for record in caplog.records] == [
        "images of more than 8 shapes: the others run uncompiled; compile pays where all are of one size"
    ]


def test_unknown_mode():
    with pytest.raises(InputError, match="unknown compile 'fast'; choose one of none, default, reduce-overhead"):
        CompiledForward(Means(), late=False, mode="fast")


def test_code_is_kept_in_the_users_cache(monkeypatch, tmp_path):
    monkeypatch.delenv("TORCHINDUCTOR_CACHE_DIR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "jde_lightning" / "compiled"
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", "/elsewhere")
    assert str(cache_folder()) == "/elsewhere"


def test_a_machine_that_cannot_compile_is_told_so(monkeypatch, tmp_path):
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    forward = CompiledForward(Means(), late=False)
    with (
        torch._inductor.config.patch({"cpp.cxx": ("no_such_compiler",)}),
        pytest.raises(
            InputError, match=r"torch\.compile does not work here \(.*it needs a C\+\+ compiler such as g\+\+"
        ),
    ):
        forward(torch.rand(1, 3, 32, 32))
