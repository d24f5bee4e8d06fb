"""Autoencoders as codecs: bytes a sample against what they cost in error."""
