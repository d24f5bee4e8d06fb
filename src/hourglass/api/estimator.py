"""A scikit-learn estimator of the variants."""
