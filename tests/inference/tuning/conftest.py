import pytest
from walking_people import write_walk

from jde_lightning.inference.cache import DetectionCache
from jde_lightning.inference.detection_files import read_detection_files
from jde_lightning.inference.tuning.sequences import tuning_sequences


@pytest.fixture(scope="session")
def walk(tmp_path_factory):
    """A folder with ``gt`` and ``detections`` of three sequences."""
    folder = tmp_path_factory.mktemp("walk")
    for seed, (name, people) in enumerate({"a": 6, "b": 3, "c": 5}.items()):
        write_walk(folder, name, seed, people, frame_rate=30 if name != "b" else 15)
    return folder


@pytest.fixture(scope="session")
def cache(walk):
    return DetectionCache(*read_detection_files(walk / "gt", walk / "detections"))


@pytest.fixture(scope="session")
def sequences(walk, cache):
    return tuning_sequences(cache, walk / "gt")
