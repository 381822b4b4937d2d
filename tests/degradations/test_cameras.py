"""Responses, clipping, rounding and JPEG as parts of a degradation."""

import json

import numpy as np
import pytest
import torch
from PIL import Image as Picture

from tests.cases import uniform
from undegrade.degradations.degradation import Degradation
from undegrade.degradations.description import degradation_from, description_of
from undegrade.degradations.flags import DegradationFlags
from undegrade.degradations.jpeg import Jpeg
from undegrade.files.picture import read_image
from undegrade.likelihoods.gaussian import Gaussian
from undegrade.likelihoods.rounded import Rounded
from undegrade.likelihoods.saturated import Saturated
from undegrade.operators.block_transform import BlockTransform
from undegrade.operators.blur import Blur
from undegrade.operators.response import Response
from undegrade.operators.response_curves import SRGB, Gamma, Logarithm, Table

SHAPE = (3, 24, 20)
CURVES = [Gamma(2.2), Gamma(1.0), SRGB(), Logarithm(), Table((0.0, 0.2, 1.0), (0.0, 0.5, 1.0))]


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.mark.parametrize("curve", CURVES, ids=str)
def test_a_curve_rises_and_has_its_inverse(curve):
    z = torch.linspace(-0.5, 2, 4001, dtype=torch.float64)
    y = curve.encode(z)
    assert (y.diff() > 0).all()
    torch.testing.assert_close(curve.decode(y), z)
    near = torch.linspace(-1e-4, 3e-4, 2001, dtype=torch.float64)
    assert (curve.encode(near).diff() > 0).all()
    torch.testing.assert_close(curve.encode(torch.tensor([0.0, 1.0])), torch.tensor([0.0, 1.0]))


def test_gamma_is_the_power_but_for_the_darkest_light():
    z = uniform(1000)
    far = z > 1e-4
    torch.testing.assert_close(Gamma(2.2).encode(z)[far], z[far] ** (1 / 2.2))


def test_a_response_comes_after_the_linear_part():
    x = uniform(1, *SHAPE).float()
    flags = DegradationFlags(blur="gaussian:1", response="gamma:2.2", scene="linear")
    degradation = flags.build(SHAPE)
    torch.testing.assert_close(degradation.operator(x), degradation.blur(x) ** (1 / 2.2))
    encoded = DegradationFlags(blur="gaussian:1", response="gamma:2.2").build(SHAPE)
    torch.testing.assert_close(encoded.operator(x ** (1 / 2.2)), degradation.operator(x))


def test_without_anything_in_linear_light_an_encoded_picture_stays_as_it_is():
    assert DegradationFlags(response="srgb").build(SHAPE).operator.gram is not None


def test_version_1_and_a_version_2_without_cameras_are_read():
    data = description_of(Degradation(shape=SHAPE, likelihood=Gaussian(0.1)))
    for key in ("response", "scene", "saturation", "jpeg"):
        del data[key]
    assert degradation_from(data).scene == "linear"
    assert degradation_from({**data, "version": 1}).response is None


@pytest.mark.parametrize("change", [
    {"response": {"kind": "film"}},
    {"response": {"kind": "gamma", "exponent": 0.0}},
    {"response": {"kind": "curve", "light": [0, 1], "values": [1, 0]}},
    {"scene": "dark"},
    {"saturation": 1},
    {"jpeg": {"tables": [[1] * 64], "subsampling": 2}},
    {"jpeg": {"tables": [[0] * 64, [1] * 64], "subsampling": 2}},
    {"jpeg": {"tables": [[1] * 64, [1] * 64], "subsampling": 3}},
])  # fmt: skip
def test_impossible_cameras_are_refused(change):
    data = description_of(Degradation(shape=SHAPE)) | change
    with pytest.raises(ValueError):
        degradation_from(json.loads(json.dumps(data)))


@pytest.mark.parametrize("words", [
    {"response": "gamma"}, {"response": "film"}, {"response": "srgb:2"}, {"jpeg": 0},
    {"jpeg": "high"}, {"noise": "sensor:0.1"}, {"noise": "gaussian:0.1:0.2"},
])  # fmt: skip
def test_words_that_mean_nothing_are_told(words):
    with pytest.raises(ValueError):
        DegradationFlags(**words)


