import multiprocessing
import os
import pickle

import numpy as np
import pytest

from jde_lightning.data.images import TileCache
from jde_lightning.data.shared_cache import SharedTileCache

pytestmark = pytest.mark.skipif(os.name != "posix", reason="shared memory files are POSIX")


def image_of(key):
    return np.random.default_rng(key).integers(0, 256, (5 + key, 7, 4), dtype=np.uint8)


def test_an_image_is_loaded_once_and_stays_as_it_is():
    cache, loaded = SharedTileCache(8, 100_000), []

    def load(key):
        return lambda spare: loaded.append(key) or image_of(key)

    for key in (3, 0, 3, 7, 0, 3):
        np.testing.assert_array_equal(cache.get(key, load(key)), image_of(key))
    assert loaded == [3, 0, 7]
    assert len(cache) == 3
    with pytest.raises(ValueError, match="read-only"):
        cache.get(3, load(3))[0] = 0


def test_what_finds_no_room_is_kept_by_the_process():
    cache, loaded = SharedTileCache(8, image_of(0).nbytes + 10, TileCache(1)), []
    for key in (0, 1, 1, 2, 1, 0):
        image = cache.get(key, lambda spare, key=key: loaded.append(key) or image_of(key))
        np.testing.assert_array_equal(image, image_of(key))
    assert loaded == [0, 1, 2, 1]


def test_what_fails_is_not_kept():
    cache = SharedTileCache(2, 10_000)

    def fail(spare):
        raise OSError

    for _ in range(2):
        with pytest.raises(OSError):
            cache.get(0, fail)
    np.testing.assert_array_equal(cache.get(0, lambda spare: image_of(0)), image_of(0))


def _read_all(cache, keys, loads):
    for key in keys:

        def load(spare, key=key):
            loads.put(key)
            return image_of(key)

        assert np.array_equal(cache.get(key, load), image_of(key))


@pytest.mark.parametrize("method", ["spawn"])
def test_processes_share_what_they_load(method):
    context = multiprocessing.get_context(method)
    cache, loads = SharedTileCache(20, 100_000), context.Queue()
    cache.get(0, lambda spare: image_of(0))
    for keys in (range(12), range(5, 20)):
        process = context.Process(target=_read_all, args=(cache, list(keys), loads))
        process.start()
        process.join(60)
        assert process.exitcode == 0
    loaded = [loads.get(timeout=10) for _ in range(19)]
    assert sorted(loaded) == list(range(1, 20))  # 0 came from this process, 5 to 11 from the first one
    assert loads.empty()
    assert len(cache) == 20


def test_two_processes_at_once_disturb_nobody():
    context = multiprocessing.get_context("spawn")
    cache, loads = SharedTileCache(200, 10_000_000), context.Queue()
    processes = [context.Process(target=_read_all, args=(cache, list(range(200)), loads)) for _ in range(3)]
    for process in processes:
        process.start()
    seen = []
    while any(process.is_alive() for process in processes) or not loads.empty():
        if not loads.empty():
            seen.append(loads.get())
    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert set(seen) == set(range(200))
    assert len(cache) == 200


def test_it_travels_elsewhere_without_its_images():
    cache = SharedTileCache(3, 10_000)
    cache.get(0, lambda spare: image_of(0))
    copy = pickle.loads(pickle.dumps(cache))
    assert len(copy) == 0
    np.testing.assert_array_equal(copy.get(0, lambda spare: image_of(1)), image_of(1))


def test_the_file_has_no_name(tmp_path):
    path = tmp_path / "cache"
    cache = SharedTileCache(3, 10_000, path=path)
    other = SharedTileCache(3, 10_000, path=path)
    cache.forget_name()
    assert not path.exists()
    cache.get(1, lambda spare: image_of(1))
    np.testing.assert_array_equal(other.get(1, lambda spare: image_of(2)), image_of(1))
