import json
import logging
import os
import pickle
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from dataset_files import write_sequence
from text_reader import TextReader

from jde_lightning.data import index_cache
from jde_lightning.data.frame_columns import COLUMNS
from jde_lightning.data.index import FrameIndex
from jde_lightning.data.index_cache import IndexCache, default_folder
from jde_lightning.data.readers import MOTChallenge
from jde_lightning.errors import InputError


@pytest.fixture
def root(tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "a.txt").write_text("1.jpg 3\n2.jpg 0\ngone.jpg missing\n4.jpg 2\n")
    (folder / "b.txt").write_text("5.jpg 1\n")
    return folder


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "cache"


def reads(function, *args, **kwargs):
    """What a function returns, and how often a reader read meanwhile."""
    before = TextReader.reads
    result = function(*args, **kwargs)
    return result, TextReader.reads - before


def load(folder, root, *readers, class_names=("person",)):
    """Through a new cache object, as another process has."""
    return IndexCache(folder).index(readers or [TextReader()], root, class_names)


def entries(folder):
    return sorted(entry.name for entry in folder.iterdir())


def assert_equal(a, b):
    for name in COLUMNS:
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name), name)
        assert getattr(a, name).dtype == getattr(b, name).dtype, name
    for name in ("datasets", "sequence_names", "supervision", "min_visibility", "class_names", "findings"):
        assert getattr(a, name) == getattr(b, name), name


def test_what_was_read_once_comes_from_disk(folder, root):
    first, times = reads(load, folder, root)
    assert times == 1
    second, times = reads(load, folder, root)
    assert times == 0
    expected = FrameIndex.from_readers([TextReader()], root, ["person"])
    for index in (first, second):
        assert_equal(index, expected)
        assert index.folder.parent == folder
        assert isinstance(index.boxes.base, np.memmap)


def test_a_real_reader(folder, root):
    lines = [f"{frame},{identity},10,12,20,30,1,1,0.5" for identity in (1, 2) for frame in (1, 2, 4)]
    for name in ("MOT17-02-FRCNN", "MOT17-02-SDP", "MOT17-04-FRCNN"):
        write_sequence(root / "train" / name, lines)
    expected = FrameIndex.from_readers([MOTChallenge(min_visibility=0.2)], root)
    for _ in range(2):
        assert_equal(load(folder, root, MOTChallenge(min_visibility=0.2)), expected)
    (root / "train" / "MOT17-02-FRCNN" / "gt" / "gt.txt").write_text(lines[0])
    assert len(load(folder, root, MOTChallenge(min_visibility=0.2)).boxes) == 1 + 6
    assert len(entries(folder)) == 1


def change_source(root, monkeypatch):
    (root / "a.txt").write_text("1.jpg 3\n2.jpg 1\n")


def touch_source(root, monkeypatch):
    os.utime(root / "a.txt", ns=(1, 1))


def add_absent_source(root, monkeypatch):
    (root / "extra.txt").write_text("")


def raise_reader_version(root, monkeypatch):
    monkeypatch.setattr(TextReader, "version", 2)


def raise_format(root, monkeypatch):
    monkeypatch.setattr(index_cache, "FORMAT", 99)


def raise_package_version(root, monkeypatch):
    monkeypatch.setattr(index_cache, "__version__", "99.0")


@pytest.mark.parametrize(
    "change",
    [change_source, touch_source, add_absent_source, raise_reader_version, raise_format, raise_package_version],
)
def test_an_outdated_entry_is_replaced(folder, root, monkeypatch, change):
    load(folder, root)
    before = entries(folder)
    change(root, monkeypatch)
    index, times = reads(load, folder, root)
    assert times == 1
    assert_equal(index, FrameIndex.from_readers([TextReader()], root, ["person"]))
    assert len(entries(folder)) == 1
    assert entries(folder) != before
    assert reads(load, folder, root)[1] == 0