def test_a_curve_comes_from_a_file(tmp_path):
    (tmp_path / "c.csv").write_text("light,value\n0,0\n0.25,0.5\n1,1\n")
    response = DegradationFlags(response=f"curve:{tmp_path / 'c.csv'}").build(SHAPE).response
    assert response(torch.full((1, 1, 1, 1), 0.125)).item() == pytest.approx(0.25)
    (tmp_path / "d.txt").write_text("0 0.5 1".replace(" ", "\n"))
    response = DegradationFlags(response=f"curve:{tmp_path / 'd.txt'}").build(SHAPE).response
    assert response(torch.full((1, 1, 1, 1), 0.3)).item() == pytest.approx(0.3)
    (tmp_path / "e.txt").write_text("0\n1\n0.5\n")
    with pytest.raises(ValueError):
        DegradationFlags(response=f"curve:{tmp_path / 'e.txt'}")


def test_clipped_highlights_are_bounds_where_a_blur_is_known():
    x = 1.3 * uniform(1, *SHAPE).float()
    blur, noise = Blur(torch.ones(1, 3) / 3), Gaussian(0.02)
    clipped = Degradation(shape=SHAPE, blur=blur, likelihood=noise, saturation=True)
    y = clipped.degrade(x, seeded())
    assert y.max() == 1
    assert isinstance(clipped.measurement(y).likelihood, Saturated)
    unsaid = Degradation(shape=SHAPE, blur=blur, likelihood=noise)
    assert isinstance(unsaid.measurement(y).likelihood, Saturated)
    assert isinstance(unsaid.measurement(y.clamp(max=0.99)).likelihood, Gaussian)
    denoised = Degradation(shape=SHAPE, likelihood=noise)
    assert isinstance(denoised.measurement(y).likelihood, Gaussian)
    off = Degradation(shape=SHAPE, blur=blur, likelihood=noise, saturation=False)
    assert isinstance(off.measurement(y).likelihood, Gaussian)


def test_coarse_rounding_is_an_interval_and_fine_rounding_noise():
    y = uniform(1, *SHAPE).float()
    coarse = Degradation(shape=SHAPE, likelihood=Gaussian(0.01), bits=3)
    assert isinstance(coarse.measurement(coarse.degrade(y, seeded())).likelihood, Rounded)
    fine = Degradation(shape=SHAPE, likelihood=Gaussian(0.01), bits=8)
    assert isinstance(fine.measurement(fine.degrade(y, seeded())).likelihood, Gaussian)


@pytest.mark.parametrize(("mode", "subsampling"), [("L", 0), ("RGB", 0), ("RGB", 2)])
def test_a_jpeg_is_what_the_usual_encoder_writes(tmp_path, mode, subsampling):
    smooth = torch.nn.functional.interpolate(uniform(1, 3, 6, 5), size=(45, 37), mode="bicubic")
    pixels = (smooth[0].permute(1, 2, 0) * 255).clamp(0, 255).byte().numpy()
    picture = Picture.fromarray(pixels).convert(mode)
    picture.save(tmp_path / "y.jpg", quality=40, subsampling=subsampling)
    theirs, jpeg = read_image(tmp_path / "y.jpg"), Jpeg.of_file(tmp_path / "y.jpg")
    x = torch.from_numpy(np.array(picture)).float().reshape(45, 37, -1).permute(2, 0, 1)[None] / 255
    ours = Jpeg.of_quality(40, jpeg.subsampling).compressed(x)
    assert jpeg.tables[0] == Jpeg.of_quality(40).tables[0]
    assert (ours - theirs).abs().mean() < (
        1.2 if subsampling == 0 else 2
    ) / 255  # colors at half size are rounded twice
    transform = jpeg.transform(tuple(x.shape[1:]))
    step = jpeg.likelihood(theirs, None).step
    inside = (transform(x) - jpeg.coefficients(theirs)).abs() <= step / 2 + 2 / 255
    assert inside.float().mean() > 0.99


def test_the_block_transform_is_undone():
    for shape, subsampling in (((1, 16, 24), 1), ((3, 11, 21), 1)):
        x = uniform(2, *shape)
        transform = BlockTransform(shape, subsampling)
        torch.testing.assert_close(transform.initial(transform(x)), x)


def test_no_file_is_no_jpeg():
    with pytest.raises(OSError, match="none"):
        Jpeg.of_file("none.jpg")
    with pytest.raises(ValueError):
        DegradationFlags(jpeg=__file__)


def test_the_response_of_degradation_prints_itself():
    assert "Gamma(exponent=2.2)" in repr(Response(Gamma(2.2)).inverse)
