"""Sources and plugins as a new process would find them."""

import pytest

from hourglass.core import code_digest, trusted_imports


@pytest.fixture
def forget_code():
    """Give a function that clears the caches of sources and plugins, as at the end of the test."""

    def clear_caches() -> None:
        for value in [*vars(code_digest).values(), trusted_imports.plugin_modules]:
            if hasattr(value, "cache_clear"):
                value.cache_clear()

    yield clear_caches
    clear_caches()