@pytest.mark.parametrize("other", [{"name": "E"}, {"min_visibility": 0.5}, {"path": "b.txt"}])
def test_other_settings_are_another_entry(folder, root, other):
    load(folder, root)
    assert reads(load, folder, root, TextReader(**other))[1] == 1
    assert len(entries(folder)) == 2
    assert reads(load, folder, root, TextReader(**other))[1] == 0


def test_another_root_is_another_entry_and_paths_do_not_depend_on_the_working_folder(folder, root, monkeypatch):
    monkeypatch.chdir(root)
    index = load(folder, ".")
    monkeypatch.chdir("/")
    same, times = reads(load, folder, root / "x" / "..")
    assert times == 0
    assert index.path(0) == same.path(0) == root / "1.jpg"
    (root / "below").mkdir()
    (root / "below" / "a.txt").write_text("1.jpg 1\n")
    assert reads(load, folder, root / "below")[1] == 1
    assert reads(load, folder, root)[1] == 0
    assert len(entries(folder)) == 2


def cut(entry):
    (entry / "boxes.npy").write_bytes((entry / "boxes.npy").read_bytes()[:-8])


def empty(entry):
    (entry / "offsets.npy").write_bytes(b"")


def remove(entry):
    (entry / "roles.npy").unlink()


def remove_meta(entry):
    (entry / "meta.json").unlink()


def break_meta(entry):
    (entry / "meta.json").write_text('{"format": 1')


def lose_key(entry):
    meta = json.loads((entry / "meta.json").read_text())
    del meta["findings"]
    (entry / "meta.json").write_text(json.dumps(meta))


def no_object(entry):
    (entry / "meta.json").write_text("[]")


def mix_up(entry):
    np.save(entry / "offsets.npy", np.array([0, 3, 2, 5]))


def flip(entry):
    boxes = np.load(entry / "boxes.npy")
    boxes[0, 0] += 1
    np.save(entry / "boxes.npy", boxes)


def shorten(entry):
    np.save(entry / "sizes.npy", np.zeros((1, 2), np.int32))


def strange_codes(entry):
    np.save(entry / "dataset_codes.npy", np.array([0, 7, 0], np.int32))


@pytest.mark.parametrize(
    "damage", [flip, cut, empty, remove, remove_meta, break_meta, lose_key, no_object, mix_up, shorten, strange_codes]
)
def test_a_damaged_entry_is_rebuilt(folder, root, caplog, damage):
    expected = load(folder, root)
    kept = expected.take(range(len(expected)))  # not of the files
    (entry,) = folder.iterdir()
    del expected
    damage(entry)
    index, times = reads(load, folder, root)
    assert times == 1
    assert_equal(index, kept)
    assert "damaged" in caplog.text
    assert reads(load, folder, root)[1] == 0
    assert len(entries(folder)) == 1


def test_where_nothing_can_be_written_one_warning_says_so(tmp_path, root, caplog):
    (tmp_path / "file").write_text("")
    cache = IndexCache(tmp_path / "file" / "index")
    readers = [TextReader(), TextReader("b.txt", name="E")]
    index, times = reads(cache.index, readers, root, ["person"])
    assert times == 2
    assert index.folder is None
    assert_equal(index, FrameIndex.from_readers(readers, root, ["person"]))
    assert caplog.text.count("indices cannot be kept there") == 1
    again, times = reads(cache.index, readers, root, ["person"])
    assert times == 0  # remembered
    assert_equal(again, index)
    (root / "a.txt").write_text("1.jpg 1\n")
    assert reads(cache.index, readers, root, ["person"])[1] == 1
    assert caplog.text.count("indices cannot be kept there") == 1


def test_off_reads_each_time_and_writes_nothing(root, cache_home):
    before = sorted(cache_home.rglob("*"))
    cache = IndexCache(None)
    for _ in range(2):
        index, times = reads(cache.index, [TextReader()], root)
        assert times == 1
    assert index.folder is None
    assert sorted(cache_home.rglob("*")) == before


