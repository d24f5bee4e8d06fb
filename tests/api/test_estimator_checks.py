"""scikit-learn's own checks of estimators, on the estimator `Autoencoder`."""

from sklearn.utils.estimator_checks import parametrize_with_checks

from hourglass.api.estimator import Autoencoder


@parametrize_with_checks([Autoencoder(max_epochs=2)])
def test_scikit_learn_check(estimator, check):
    check(estimator)
