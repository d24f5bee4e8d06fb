"""A distribution of the indices of quantised codes: each position given all earlier ones."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

BATCH_SIZE, LEARNING_RATE = 256, 2e-3
STEPS, STEPS_PER_CHECK, PATIENCE = 2000, 100, 3  # of the fit; patience in checks


class AutoregressivePrior(nn.Module):
    """A masked network with one hidden layer (Germain et al. 2015, MADE).

    Its inputs are the values of the positions, (N, latent_dim), its outputs the logits of the
    `size` indices of each position. Masks let the outputs of a position depend on the values of
    earlier positions only. The weights take no part in the training of the autoencoder: `fit`
    trains them on the codes of the trained one.
    """

    visible: Tensor  # (width, latent_dim) bool: the inputs that a hidden unit sees
    usable: Tensor  # (positions * size, width) bool: the hidden units that an output sees

    def __init__(self, latent_dim: int, positions: int, size: int, width: int) -> None:
        super().__init__()
        self.positions, self.size = positions, size
        self.hidden = nn.Linear(latent_dim, width)
        self.output = nn.Linear(width, positions * size)
        degrees = torch.arange(width) * positions // width  # positions that a unit may see
        of_inputs = torch.arange(latent_dim) // (latent_dim // positions)
        of_outputs = torch.arange(positions).repeat_interleave(size)
        self.register_buffer("visible", of_inputs < degrees[:, None], persistent=False)
        self.register_buffer("usable", degrees <= of_outputs[:, None], persistent=False)
        self.requires_grad_(False)

    def forward(self, values: Tensor) -> Tensor:
        """Return logits: (N, latent_dim) -> (N, positions, size)."""
        hidden = functional.linear(
            values, self.hidden.weight * self.visible, self.hidden.bias
        ).relu()
        logits = functional.linear(hidden, self.output.weight * self.usable, self.output.bias)
        return logits.unflatten(1, (self.positions, self.size))

    def bits(self, values: Tensor, indices: Tensor) -> Tensor:
        """Return -log2 of the probability of each code: (N, latent_dim), (N, positions) -> (N,).

        An arithmetic coder with this prior stores a code in that many bits, up to 2 per message.
        """
        logits = self(values).transpose(1, 2)
        return functional.cross_entropy(logits, indices, reduction="none").sum(1) / math.log(2)

    def fit(
        self,
        values: Tensor,
        indices: Tensor,
        validation: tuple[Tensor, Tensor],
        seed: int = 0,
    ) -> None:
        """Minimise the bits of codes; keep the weights with the fewest bits on validation codes.

        `values` are (N, latent_dim), `indices` (N, positions); `validation` holds both. The fit
        ends early if the bits have not fallen for PATIENCE checks.
        """
        generator = torch.Generator().manual_seed(seed)
        self.requires_grad_(True)
        optimizer = torch.optim.Adam(self.parameters(), LEARNING_RATE, fused=True)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS)
        best, fewest, since = self.state_dict(), math.inf, 0
        with torch.enable_grad():
            for step in range(1, STEPS + 1):
                chosen = torch.randint(len(values), (BATCH_SIZE,), generator=generator)
                chosen = chosen.to(values.device)
                optimizer.zero_grad()
                self.bits(values[chosen], indices[chosen]).mean().backward()
                optimizer.step()
                schedule.step()
                if step % STEPS_PER_CHECK == 0:
                    with torch.no_grad():
                        bits = float(self.bits(*validation).mean())
                    since += 1
                    if bits < fewest:
                        best = {key: value.clone() for key, value in self.state_dict().items()}
                        fewest, since = bits, 0
                    if since == PATIENCE:
                        break
        self.load_state_dict(best)
        self.requires_grad_(False)

    def draw(self, position: int, values: Tensor, generator: torch.Generator) -> Tensor:
        """Draw indices of a position given the values of earlier ones: (N, latent_dim) -> (N,)."""
        probabilities = self(values)[:, position].softmax(1).cpu()
        return torch.multinomial(probabilities, 1, generator=generator)[:, 0].to(values.device)
