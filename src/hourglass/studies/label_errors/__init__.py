"""Label errors: rank samples by the reconstruction errors of one network per class."""
