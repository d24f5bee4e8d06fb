"""Autoencoders as lossy codecs, compared with PCA, JPEG and PNG."""
