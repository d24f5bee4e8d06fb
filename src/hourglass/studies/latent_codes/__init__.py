"""What a trained network's codes are good for: seen, measured, and gone through."""
