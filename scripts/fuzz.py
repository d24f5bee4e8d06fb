"""Try malformed files on every reader: no traceback, no wrong answer."""
