"""New samples, read from files portion by portion, and their scores, written likewise."""
