import cv2
import numpy as np
import pytest
from dataset_files import make_frame

from jde_lightning.data import AugmentationConfig, FrameIndex, MosaicDataset, mosaic
from jde_lightning.data.augment import PerspectiveDraw, perspective_matrix
from jde_lightning.data.fused import FusedPainter
from jde_lightning.data.images import PADDING, decode_reduced, reduction
from jde_lightning.data.painting import Decoded, UnfusedPainter
from jde_lightning.data.samples import MosaicRequest
from jde_lightning.structures import FrameAnnotations

SIZE = 160
IMAGE_SIZES = [(640, 360), (350, 641), (161, 97), (1283, 719), (160, 160), (90, 60)]
WARPS = {
    "paper": {},
    "no mosaic": {"mosaic": 0.0},
    "rotation": {"degrees": 20.0, "shear": 8.0, "fliplr": 1.0},
    "perspective": {"perspective": 0.0008, "fliplr": 0.5},
}


@pytest.fixture(scope="module", params=["smooth", "natural"])
def frames(request, tmp_path_factory):
    """Images without detail, and images with as much of it at every scale as photographs have."""
    rng = np.random.default_rng(0)
    folder = tmp_path_factory.mktemp(request.param)
    annotated = []
    for i, (width, height) in enumerate(IMAGE_SIZES):
        image, octave = np.zeros((height, width, 3)), 5
        while octave < max(width, height) and (octave == 5 or request.param == "natural"):
            shape = (max(octave * height // width, 2), octave, 3)
            noise = cv2.resize(rng.uniform(-1, 1, shape), (width, height), interpolation=cv2.INTER_CUBIC)
            image += noise * 300 / octave
            octave *= 2
        path = folder / f"{i}.jpg"
        cv2.imwrite(str(path), (image + 128).clip(0, 255).astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, 95])
        corner = rng.uniform(-0.1, 0.9, (9, 2)) * [width, height]
        boxes = np.concatenate([corner, corner + rng.uniform(0.01, 0.5, (9, 2)) * [width, height]], axis=1)
        annotated.append(
            FrameAnnotations(
                path, width, height, boxes, np.zeros(9), np.arange(9) + 9 * i, np.arange(9) % 2, np.ones(9), "D"
            )
        )
    return request.param, FrameIndex.from_frames(annotated)


def both(index, warp, **options):
    """The fused and the unfused dataset, without changes of colour."""
    config = AugmentationConfig(hsv_h=0, hsv_s=0, hsv_v=0, **WARPS[warp])
    return [
        MosaicDataset(index, index.identities, SIZE, config, fused=fused, reduced_decode=fused, **options)
        for fused in (True, False)
    ]


def requests(index, count=30):
    rng = np.random.default_rng(1)
    for number in range(count):
        yield MosaicRequest(tuple(rng.integers(0, len(index), 4).tolist()), (3, number))


@pytest.mark.parametrize("warp", WARPS)
@pytest.mark.parametrize("amodal", [False, True])
def test_everything_but_the_pixels_is_equal(frames, warp, amodal):
    _, index = frames
    fused, unfused = both(index, warp, amodal_boxes=amodal)
    boxes = 0
    for request in requests(index):
        ours, expected = fused[request], unfused[request]
        for field in set(ours._fields) - {"image"}:
            np.testing.assert_array_equal(getattr(ours, field), getattr(expected, field))
        boxes += len(ours.boxes)
    assert boxes > 30


@pytest.mark.parametrize("warp", WARPS)
def test_pixels_differ_by_interpolation_only(frames, warp):
    kind, index = frames
    fused, unfused = both(index, warp)
    differences, shifted = [], []
    for request in requests(index):
        ours, expected = fused[request].image.astype(int), unfused[request].image.astype(int)
        differences.append(np.abs(ours - expected).mean())
        halfway = (expected + np.roll(expected, 1, axis=2)) / 2
        shifted.append(np.abs(ours - halfway).mean())
    # Levels of 255. Smooth images show the geometry alone: half a pixel off, they differ by more than twice as much.
    assert np.mean(differences) < {"smooth": 0.6, "natural": 2.5}[kind]
    if kind == "smooth":
        assert np.mean(shifted) > 2 * np.mean(differences)


def view_of(sizes, draw, size=SIZE, center=None):
    tiles = [mosaic.tile_size(width, height, size) for width, height in sizes]
    placements = mosaic.place_tiles(center or (size, size), tiles, size)
    canvas = mosaic.Region(0, 0, 2 * size, 2 * size)
    matrix = perspective_matrix(draw, (2 * size, 2 * size), size)
    return mosaic.MosaicView(np.arange(4), np.array(sizes), tiles, placements, canvas, draw, matrix)


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize(
    "draw",
    [
        PerspectiveDraw(0, 0, 0, 1.0, 0, 0, 0.5, 0.5),
        PerspectiveDraw(0, 0, 0, 0.637, 0, 0, 0.53, 0.41),
        PerspectiveDraw(0, 0, 0, 1.5, 0, 0, 0.45, 0.6),
        PerspectiveDraw(0, 0, 25, 0.8, 4, -7, 0.5, 0.55),
        PerspectiveDraw(0.0007, -0.0004, 10, 0.9, 0, 0, 0.5, 0.5),
    ],
    ids=["still", "small", "large", "turned", "perspective"],
)
def test_tiles_meet_without_a_line_and_without_bleeding(draw, flip):
    rng = np.random.default_rng(0)
    colors = np.array([[200, 30, 60], [20, 180, 90], [70, 40, 220], [240, 230, 10]], np.uint8)
    for _ in range(10):
        sizes = [tuple(rng.integers(60, 900, 2).tolist()) for _ in range(4)]
        center = tuple(rng.integers(SIZE // 2, 3 * SIZE // 2, 2).tolist())
        view = view_of(sizes, draw, center=center)

        def solid(frame, sizes=sizes):
            width, height = sizes[frame]
            factor = reduction(width, height, SIZE)
            pixels = np.zeros((-(-height // factor), -(-width // factor), 4), np.uint8)
            pixels[..., :3] = colors[frame]
            return Decoded(pixels, factor)

        def tile(frame, view=view):
            width, height = view.tile_sizes[frame]
            return Decoded(np.tile(colors[frame], (height, width, 1)), 1)

        ours = FusedPainter(SIZE).paint(view, flip, solid).whole()[..., :3].copy()
        expected = UnfusedPainter(SIZE).paint(view, flip, tile).whole()[..., :3]
        allowed = np.concatenate([colors, np.full((1, 3), PADDING, np.uint8)])
        exact = (ours[:, :, None] == allowed).all(-1)
        assert exact.any(-1).all()  # nothing between two colours, nothing grey where a tile is
        pure = (expected[:, :, None] == allowed).all(-1)
        inside = pure.any(-1)
        assert inside.mean() > 0.9
        np.testing.assert_array_equal(exact[inside], pure[inside])


def test_upright_and_turned_tiles_own_the_same_pixels():
    # The same view through both ways of finding out who owns a pixel.
    rng = np.random.default_rng(0)
    for number in range(20):
        draw = PerspectiveDraw(0, 0, 0, rng.uniform(0.5, 1.5), 0, 0, *rng.uniform(0.4, 0.6, 2))
        view = view_of([(640, 360)] * 4, draw, center=tuple(rng.integers(80, 240, 2).tolist()))
        nearly = view.matrix.copy()
        nearly[0, 1] = 1e-9
        pixels = Decoded(rng.integers(0, 256, (180, 320, 4), dtype=np.uint8), 2)
        flip = bool(number % 2)
        upright = FusedPainter(SIZE).paint(view, flip, lambda _, p=pixels: p).whole()
        turned = FusedPainter(SIZE).paint(view._replace(matrix=nearly), flip, lambda _, p=pixels: p).whole()
        np.testing.assert_allclose(upright[..., :3].astype(int), turned[..., :3].astype(int), atol=1)


@pytest.mark.parametrize(("scale", "size"), [(0.5, (300, 300)), (0.35, (640, 640)), (0.9, (2560, 1440))])
def test_fine_stripes_become_grey_where_they_are_drawn_small(tmp_path, scale, size):
    stripes = np.zeros((size[1], size[0], 3), np.uint8)
    stripes[:, ::2] = 255
    for suffix in ("png", "jpg"):
        cv2.imwrite(str(tmp_path / f"a.{suffix}"), stripes, [cv2.IMWRITE_JPEG_QUALITY, 100])
        frame = make_frame(tmp_path / f"a.{suffix}", 0, width=size[0], height=size[1])
        index = FrameIndex.from_frames([frame])
        config = AugmentationConfig(hsv_h=0, hsv_s=0, hsv_v=0, scale=0, translate=0, mosaic=0)
        draw = PerspectiveDraw(0, 0, 0, scale, 0, 0, 0.5, 0.5)
        dataset = MosaicDataset(index, index.identities, SIZE, config)
        tiles = [mosaic.tile_size(*size, SIZE)]
        canvas = mosaic.Region(0, 0, *tiles[0])
        view = mosaic.MosaicView(
            np.array([0]),
            index.sizes,
            tiles,
            [mosaic.Placement(canvas, 0, 0)],
            canvas,
            draw,
            perspective_matrix(draw, tiles[0], SIZE),
        )
        painting = FusedPainter(SIZE).paint(view, False, dataset._tile)
        x1, y1, x2, y2 = painting.region
        inner = painting.image[y1 + 2 : y2 - 2, x1 + 2 : x2 - 2, :3].astype(int)
        assert np.abs(inner - 127).max() < 12


@pytest.mark.parametrize("size", [(1280, 720), (1283, 719), (1279, 725)])
@pytest.mark.parametrize("factor", [2, 4, 8])
@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_a_reduced_image_lies_where_the_whole_one_does(tmp_path, size, factor, suffix):
    rng = np.random.default_rng(0)
    smooth = cv2.resize(rng.integers(0, 256, (9, 16, 3), dtype=np.uint8), size, interpolation=cv2.INTER_CUBIC)
    path = tmp_path / f"a.{suffix}"
    cv2.imwrite(str(path), smooth, [cv2.IMWRITE_JPEG_QUALITY, 100])
    draw = PerspectiveDraw(0, 0, 0, 1, 0, 0, 0.5, 0.5)
    view = view_of([size] * 4, draw)
    paintings = []
    for reduced in (1, factor):
        pixels = cv2.cvtColor(decode_reduced(path, reduced), cv2.COLOR_BGR2BGRA)
        assert pixels.shape[:2] == (-(-size[1] // reduced), -(-size[0] // reduced))
        decoded = Decoded(pixels, reduced)
        paintings.append(FusedPainter(SIZE).paint(view, False, lambda _, d=decoded: d).whole().copy())
    difference = np.abs(paintings[0][..., :3].astype(int) - paintings[1][..., :3])
    assert difference.mean() < 0.6  # a pixel of the file off, it is above 1 at these sizes


def test_what_is_not_shown_is_not_loaded():
    rng = np.random.default_rng(0)
    for _ in range(50):
        draw = PerspectiveDraw(0, 0, 0, 1.5, 0, 0, *rng.uniform(0.4, 0.6, 2))
        view = view_of([(640, 360)] * 4, draw, center=tuple(rng.integers(80, 240, 2).tolist()))
        loaded = []

        def load(frame, loaded=loaded):
            loaded.append(frame)
            return Decoded(np.zeros((180, 320, 4), np.uint8), 2)

        painting = FusedPainter(SIZE).paint(view, False, load)
        shown = mosaic.visible_region(view.matrix, SIZE, view.canvas)
        possible = [tile for tile in range(4) if view.placements[tile].region.intersect(shown)]
        assert set(loaded) <= set(possible)
        assert len(loaded) == len(set(loaded))
        assert painting.region is not None


def test_nothing_to_see_is_grey():
    view = view_of([(640, 360)] * 4, PerspectiveDraw(0, 0, 0, 1, 0, 0, 9, 9))
    painting = FusedPainter(SIZE).paint(view, False, lambda _: pytest.fail("nothing is to be loaded"))
    assert painting.region is None
    assert (painting.whole() == PADDING).all()


@pytest.mark.parametrize("size", [(5000, 3), (3, 5000), (1, 1)])
@pytest.mark.parametrize("warp", WARPS)
def test_extreme_shapes(tmp_path, size, warp):
    cv2.imwrite(str(tmp_path / "a.jpg"), np.full((size[1], size[0], 3), 200, np.uint8))
    index = FrameIndex.from_frames([make_frame(tmp_path / "a.jpg", 1, width=size[0], height=size[1])])
    dataset, _ = both(index, warp)
    for request in requests(index, 10):
        image = dataset[request].image
        assert np.isin(image, [PADDING, 199, 200, 201]).all()