def test_findings_survive(folder, root):
    load(folder, root)
    reader = TextReader()
    index = load(folder, root, reader)
    assert index.findings["D"].missing == ["gone.jpg"]
    assert reader.findings == index.findings["D"]
    assert index.findings["D"].sources.keys() == {str(root / "a.txt"), str(root / "extra.txt")}


def test_it_remembers_which_warnings_a_reader_gave(folder, root):
    cache = IndexCache(folder)
    cache.index([TextReader()], root)
    assert cache.told == {("D", "1 images not found, first gone.jpg")}
    loaded = IndexCache(folder)
    loaded.index([TextReader()], root)
    assert loaded.told == set()


def test_an_index_from_disk_goes_to_other_processes_without_its_arrays(folder, root):
    (root / "a.txt").write_text("".join(f"{i}.jpg 20\n" for i in range(1000)))
    index = load(folder, root)
    data = pickle.dumps(index)
    assert len(data) < 2000
    assert_equal(pickle.loads(data), index)
    assert isinstance(pickle.loads(data).boxes.base, np.memmap)
    part = index.take([3, 5])  # of the same files, but not what they hold
    assert part.folder is None
    assert_equal(pickle.loads(pickle.dumps(part)), part)


def test_an_index_whose_files_are_gone_says_so(folder, root):
    data = pickle.dumps(load(folder, root))
    (root / "a.txt").write_text("1.jpg 1\n")
    load(folder, root)
    with pytest.raises(InputError, match="the index was removed while it was in use .* start again"):
        pickle.loads(data)


def mix():
    return [TextReader(), TextReader("b.txt", name="E", classes=("dog", "person"))]


def test_a_mix_shares_its_parts_and_lies_in_files_too(folder, root):
    load(folder, root)
    index, times = reads(load, folder, root, *mix())
    assert times == 1  # only the second was new
    assert_equal(index, FrameIndex.from_readers(mix(), root, ["person"]))
    assert index.folder.name.startswith("mix-")
    assert len(pickle.dumps(index)) < 2000
    assert len(entries(folder)) == 3
    again, times = reads(load, folder, root, *mix())
    assert times == 0
    assert again.folder == index.folder
    (root / "b.txt").write_text("5.jpg 4\n")
    changed, times = reads(load, folder, root, *mix())
    assert times == 1
    assert_equal(changed, FrameIndex.from_readers(mix(), root, ["person"]))
    assert len(entries(folder)) == 3  # the old mix is gone


def test_other_classes_are_another_mix_of_the_same_parts(folder, root):
    one = load(folder, root, *mix())
    two, times = reads(load, folder, root, *mix(), class_names=["person", "dog"])
    assert times == 0
    assert two.class_names == ("person", "dog")
    assert np.count_nonzero(two.roles == 0) > np.count_nonzero(one.roles == 0)
    assert_equal(two, FrameIndex.from_readers(mix(), root, ["person", "dog"]))
    assert_equal(load(folder, root, *mix()), one)


def test_a_single_reader_whose_classes_change_is_a_mix_of_one(folder, root):
    reader = TextReader(classes=("dog", "person"))
    for _ in range(2):
        index = load(folder, root, reader)
        assert_equal(index, FrameIndex.from_readers([reader], root, ["person"]))
        assert index.folder is not None
    assert pickle.loads(pickle.dumps(index)).class_names == ("person",)


def test_numbers_without_names_are_named_by_the_wish(folder, root):
    reader = TextReader(classes=None)
    index = load(folder, root, reader, class_names=["person", "dog"])
    assert index.class_names == ("person", "dog")
    assert pickle.loads(pickle.dumps(index)).class_names == ("person", "dog")
    assert len(entries(folder)) == 1
    with pytest.raises(InputError, match="dataset 'D' has class number 1, but data.class_names has 1 names"):
        load(folder, root, reader, class_names=["person"])


def test_nothing_found_is_an_index_too(folder, root):
    (root / "a.txt").write_text("gone.jpg missing\n")
    for _ in range(2):
        index = load(folder, root)
        assert (len(index), len(index.boxes), index.datasets) == (0, 0, ("D",))
        assert index.findings["D"].missing == ["gone.jpg"]
        assert index.folder is not None


