"""Copies and links of training images in the validation, against the comparison of every file with every other."""

import random

import pytest
from dataset_files import make_frame

from jde_lightning.data import same_images
from jde_lightning.data.index import FrameIndex
from jde_lightning.data.same_images import find_same_images


def index(paths):
    return FrameIndex.from_frames(make_frame(path) for path in paths)


def brute_force(train, val):
    """The first training file with the bytes of each validation file, those of the same path left out."""
    pairs = []
    for theirs in val:
        equal = [ours for ours in train if ours.read_bytes() == theirs.read_bytes() != b""]
        if equal and theirs not in train:
            pairs.append((equal[0], theirs))
    return pairs


def write(folder, contents):
    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / f"{number}.jpg" for number in range(len(contents))]
    for file, content in zip(files, contents, strict=True):
        file.write_bytes(content)
    return files


@pytest.mark.parametrize("seed", range(20))
def test_as_the_comparison_of_every_file_with_every_other(tmp_path, monkeypatch, seed):
    monkeypatch.setattr(same_images, "_CHUNK", 2)
    draw = random.Random(seed)

    def contents():  # few bytes and few sizes, so that equal sizes with other bytes are frequent, empty files too
        return [bytes(draw.choices(b"ab", k=draw.randrange(6))) for _ in range(12)]

    train, val = write(tmp_path / "a", contents()), write(tmp_path / "b", contents())
    shared = write(tmp_path / "c", contents())
    train += shared[:4]
    val += shared[2:]
    for number in range(3):  # links into the training, and from there into the validation
        for split, others in ((val, train), (train, val)):
            link = tmp_path / f"{len(split)}-{number}.jpg"
            link.symlink_to(draw.choice(others))
            split.append(link)
    hard = tmp_path / "hard.jpg"
    hard.hardlink_to(train[0])
    val.append(hard)
    found = find_same_images(index(train), index(val))
    assert found.pairs == brute_force(train, val)
    assert found.unreadable == []


def test_only_files_whose_size_is_in_both_are_read(tmp_path, monkeypatch):
    train, val = write(tmp_path / "a", [b"x", b"yy", b"zzz"]), write(tmp_path / "b", [b"x", b"1234", b"abc"])
    read = []
    digest = same_images._digest
    monkeypatch.setattr(same_images, "_digest", lambda path: read.append(path) or digest(path))
    assert find_same_images(index(train), index(val)).pairs == [(train[0], val[0])]
    assert sorted(read) == sorted(bytes(path) for path in (train[0], train[2], val[0], val[2]))


def test_a_file_is_read_once_however_many_links_lead_to_it(tmp_path, monkeypatch):
    (file,) = write(tmp_path / "a", [b"x"])
    links = [tmp_path / f"{number}.jpg" for number in range(3)]
    for link in links:
        link.symlink_to(file)
    read = []
    monkeypatch.setattr(same_images, "_digest", lambda path: read.append(path) or b"")
    assert find_same_images(index([file]), index(links)).pairs == [(file, link) for link in links]
    assert len(read) == 1


def test_what_cannot_be_read_is_told_and_the_others_are_compared(tmp_path, monkeypatch):
    train, val = write(tmp_path / "a", [b"x", b"y"]), write(tmp_path / "b", [b"x", b"y"])
    missing, folder, broken = tmp_path / "no.jpg", tmp_path / "folder.jpg", tmp_path / "broken.jpg"
    folder.mkdir()
    broken.symlink_to(missing)
    digest = same_images._digest

    def refuse(path):  # as of a file without permission, which root may read all the same
        if path == bytes(val[0]):
            raise PermissionError
        return digest(path)

    monkeypatch.setattr(same_images, "_digest", refuse)
    found = find_same_images(index([missing, *train]), index([folder, *val, broken]))
    assert found.pairs == [(train[1], val[1])]
    assert set(found.unreadable) == {missing, folder, broken, val[0]}


def test_nothing_to_compare(tmp_path):
    (file,) = write(tmp_path / "a", [b"x"])
    for train, val in (([], []), ([file], []), ([], [file]), ([file], [file])):
        assert find_same_images(index(train), index(val)).pairs == []
