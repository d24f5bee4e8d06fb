"""Image restoration: networks compared with classical methods, and the command `restore`."""
