"""What a signal does before training listens to it, and what may not change on the way."""

import os
import signal

import pytest
import torch

from jde_lightning.cli.lightning_verbs import _early_signals
from jde_lightning.cli.resuming import check_same_network
from jde_lightning.errors import InputError


@pytest.mark.parametrize("name", ["SIGUSR1", "SIGTERM"])
def test_a_signal_before_the_training_means_try_again(name, capsys):
    number = signal.Signals[name]
    before = signal.getsignal(number)
    with pytest.raises(SystemExit) as end, _early_signals(listen=True):
        _signal_myself(number)
    assert end.value.code == 75
    assert f"{name} before the training began" in capsys.readouterr().err
    assert signal.getsignal(number) == before


def _signal_myself(number):
    os.kill(os.getpid(), number)
    signal.sigtimedwait([], 5)


def test_another_network_is_named(tmp_path):
    path = tmp_path / "last.ckpt"
    torch.save({"state_dict": {}, "loops": {}, "jde_lightning": {"scale": "n", "embed_dim": 64}}, path)
    check_same_network(str(path), {"scale": "n", "embed_dim": 64})
    with pytest.raises(InputError, match="model.scale is s, the checkpoint's n; model.embed_dim is 128, .* 64"):
        check_same_network(str(path), {"scale": "s", "embed_dim": 128})
