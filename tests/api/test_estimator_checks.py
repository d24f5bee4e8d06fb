"""scikit-learn's own checks of estimators, on the estimator `Autoencoder`.

scikit-learn skips `check_array_api_input` unless SCIPY_ARRAY_API is set; then it passes.
"""

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from hourglass.api.estimator import Autoencoder


@pytest.mark.filterwarnings("ignore:.* calibration samples are too few")
@parametrize_with_checks([Autoencoder(max_epochs=2)])
def test_scikit_learn_check(estimator, check):
    check(estimator)
