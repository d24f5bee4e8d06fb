"""What sentences must not tell: passwords and keys."""

import os
import re
from collections.abc import Iterator
from urllib.parse import unquote

# Variables whose values are secrets, and those whose values are URLs that may hold a password.
SECRETS = re.compile(r"(PASSWORD|PASSPHRASE|TOKEN|SECRET|SECRET_ACCESS_KEY|API_KEY)$")
URLS = ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI", "HOURGLASS_OPTUNA_STORAGE")
PASSWORD = re.compile(r"//[^:@/]*:(.*)@|[?&]password=([^&]*)")  # in such a URL
LEAST = 4  # characters of a secret: a shorter one would be found in any sentence
HIDDEN = "***"


def redact(text: str) -> str:
    """Return a text without the secrets in it.

    Every URL loses who logs in and its query, and wherever the value of a secret variable of the
    environment stands, or the password of one of URLS, there are asterisks.
    """
    text = re.sub(r"\b([\w+.-]+://)(\S+)", _without_login, text)
    for secret in sorted(set(_secrets()), key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    return text


def _without_login(url: re.Match[str]) -> str:
    """Return scheme, host and path; the last @ counts, as a password may hold any sign."""
    scheme, rest = url.groups()
    login, at, place = rest.rpartition("@")
    shown, question, query = place.partition("?")
    closing = re.search(r"[)\]}'\";,.]*$", query)  # of the sentence around the URL
    end = closing.group() if question and closing else ""
    return f"{scheme}{HIDDEN + at if login else ''}{shown}{end}"


def _secrets() -> Iterator[str]:
    """Yield the secrets of the environment, as they stand in URLs and as they are."""
    for name, value in os.environ.items():
        found = [value] if SECRETS.search(name) else []
        if name in URLS:
            found += [part for match in PASSWORD.findall(value) for part in match]
        both = {each for secret in found for each in (secret, unquote(secret))}
        yield from (each for each in both if len(each) >= LEAST)
