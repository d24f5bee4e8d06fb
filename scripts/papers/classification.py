"""Classification: fine-tuned encoders, and nearest neighbours on codes."""

from collections.abc import Callable

from sklearn.neighbors import KNeighborsClassifier

from hourglass.models.base import LitAutoencoder
from hourglass.studies.classification.fine_tuning import FineTuning, fine_tune
from hourglass.studies.latent_space import encode_splits
from hourglass.training.cell_settings import Training
from hourglass.training.trainer import make_module
from papers.training import Run, analyses_of, settings_of, trained


def _test_error(module: LitAutoencoder, run: Run, full: int, masking: float) -> float:
    """Fine-tune the encoder with a softmax layer; return the test error in %.

    The epoch with the fewest validation errors counts, without early stopping: under strong noise
    the error falls again after many epochs without improvement.
    """
    prepared, parts = analyses_of("mnist", run.seed)
    epochs = run.epochs(full)
    settings = FineTuning(
        epochs, 3e-3, patience=epochs, dropout=0.5, masking=masking, seed=run.seed
    )
    return 100 * fine_tune(module.network, prepared.scaling, parts, settings).test_error


def sdae3(run: Run) -> float:
    """Stack three denoising layers of 1,000 units and fine-tune them."""
    init_args = {
        "latent_dim": 1000,
        "hidden": [1000, 1000],
        "masking": 0.25,
        "loss": "bce",
        "tied": True,
        "learning_rate": 1e-3,
        "pretrain_epochs": run.epochs(20),
    }
    kind = "hourglass.models.stacked.Stacked"
    settings = settings_of("sdae3", kind, init_args, Training(256, 1, 20), run, "mnist")
    module = trained(settings, make_module(settings), whole=False)
    return _test_error(module, run, 60, masking=0.2)


def cae(run: Run) -> float:
    """Train one contractive layer of 1,000 units and fine-tune it."""
    init_args = {"latent_dim": 1000, "contraction": 0.5, "loss": "bce", "learning_rate": 1e-3}
    kind = "hourglass.models.contractive.Contractive"
    settings = settings_of("cae", kind, init_args, Training(256, 40, 40), run, "mnist")
    module = trained(settings, make_module(settings))
    return _test_error(module, run, 100, masking=0.3)


def knn(data: str, latent_dim: int) -> Callable[[Run], float]:
    """Return a function that measures the accuracy in % of kNN (k = 7) on codes."""

    def measure(run: Run) -> float:
        init_args = {
            "latent_dim": latent_dim,
            "hidden": [512, 256],
            "activation": "gelu",
            "loss": "bce",
            "noise_factor": 0.3,
            "learning_rate": 1e-3,
        }
        kind = "hourglass.models.denoising.Denoising"
        name = f"knn{latent_dim}"
        settings = settings_of(name, kind, init_args, Training(256, 20, 20), run, data)
        module = trained(settings, make_module(settings))
        prepared, parts = analyses_of(data, run.seed)
        codes = encode_splits(parts, module.network, prepared.scaling)
        neighbours = KNeighborsClassifier(7, n_jobs=-1).fit(codes.train.x, codes.train.y)
        return 100 * float(neighbours.score(codes.test.x, codes.test.y))

    return measure
