"""Whether new samples still score as those that a threshold was calibrated on."""
