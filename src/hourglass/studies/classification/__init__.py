"""What `hourglass classify` puts on codes: labelled subsets, features, classifiers, fine-tuning."""
