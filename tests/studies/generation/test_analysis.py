"""Generation with a network whose codes are its samples."""

from dataclasses import fields

import numpy as np
import pandas as pd
import pytest
import torch

from hourglass.networks import Dense, Network
from hourglass.networks.variational import Variational
from hourglass.studies.classification.reference_classifier import RealClassifier
from hourglass.studies.generation.analysis import (
    MAX_SAMPLES,
    Generated,
    class_agreement,
    generate,
    sample_classes,
)
from hourglass.studies.generation.distances import frechet_distance

SHAPE = (1, 2, 2)


def identity(shape: tuple[int, ...]) -> Network:
    """Return a network whose code is the sample of four elements."""
    network = Dense(shape, 4, bounded=False)
    with torch.no_grad():
        for layer in (network.encoder[1], network.decoder[0]):  # type: ignore[index]
            layer.weight.copy_(torch.eye(4))
            layer.bias.zero_()
    return network


def draw(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return samples (count, 1, 2, 2) of two distant, narrow classes, and their labels."""
    rng = np.random.default_rng(seed)
    label = rng.choice(["left", "right"], count)
    x = 0.1 * rng.normal(size=(count, 4)) + np.where(label == "left", -1, 1)[:, None]
    return x.reshape(count, *SHAPE).astype(np.float32), label


def rest_of(x: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """Return the samples that are not among the chosen ones."""
    contents = {sample.tobytes() for sample in chosen}
    return np.stack([sample for sample in x if sample.tobytes() not in contents])


@pytest.fixture(scope="module")
def classifier() -> RealClassifier:
    """Give an untrained classifier."""
    torch.manual_seed(4)  # it assigns some samples of each class to either class
    options = {"sample_shape": SHAPE, "latent_dim": 6, "channels": (4,)}
    return RealClassifier(["left", "right"], **options).eval()


@pytest.fixture(scope="module")
def generated(classifier) -> Generated:
    x, label = draw(1_200, 0)
    return generate(identity(SHAPE), x.reshape(-1, 4), label, draw(900, 1)[0], classifier)


def test_the_sources_are_real_samples_reconstructions_and_samplers(generated):
    names = ["real", "reconstructions", "gaussian", "mixture", "uniform"]
    assert list(generated.samples) == list(generated.frechet.source) == names
    assert {x.shape for x in generated.samples.values()} == {(450, *SHAPE)}
    assert {x.dtype for x in generated.samples.values()} == {np.dtype(np.float32)}
    assert list(generated.code_distance.source) == [names[0], *names[2:]]
    assert (generated.frechet.samples == 450).all()
    np.testing.assert_allclose(
        generated.samples["reconstructions"], generated.samples["real"], rtol=1e-6
    )


def test_real_samples_are_compared_with_the_other_test_samples(generated, classifier):
    held_out = generated.samples["real"]
    reference = rest_of(draw(900, 1)[0], held_out)
    assert len(reference) == 450
    with torch.no_grad():
        first, other = (
            classifier.features(torch.from_numpy(x)).numpy() for x in (held_out, reference)
        )
    expected = frechet_distance(first, other)
    assert generated.frechet.frechet_distance[0] == pytest.approx(expected, rel=1e-6)


def test_a_mixture_is_nearest_to_two_classes_and_uniform_is_far(generated):
    distance = generated.frechet.set_index("source").frechet_distance
    assert distance["real"] < distance["mixture"]
    assert distance["mixture"] < distance["gaussian"] / 4
    assert distance["gaussian"] < distance["uniform"] / 4
    far = generated.code_distance.set_index("source").share_far
    assert far["real"] <= 0.02
    assert far["mixture"] < 0.1
    assert far["uniform"] > 0.9


def test_samples_of_a_class_are_distributed_as_that_class(generated):
    assert list(generated.by_class) == ["left", "right"]
    for name, sign in (("left", -1), ("right", 1)):
        x = generated.by_class[name]
        assert len(x) == MAX_SAMPLES // 2
        np.testing.assert_allclose(x.mean(0), sign, atol=0.03)
        np.testing.assert_allclose(x.std(0), 0.1, rtol=0.2)


def test_the_agreement_is_the_share_assigned_to_the_class(generated, classifier):
    table = generated.agreement.set_index("class")
    correct = []
    for index, (name, x) in enumerate(generated.by_class.items()):
        with torch.no_grad():
            correct.append(classifier(torch.from_numpy(x)).argmax(1).numpy() == index)
        assert table.class_agreement[name] == correct[-1].mean()
        assert 0 < correct[-1].mean() < 1
    assert table.class_agreement["all"] == np.concatenate(correct).mean()
    half = MAX_SAMPLES // 2
    assert table.samples.to_dict() == {"left": half, "right": half, "all": MAX_SAMPLES}
    assert (class_agreement({"else": draw(20, 0)[0]}, classifier).class_agreement == 0).all()


def test_the_samples_depend_on_the_seed():
    x, label = draw(300, 0)
    first, again, other = (
        generate(identity(SHAPE), x.reshape(-1, 4), label, draw(100, 1)[0], seed=seed)
        for seed in (5, 5, 6)
    )
    for field in fields(Generated):
        one, two = getattr(first, field.name), getattr(again, field.name)
        if isinstance(one, dict):
            assert all(one[key].tobytes() == two[key].tobytes() for key in one)
        elif isinstance(one, pd.DataFrame):
            pd.testing.assert_frame_equal(one, two, check_exact=True)
    assert not np.array_equal(first.samples["mixture"], other.samples["mixture"])


def test_rows_of_one_class_are_compared_without_a_classifier():
    x = draw(300, 0)[0].reshape(-1, 4)
    result = generate(identity((4,)), x, np.full(300, "genuine"), x[:100])
    assert result.by_class == {}
    assert result.agreement is None
    held_out = result.samples["real"]
    expected = frechet_distance(held_out, rest_of(x[:100], held_out))
    assert result.frechet.frechet_distance[0] == pytest.approx(expected)


def test_a_variational_network_also_has_a_prior():
    torch.manual_seed(0)
    x, label = draw(200, 0)
    codes = np.random.default_rng(0).normal(size=(200, 3)).astype(np.float32)
    result = generate(Variational(SHAPE, 3, hidden=(4,)), codes, label, np.abs(x))
    assert list(result.samples)[2] == "prior"
    assert np.isfinite(result.samples["prior"]).all()


def test_fewer_than_four_test_samples_are_refused(refusal):
    x, label = draw(20, 0)
    sentence = refusal(generate, identity(SHAPE), x.reshape(-1, 4), label, x[:3])
    assert "3 test samples" in sentence


def test_a_class_of_one_code_is_left_out():
    x, label = draw(40, 0)
    label[0] = "rare"
    assert list(sample_classes(x.reshape(-1, 4), label, 5)) == ["left", "right"]
