"""The latent space: what codes hold, and the classifier that judges what is decoded from them."""
