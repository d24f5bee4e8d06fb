"""The one exception that is the user's to mend."""


class Refusal(Exception):
    """Say in one sentence which value cannot be used and what to do instead.

    The command line prints the sentence without a traceback and exits with status 1.
    """
