import pickle

import numpy as np
import torch

from jde_lightning.data.batch_memory import BatchMemory


def address(array):
    return array.__array_interface__["data"][0]


def test_memory_comes_back_when_nobody_uses_it():
    memory = BatchMemory()
    first = memory.take((4, 8, 8, 3))
    place = address(first)
    del first
    assert address(memory.take((4, 8, 8, 3))) == place


def test_memory_stays_with_who_uses_a_part_of_it():
    memory = BatchMemory()
    array = memory.take((4, 8, 8, 3))
    array[:] = 7
    image = array[2].transpose(2, 0, 1)
    tensor = torch.from_numpy(array.transpose(0, 3, 1, 2))[1:2]
    for kept in ("image", "tensor"):
        array = None
        for _ in range(5):
            memory.take((4, 8, 8, 3))[:] = 9
        assert (image == 7).all()
        if kept == "image":
            assert (tensor == 7).all()
            tensor = None


def test_another_size_gets_other_memory():
    memory = BatchMemory()
    assert memory.take((2, 4, 4, 3)).shape == (2, 4, 4, 3)
    assert memory.take((1, 4, 4, 3)).shape == (1, 4, 4, 3)
    assert memory.take((1, 4, 4, 3)).dtype == np.uint8
    assert len(pickle.dumps(memory)) < 200
