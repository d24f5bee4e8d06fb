"""Image restoration: by networks, compared with classical methods, and for the user's images."""
