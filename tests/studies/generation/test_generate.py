"""Generating: sources, floors and classes, with a network whose codes are its samples."""

from dataclasses import fields

import numpy as np
import pandas as pd
import pytest
import torch

from hourglass.networks import Dense, Network
from hourglass.networks.variational import Variational
from hourglass.studies.classification.reference_classifier import RealClassifier
from hourglass.studies.generation.conditional import class_agreement, codes_of_classes
from hourglass.studies.generation.frechet import frechet_distance
from hourglass.studies.generation.generate import COUNT, Generated, generate

SHAPE = (1, 2, 2)


def identity(shape: tuple[int, ...]) -> Network:
    """Return a network that codes a sample of four elements as itself."""
    network = Dense(shape, 4, bounded=False)
    with torch.no_grad():
        for layer in (network.encoder[1], network.decoder[0]):  # type: ignore[index]
            layer.weight.copy_(torch.eye(4))
            layer.bias.zero_()
    return network


def draw(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return samples (count, 1, 2, 2) of two narrow classes far apart, and their labels."""
    rng = np.random.default_rng(seed)
    label = rng.choice(["left", "right"], count)
    x = 0.1 * rng.normal(size=(count, 4)) + np.where(label == "left", -1, 1)[:, None]
    return x.reshape(count, *SHAPE).astype(np.float32), label


@pytest.fixture(scope="module")
def classifier() -> RealClassifier:
    """Give a classifier that was never trained."""
    torch.manual_seed(4)  # with which it puts some of each class in either
    options = {"sample_shape": SHAPE, "latent_dim": 6, "channels": (4,)}
    return RealClassifier(["left", "right"], **options).eval()


@pytest.fixture(scope="module")
def generated(classifier) -> Generated:
    """Give what the network that repeats its samples makes up."""
    x, label = draw(1_200, 0)
    return generate(identity(SHAPE), x.reshape(-1, 4), label, draw(900, 1)[0], classifier)


def test_the_sources_are_real_samples_their_reconstructions_and_one_a_sampler(generated):
    names = ["real", "reconstructions", "gaussian", "mixture", "uniform"]
    assert list(generated.samples) == list(generated.frechet.source) == names
    assert {each.shape for each in generated.samples.values()} == {(450, *SHAPE)}
    assert {each.dtype for each in generated.samples.values()} == {np.dtype(np.float32)}
    assert list(generated.code_distance.source) == [names[0], *names[2:]]
    assert (generated.frechet.samples == 450).all()


def test_the_real_samples_are_test_samples_and_the_others_are_held_against_the_rest(
    generated, classifier
):
    real = draw(900, 1)[0]
    floor = generated.samples["real"]
    chosen = {each.tobytes() for each in floor}
    rest = np.stack([each for each in real if each.tobytes() not in chosen])
    assert len(chosen) == len(rest) == 450
    with torch.no_grad():
        first, other = (
            classifier.features(torch.from_numpy(each)).numpy() for each in (floor, rest)
        )
    expected = frechet_distance(first, other)
    assert generated.frechet.frechet_distance[0] == pytest.approx(expected, rel=1e-6)


def test_the_network_s_reconstructions_are_those_of_the_real_samples(generated):
    np.testing.assert_allclose(
        generated.samples["reconstructions"], generated.samples["real"], rtol=1e-6
    )


def test_a_mixture_comes_nearest_to_two_classes_and_uniform_stays_far(generated):
    distance = generated.frechet.set_index("source").frechet_distance
    assert distance["real"] < distance["mixture"]
    assert distance["mixture"] < distance["gaussian"] / 4
    assert distance["gaussian"] < distance["uniform"] / 4
    far = generated.code_distance.set_index("source").share_far
    assert far["real"] <= 0.02
    assert far["mixture"] < 0.1
    assert far["uniform"] > 0.9


def test_samples_of_a_class_lie_where_that_class_does(generated):
    assert list(generated.by_class) == ["left", "right"]
    for name, sign in (("left", -1), ("right", 1)):
        x = generated.by_class[name]
        assert len(x) == COUNT // 2
        np.testing.assert_allclose(x.mean(0), sign, atol=0.03)
        np.testing.assert_allclose(x.std(0), 0.1, rtol=0.2)


def test_the_agreement_is_the_share_that_the_classifier_puts_in_the_class(generated, classifier):
    table = generated.agreement.set_index("class")
    right = []
    for place, (name, x) in enumerate(generated.by_class.items()):
        with torch.no_grad():
            right.append(classifier(torch.from_numpy(x)).argmax(1).numpy() == place)
        assert table.class_agreement[name] == right[-1].mean()
        assert right[-1].any()
        assert not right[-1].all()
    assert table.class_agreement["all"] == np.concatenate(right).mean()
    assert table.samples.to_dict() == {"left": COUNT // 2, "right": COUNT // 2, "all": COUNT}


def test_an_unknown_class_agrees_with_nothing(classifier):
    table = class_agreement({"else": draw(20, 0)[0]}, classifier)
    assert (table.class_agreement == 0).all()


def test_the_same_seed_makes_the_same_samples_and_another_one_others():
    x, label = draw(300, 0)
    again = [
        generate(identity(SHAPE), x.reshape(-1, 4), label, draw(100, 1)[0], seed=seed)
        for seed in (5, 5, 6)
    ]
    for each in fields(Generated):
        first, second = (getattr(one, each.name) for one in again[:2])
        if isinstance(first, dict):
            assert all(first[key].tobytes() == second[key].tobytes() for key in first)
        elif isinstance(first, pd.DataFrame):
            pd.testing.assert_frame_equal(first, second, check_exact=True)
    assert not np.array_equal(again[0].samples["mixture"], again[2].samples["mixture"])


def test_rows_of_one_class_are_compared_as_they_are():
    x = draw(300, 0)[0].reshape(-1, 4)
    network = identity((4,))
    found = generate(network, x, np.full(300, "genuine"), x[:100])
    assert found.by_class == {}
    assert found.agreement is None
    held = [each.tobytes() for each in found.samples["real"]]
    rest = np.stack([each for each in x[:100] if each.tobytes() not in held])
    expected = frechet_distance(found.samples["real"], rest)
    assert found.frechet.frechet_distance[0] == pytest.approx(expected)


def test_a_variational_network_has_a_prior_too():
    torch.manual_seed(0)
    x, label = draw(200, 0)
    network = Variational(SHAPE, 3, hidden=(4,))
    codes = np.random.default_rng(0).normal(size=(200, 3)).astype(np.float32)
    found = generate(network, codes, label, np.abs(x))
    assert list(found.samples)[2] == "prior"
    assert np.isfinite(found.samples["prior"]).all()


def test_too_few_test_samples_are_refused(refusal):
    x, label = draw(20, 0)
    sentence = refusal(generate, identity(SHAPE), x.reshape(-1, 4), label, x[:3])
    assert "3 test samples" in sentence


def test_a_class_of_one_code_is_left_out():
    x, label = draw(40, 0)
    label[0] = "rare"
    found = codes_of_classes(x.reshape(-1, 4), label, 5)
    assert list(found) == ["left", "right"]
