"""The cache file: what goes in comes out, and nothing else passes for it."""

import hashlib

import numpy as np
import pytest

from jde_lightning.errors import InputError
from jde_lightning.inference.cache import (
    CachedSequence,
    CacheOrigin,
    DetectionCache,
    file_sha256,
    read_cache,
    write_cache,
)
from jde_lightning.structures import Detections

SETTINGS = {"image_size": 640, "conf": 0.05, "class_names": ["person"]}


def found(rng, n, embed_dim=8):
    embeddings = None if embed_dim is None else rng.normal(size=(n, embed_dim)).astype(np.float32)
    return Detections(rng.normal(size=(n, 4)) * 1e3, rng.random(n), rng.integers(0, 3, n), embeddings)


def sequence(name="walk", counts=(2, 0, 3), embed_dim=8, first=1):
    rng = np.random.default_rng(len(name))
    frames = np.arange(first, first + len(counts), dtype=np.int64)
    return CachedSequence(name, 14.985, 640, 480, frames, [found(rng, n, embed_dim) for n in counts])


@pytest.fixture
def weights(tmp_path):
    path = tmp_path / "last.ckpt"
    path.write_bytes(b"weights")
    return path


@pytest.fixture
def origin(weights):
    return CacheOrigin(weights.name, file_sha256([weights]), dict(SETTINGS))


def assert_equal(a, b):
    assert (a.origin, a.split) == (b.origin, b.split)
    assert len(a.sequences) == len(b.sequences)
    for one, other in zip(a.sequences, b.sequences, strict=True):
        assert (one.name, one.frame_rate, one.width, one.height) == (
            other.name,
            other.frame_rate,
            other.width,
            other.height,
        )
        np.testing.assert_array_equal(one.frames, other.frames)
        for x, y in zip(one.detections, other.detections, strict=True):
            for key in ("boxes", "scores", "labels", "embeddings"):
                left, right = getattr(x, key), getattr(y, key)
                if left is None:
                    assert right is None
                else:
                    assert left.dtype == right.dtype
                    np.testing.assert_array_equal(left, right)


@pytest.mark.parametrize(
    "sequences",
    [
        [],
        [sequence()],
        [sequence("a", first=264), sequence("b", counts=(0, 0)), sequence("c", counts=())],
        [sequence(embed_dim=None)],
        [sequence(counts=(0, 0), embed_dim=8)],
    ],
    ids=["nothing", "one", "empty frames and an empty sequence", "no embeddings", "nobody seen"],
)
def test_what_is_written_is_read_to_the_last_bit(tmp_path, origin, sequences):
    cache = DetectionCache(sequences, origin, "val_half")
    write_cache(tmp_path / "new" / "c.npz", cache)
    assert_equal(read_cache(tmp_path / "new" / "c.npz"), cache)
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["c.npz"]  # no temporary file is left


def test_width_of_embeddings(origin):
    assert DetectionCache([sequence()], origin).embed_dim == 8
    assert DetectionCache([sequence(embed_dim=None)], origin).embed_dim is None
    assert DetectionCache([], origin).embed_dim is None
    with pytest.raises(InputError, match="embeddings of several widths in one cache: 16, 8"):
        DetectionCache([sequence("a"), sequence("b", embed_dim=16)], origin)
    with pytest.raises(InputError, match="several widths in one cache: 8, none"):
        DetectionCache([sequence("a"), sequence("b", embed_dim=None)], origin)


def test_names_are_unique(origin):
    with pytest.raises(InputError, match="sequence walk occurs twice"):
        DetectionCache([sequence(), sequence()], origin)


def test_part_of_a_sequence_by_position():
    whole = sequence(counts=(1, 2, 3, 4), first=10)
    part = whole[1:3]
    assert part.frames.tolist() == [11, 12]
    assert [len(d) for d in part.detections] == [2, 3]
    assert (len(part), part.boxes, part.frame_rate) == (2, 5, 14.985)


def test_the_right_weights_and_settings_are_accepted(tmp_path, weights, origin):
    write_cache(tmp_path / "c.npz", DetectionCache([sequence()], origin))
    assert read_cache(tmp_path / "c.npz", weights, {"image_size": 640}).origin == origin


def test_fingerprint_is_the_sha256_of_the_file(weights):
    assert file_sha256([weights]) == hashlib.sha256(b"weights").hexdigest()
    assert file_sha256([weights, weights]) != file_sha256([weights])


def test_other_weights_and_settings_are_refused(tmp_path, weights, origin):
    path = tmp_path / "c.npz"
    write_cache(path, DetectionCache([sequence()], origin))
    other = tmp_path / "best.ckpt"
    other.write_bytes(b"other weights")
    with pytest.raises(InputError, match=rf"c.npz: it is of last.ckpt \(sha256 {origin.sha256[:12]}\), not best.ckpt"):
        read_cache(path, other)
    with pytest.raises(InputError, match=r"c.npz: it was made with image_size 640, not 1280; give the right one"):
        read_cache(path, weights, {"image_size": 1280})
    with pytest.raises(InputError, match="made with max_det None, not 300"):
        read_cache(path, settings={"max_det": 300})
    write_cache(path, DetectionCache([sequence()], CacheOrigin("last.ckpt", "0", {}, version="0.0.1")))
    assert "version 0.0.1 of this package, not" in read_cache(path).origin.difference(CacheOrigin("last.ckpt", "0", {}))


def test_missing(tmp_path):
    with pytest.raises(InputError, match=r"c.npz: no such cache; `jde-lightning cache` writes one"):
        read_cache(tmp_path / "c.npz")


@pytest.mark.parametrize("kept", [0, 10, 500, -30], ids=["empty", "ten bytes", "half", "without its end"])
def test_truncated_file(tmp_path, origin, kept):
    path = tmp_path / "c.npz"
    write_cache(path, DetectionCache([sequence()], origin))
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(InputError, match=r"c.npz: truncated, or no cache of detections \("):
        read_cache(path)


def test_text_is_no_cache(tmp_path):
    path = tmp_path / "c.txt"
    path.write_text("1,2,3\n")
    with pytest.raises(InputError, match=r"no cache of detections \(no \.npz file\)"):
        read_cache(path)


def test_flipped_byte(tmp_path, origin):
    path = tmp_path / "c.npz"
    write_cache(path, DetectionCache([sequence(counts=(400,))], origin))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"c.npz: truncated, or no cache of detections \(Bad CRC-32"):
        read_cache(path)


def test_foreign_files(tmp_path, origin):
    path = tmp_path / "c.npz"
    np.savez(path, frame=np.zeros(3))
    with pytest.raises(InputError, match="truncated, or no cache"):
        read_cache(path)
    np.savez(path, meta=np.array('{"format": "something else"}'))
    with pytest.raises(InputError, match="its format is 'something else', expected 'jde_lightning detections 1'"):
        read_cache(path)
    np.savez(path, frame=np.zeros(3), tlwh=np.zeros((3, 4)), score=np.zeros(3), embedding=np.zeros((3, 2)))
    with pytest.raises(
        InputError, match=r"c.npz: the detections of .*`jde-lightning cache SEQUENCE --detections /.*c.npz"
    ):
        read_cache(path)
    path.write_text("hello")
    with pytest.raises(InputError, match="truncated, or no cache"):
        read_cache(path)
    write_cache(path, DetectionCache([sequence()], origin))
    with np.load(path) as content:
        arrays = dict(content)
    arrays["counts"] = arrays["counts"][:-1]
    np.savez(path, **arrays)
    with pytest.raises(InputError, match="the lengths of its arrays contradict each other"):
        read_cache(path)
