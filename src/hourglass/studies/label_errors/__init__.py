"""Label-error detection: ranking of samples by the errors of one network per class."""
