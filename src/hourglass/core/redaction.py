"""Remove passwords and keys from text."""

import os
import re
from collections.abc import Iterator
from urllib.parse import unquote

# Environment variables whose values are secrets, and those whose URLs may hold a password.
SECRET_VARIABLES = re.compile(r"(PASSWORD|PASSPHRASE|TOKEN|SECRET|SECRET_ACCESS_KEY|API_KEY)$")
URL_VARIABLES = ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI", "HOURGLASS_OPTUNA_STORAGE")
URL_PASSWORD = re.compile(r"//[^:@/]*:(.*)@|[?&]password=([^&]*)")
SHORTEST_SECRET = 4  # characters; shorter values would match parts of ordinary words
REPLACEMENT = "***"


def redact(text: str) -> str:
    """Return a text without secrets.

    The login and the query of every URL are removed. The values of secret environment variables,
    and the passwords in the URLs of URL_VARIABLES, are replaced by asterisks.
    """
    text = re.sub(r"\b([\w+.-]+://)(\S+)", _without_login, text)
    for secret in sorted(set(_secrets()), key=len, reverse=True):
        text = text.replace(secret, REPLACEMENT)
    return text


def _without_login(url: re.Match[str]) -> str:
    """Return a URL without its login and query.

    The last @ ends the login, because a password may contain any character.
    """
    scheme, rest = url.groups()
    login, _, location = rest.rpartition("@")
    shown, question_mark, query = location.partition("?")
    closing = re.search(r"[)\]}'\";,.]*$", query)  # punctuation after the URL
    end = closing.group() if question_mark and closing else ""
    return f"{scheme}{f'{REPLACEMENT}@' if login else ''}{shown}{end}"


def _secrets() -> Iterator[str]:
    """Yield the secrets in environment variables, as written and URL-decoded."""
    for name, value in os.environ.items():
        secrets = [value] if SECRET_VARIABLES.search(name) else []
        if name in URL_VARIABLES:
            secrets += [part for match in URL_PASSWORD.findall(value) for part in match]
        for secret in secrets:
            yield from (form for form in (secret, unquote(secret)) if len(form) >= SHORTEST_SECRET)
