import shutil
import subprocess

import numpy as np
import pytest
from PIL import Image

from attn_jax import plot

MAPS = np.random.default_rng(0).dirichlet(np.ones(5), (11, 3))


def test_the_strip_shows_the_first_the_last_and_some_between():
    figure = plot.film(MAPS, steps=range(0, 1100, 100), frames=4, columns=3)
    shown = [ax for ax in figure.axes if ax.images]
    assert [ax.get_title("left") for ax in shown[:4]] == [f"step {s}" for s in (0, 300, 700, 1000)]
    for ax, at in zip(shown, (0, 3, 7, 10), strict=False):
        np.testing.assert_array_equal(ax.images[0].get_array(), MAPS[at])
        assert ax.images[0].norm.vmax == MAPS.max()
    assert len(plot.film(MAPS[:2], frames=7).axes) == 3


def test_known_links_are_outlined_in_each_map():
    figure = plot.film(MAPS[:2], sure=np.eye(3, 5, dtype=bool))
    assert [len(ax.collections[0].get_paths()) for ax in figure.axes[:2]] == [3, 3]


@pytest.mark.parametrize("queries", [4, 9, 30])
def test_the_scale_is_named_within_the_strip(queries):
    figure = plot.film(np.full((5, queries, 12), 1 / 12))
    figure.draw_without_rendering()
    name = figure.axes[-1].yaxis.label
    whole, extent = figure.bbox, name.get_window_extent()
    assert "weight" in name.get_text()
    assert whole.y0 <= extent.y0 < extent.y1 <= whole.y1


def one_hot(place):
    weights = np.zeros((1, 3))
    weights[0, place] = 1
    return weights


def test_each_frame_of_the_gif_shows_its_map(tmp_path):
    path = plot.animate([one_hot(at) for at in (2, 0, 1)], tmp_path / "a.gif", fps=5, keys="abc")
    with Image.open(path) as film:
        assert film.n_frames == 3
        assert film.info["duration"] == 200
        darkest = []
        for at in range(3):
            film.seek(at)
            dark = np.asarray(film.convert("RGB")).sum(-1) < 200
            darkest.append(np.flatnonzero(dark.sum(0) > 40).mean())  # no text is that tall
    assert darkest[1] < darkest[2] < darkest[0]
    assert darkest[2] - darkest[1] == pytest.approx(darkest[0] - darkest[2], abs=1.5)


def test_masked_cells_stay_gray_in_every_frame(tmp_path):
    mask = np.array([[True, True, False]])
    path = plot.animate([one_hot(0), one_hot(1)], tmp_path / "a.gif", mask=mask)
    with Image.open(path) as film:
        for at in range(2):
            film.seek(at)
            gray = (np.abs(np.asarray(film.convert("RGB")).astype(int) - (228, 232, 236)) < 6).all(
                -1
            )
            assert gray.sum() > 200


@pytest.mark.skipif(not shutil.which("ffmpeg"), reason="ffmpeg is not installed (Debian: ffmpeg)")
def test_a_film_can_be_an_mp4(tmp_path):
    path = plot.animate(MAPS, tmp_path / "a.mp4", steps=range(11))
    frames = tmp_path / "%02d.png"
    subprocess.run(["ffmpeg", "-loglevel", "error", "-i", path, frames], check=True)
    assert len(list(tmp_path.glob("*.png"))) == 11


def test_films_that_cannot_be_are_refused(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match=r"shape \(3, 5\); \(steps, queries, keys\) is needed"):
        plot.film(MAPS[0])
    with pytest.raises(ValueError, match="steps has 2 entries, but there are 11 maps"):
        plot.film(MAPS, steps=[0, 1])
    with pytest.raises(ValueError, match=r"'a.avi' ends in '.avi'; use '.gif' or '.mp4'"):
        plot.animate(MAPS, tmp_path / "a.avi")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RuntimeError, match=r"'a.mp4' needs ffmpeg, .*; write a .gif"):
        plot.animate(MAPS, tmp_path / "a.mp4")
