"""What every LightningModule here has in common."""

from typing import Any

import pytorch_lightning as pl


class Module(pl.LightningModule):
    """A LightningModule whose steps cost little beside their arithmetic."""

    def __setattr__(self, name: str, value: Any) -> None:
        """Set an attribute.

        Lightning sets `_current_fx_name` some forty times a step; torch would ask each time whether
        it is a parameter, which costs a small network more than its activations do.
        """
        if name == "_current_fx_name":
            object.__setattr__(self, name, value)
        else:
            super().__setattr__(name, value)
