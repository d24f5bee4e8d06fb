"""The one exception that is the user's to mend, and the words of others in it."""


class Refusal(Exception):
    """Say in one sentence which value cannot be used and what to do instead.

    The command line prints the sentence without a traceback and exits with status 1.
    """


def one_line(error: BaseException) -> str:
    """Return a library's message as part of a sentence: no line breaks, no full stops."""
    text = " ".join(str(error).split()).replace(". ", ": ").rstrip(".")
    return text[:300] or type(error).__name__
