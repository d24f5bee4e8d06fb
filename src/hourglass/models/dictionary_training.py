"""The training loss of a sparse dictionary, and the statistics of its units."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from hourglass.models.dictionary_statistics import (
    geometric_median,
    resampled_directions,
    variance_per_element,
)
from hourglass.networks.processes import over_processes, process_count
from hourglass.networks.sparse import SparseDictionary
from hourglass.networks.sparse_activations import JumpReLU, Step
from hourglass.networks.training_codes import TrainingCodes, training_codes

LogitsLoss = Callable[[Tensor, Tensor], Tensor]  # of samples and logits, (N, *S) each
PENALISED = ("l1", "jumprelu", "gated")  # sparsities with a penalty, whose weight rises at first
# Gao et al. 2024 take 1 / 32 for an error that is divided by its variance. The weight decides how
# fast dead units return, and reaches no others.
AUXILIARY_WEIGHT = 1.0
# A unit is dead after this many times the mean interval between its activations, latent_dim / k
# samples, or after an epoch if that has fewer.
DEAD_INTERVALS = 20
THRESHOLD_RATE = 0.02  # of the running mean over steps
BANDWIDTH = 0.05  # of the straight-through estimates, in standard deviations of an element
PREFIXES = (1 / 16, 1 / 8, 1 / 4, 1 / 2, 1.0)  # shares of the units, nested in "matryoshka"
ERROR_BATCH = 1024  # samples
RESAMPLED_SCALE = 0.2  # of a resampled unit's encoder, relative to the mean norm of the others


class DictionaryTraining(nn.Module):
    """Compute the loss of a `SparseDictionary` on samples of any scale.

    The published recipes centre samples and scale them to a mean squared norm of D. Here the
    network keeps the scale of the samples, so no factor is left to fold into its weights: a sparse
    activation s satisfies s(c a) = c s(a) for c > 0, if thresholds are scaled as well. Only the
    unit of biases and thresholds differs, by sqrt(`variance`), and that of the penalty.

    `weight` is the weight of the penalty. `idle` counts the samples since a unit was active.
    """

    variance: Tensor
    steps: Tensor
    idle: Tensor

    def __init__(self, network: SparseDictionary, weight: float) -> None:
        super().__init__()
        # A tuple, so that torch does not register its parameters a second time.
        self._network = (network,)
        self.weight = weight
        self.dead_after, self.warmup_steps = DEAD_INTERVALS * network.latent_dim / network.k, 1
        self.register_buffer("variance", torch.ones(()))  # mean squared deviation of an element
        self.register_buffer("steps", torch.zeros(()))
        self.register_buffer("idle", torch.zeros(network.latent_dim))
        if network.sparsity == "gated":
            self.log_gate_scale = nn.Parameter(torch.zeros(network.latent_dim))

    @property
    def network(self) -> SparseDictionary:
        """The network that is trained."""
        return self._network[0]

    def loss(self, x: Tensor, encoder_input: Tensor, logits_loss: LogitsLoss) -> Tensor:
        """Return the loss of a batch, (N, *S), and update the statistics of the units.

        "matryoshka" takes the mean of the losses of nested dictionaries (Bussmann et al. 2025).
        "gated" adds the loss of the gates' own reconstruction by a frozen decoder (Rajamanoharan et
        al. 2024a, equation 8).
        """
        network, codes = self.network, self._codes(encoder_input)
        z, penalty = self._activate(codes)
        if network.sparsity == "matryoshka":
            ends = [max(1, round(share * network.latent_dim)) for share in PREFIXES]
            outputs = codes.decode_nested(z, network.W_dec, ends)
        else:
            outputs = [codes.decode(z, network.W_dec)]
        logits = [self._logits(output) for output in outputs]
        loss = torch.stack([logits_loss(x, y) for y in logits]).mean()
        if network.sparsity in PENALISED:
            loss = loss + (self.steps / self.warmup_steps).clamp(max=1.0) * penalty
        if network.sparsity == "gated":
            frozen = codes.decode(self._gate(codes), network.W_dec.detach())
            loss = loss + logits_loss(x, self._logits(frozen, network.b_dec.detach()))
        if network.sparsity != "l1":
            loss = loss + self._auxiliary_loss(codes, x, logits[-1].detach(), logits_loss)
        self._count(codes, z.detach())
        return loss

    @torch.no_grad()
    def penalty(self, x: Tensor) -> Tensor:
        """Return the penalty of samples, (N, *S), at its final weight."""
        return self._activate(self._codes(x))[1]

    def _codes(self, x: Tensor) -> TrainingCodes:
        return training_codes(self.network, x, self._bandwidth)

    @property
    def _bandwidth(self) -> Tensor:
        return BANDWIDTH * self.variance.sqrt()

    def _logits(self, decoded: Tensor, bias: Tensor | None = None) -> Tensor:
        """Return z W_dec + b_dec in the shape of the samples: (N, D) -> (N, *S)."""
        logits: Tensor = self.network.decoder[1](
            decoded + (self.network.b_dec if bias is None else bias)
        )
        return logits

    def _activate(self, codes: TrainingCodes) -> tuple[Tensor, Tensor]:
        """Return the activations, of the shape of `codes.values`, and the weighted penalty.

        The penalty is variance * weight * P, as the loss is variance times that of scaled samples.
        P is the mean over samples of sum_j |z_j| / D for "l1", of the same sum over the gates for
        "gated", and (L0 / k - 1)^2 for "jumprelu", with the mean number L0 of active units.
        """
        values, samples = codes.values, len(codes.centred)
        per_element = self.variance.sqrt() / (samples * codes.centred.shape[1])
        if self.network.sparsity == "gated":
            is_open = values.detach() > codes.of_units(self.network.threshold.detach())
            z = torch.where(is_open, values, 0.0).relu()
            return z, self.weight * per_element * self._gate(codes).sum()
        if self.network.sparsity != "jumprelu":
            z = values.relu()
            return z, self.weight * per_element * z.sum()
        threshold = codes.of_units(self.network.threshold)
        z = JumpReLU.apply(values, threshold, self._bandwidth)
        active = Step.apply(values, threshold, self._bandwidth).sum() / samples
        return z, self.weight * self.variance * (active / self.network.k - 1).square()

    def _gate(self, codes: TrainingCodes) -> Tensor:
        """Return the rectified pre-activations of the gates, exp(r) (a - threshold).

        The gate of Rajamanoharan et al. 2024a, equations 6 and 7, is this function of the
        pre-activation a of the magnitude, as both share their weights up to a scale.
        """
        scale = codes.of_units(self.log_gate_scale).exp()
        return ((codes.values - codes.of_units(self.network.threshold)) * scale).relu()

    def _auxiliary_loss(
        self, codes: TrainingCodes, x: Tensor, logits: Tensor, logits_loss: LogitsLoss
    ) -> Tensor:
        """Return the loss of reconstructing the error by dead units, AuxK (Gao et al. 2024, A.2).

        The `k` largest pre-activations of dead units are decoded; the paper takes D / 2 of them,
        which revives fewer units of small dictionaries. The error is detached. At most D dead units
        take part, those that have been idle for longest, so the cost is bounded.
        """
        if self.idle.device.type == "cpu" and self.idle.numpy().max() < self.dead_after:
            return logits.new_zeros(())  # on a GPU, the value is not waited for
        idle, units = self.idle.topk(min(codes.centred.shape[1], len(self.idle)))
        dead = idle >= self.dead_after
        weight, bias = self.network.W_enc.T[units], self.network.b_enc[units]
        pre = torch.where(dead, codes.centred.detach() @ weight.T + bias, 0.0).relu()
        values, chosen = pre.topk(min(self.network.k, len(units)), dim=1, sorted=False)
        z = torch.zeros_like(pre).scatter(1, chosen, values)
        error = self.network.decoder[1](z @ self.network.W_dec[units])
        return AUXILIARY_WEIGHT * dead.any() * logits_loss(x, logits + error)

    @torch.no_grad()
    def _count(self, codes: TrainingCodes, z: Tensor) -> None:
        """Count the samples since each unit was active; update the threshold of "batch_topk".

        The threshold is the running mean of the smallest active value of a batch (Bussmann et al.
        2024, equation 5). All processes get the same statistics.
        """
        z = z.to(self.idle.dtype)  # in mixed precision, codes have less
        least = torch.where(z > 0, z, torch.inf).min() if z.numel() else self.variance * torch.inf
        statistics = torch.cat([codes.fired(z), least[None]])
        statistics, processes = over_processes(statistics), process_count()
        fired, least = statistics[:-1], statistics[-1] / processes
        self.idle.add_(len(codes.centred) * processes).mul_(fired == 0)
        self.steps += 1
        if self.network.sparsity in ("batch_topk", "matryoshka"):
            threshold = self.network.threshold
            mean = torch.where(threshold > 0, threshold.lerp(least, THRESHOLD_RATE), least)
            threshold.copy_(torch.where(least.isfinite(), mean, threshold))

    @torch.no_grad()
    def start(self, x: Tensor) -> None:
        """Set the scale of flat samples, (N, D), and b_dec to their geometric median.

        The thresholds of "jumprelu" start where `k` units per sample are active.
        """
        self.variance.copy_(variance_per_element(x))
        self.network.b_dec.copy_(geometric_median(x))
        if self.network.sparsity == "jumprelu":
            pre = self.network.pre_activations(x[:ERROR_BATCH])
            active = len(pre) * self.network.k
            self.network.threshold.fill_(pre.flatten().topk(active).values[-1].clamp_min(0))

    @torch.no_grad()
    def resample(self, x: Tensor) -> Tensor:
        """Point dead units at badly reconstructed flat samples, (N, D); return True for them.

        All processes draw the same samples. Source: Bricken et al. 2023, neuron resampling.
        """
        network, dead = self.network, self.idle >= self.dead_after
        count = int(dead.sum())
        if not count:
            return dead
        parts = x.split(ERROR_BATCH)
        outputs = [network.decoder[0](network.encoder[1](part)) for part in parts]
        errors = (torch.cat(outputs) - x).square().sum(1)
        generator = torch.Generator(x.device).manual_seed(int(self.steps))
        directions = resampled_directions(x - network.b_dec, errors, count, generator)
        others = network.W_enc.T[~dead].norm(dim=1)
        scale = RESAMPLED_SCALE * (others.mean() if len(others) else 1.0)
        network.W_dec[dead] = directions
        network.W_enc.T[dead] = scale * directions
        network.b_enc[dead] = 0.0
        self.idle[dead] = 0.0
        return dead