class NoSources(TextReader):
    def frames(self, root):
        yield from super().frames(root)
        self.findings.sources.clear()


class Setting:
    pass


class StrangeSettings(TextReader):
    def __init__(self, path="a.txt", thing=None):
        super().__init__(path)
        self.thing = thing


@pytest.mark.parametrize("reader", [NoSources(), StrangeSettings(thing=Setting())])
def test_what_could_not_be_told_outdated_is_not_kept(folder, root, reader):
    for _ in range(2):
        index, times = reads(load, folder, root, reader)
        assert (times, index.folder) == (1, None)
    assert not folder.exists()


@pytest.mark.parametrize("thing", [Path("x"), {"a": (1, 2)}, {"b", "a"}, None, [1.5, True]])
def test_plain_settings_of_any_kind(folder, root, thing):
    assert reads(load, folder, root, StrangeSettings(thing=thing))[1] == 1
    assert reads(load, folder, root, StrangeSettings(thing=thing))[1] == 0


def test_two_that_build_at_once_agree(folder, root):
    with ThreadPoolExecutor(4) as pool:
        indices = list(pool.map(lambda _: load(folder, root, *mix()), range(4)))
    assert len({index.folder for index in indices}) == 1
    assert len(entries(folder)) == 3
    for index in indices:
        assert_equal(pickle.loads(pickle.dumps(index)), indices[0])


def test_the_slower_of_two_takes_what_is_there(folder, root, monkeypatch):
    first = load(folder, root)
    monkeypatch.setattr(IndexCache, "_find", lambda *args, **kwargs: None)  # looked before the first was ready
    second, times = reads(load, folder, root)
    assert times == 1
    assert second.folder == first.folder
    assert_equal(second, first)
    assert len(entries(folder)) == 1


def test_a_build_that_fails_leaves_nothing(folder, root, monkeypatch, caplog):
    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(index_cache, "write_columns", full)
    index = load(folder, root)
    assert_equal(index, FrameIndex.from_readers([TextReader()], root, ["person"]))
    assert "No space left on device" in caplog.text
    assert entries(folder) == []


def test_what_killed_builds_left_is_swept_up(folder, root):
    folder.mkdir()
    for name, age in ((".TextReader-1-2.old", 30 * 3600), (".TextReader-1-2.new", 3600)):
        (folder / name).mkdir()
        os.utime(folder / name, (time.time() - age,) * 2)
    load(folder, root)
    assert entries(folder)[:-1] == [".TextReader-1-2.new"]


def test_readers_of_one_name_must_agree_before_anything_is_read(folder, root):
    readers = [TextReader(), TextReader("b.txt", supervision="full")]
    with pytest.raises(InputError, match="two readers named 'D' differ in supervision"):
        load(folder, root, *readers)
    assert not folder.exists()


def test_the_usual_place(monkeypatch, tmp_path, cache_home):
    assert default_folder() == cache_home / "jde_lightning" / "index"  # the tests' own
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")  # the standard says: to be ignored
    monkeypatch.setenv("HOME", str(tmp_path))
    assert default_folder() == tmp_path / ".cache" / "jde_lightning" / "index"

    def homeless():
        raise RuntimeError

    monkeypatch.setattr(Path, "home", homeless)
    assert default_folder() is None


def test_progress_is_silent_where_there_is_no_terminal(folder, root, capfd, caplog):
    with caplog.at_level(logging.ERROR):
        IndexCache(folder).index([TextReader()], root, progress=True)
    assert "reading" not in capfd.readouterr().err


def test_real_sequence(real_data, folder):
    reader = MOTChallenge(path="mot17/train", sequences=["MOT17-09"])
    expected = FrameIndex.from_readers([reader], real_data)
    assert np.count_nonzero(expected.roles == 0) == 5325
    for _ in range(2):
        index = load(folder, real_data, reader)
        assert_equal(index, expected)
