"""Hooks of mkdocs: pages of the site from CONTRIBUTING.md, SECURITY.md and CHANGELOG.md."""

import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
TOP_PAGES = ("CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")
# A link from a page below docs/ to one of them.
UPWARD_LINK = re.compile(rf"\]\((?:\.\./)+({'|'.join(map(re.escape, TOP_PAGES))})")


def on_files(files: Any, config: Any) -> Any:
    """Add the pages of the repository's root, with links as of a page in docs/."""
    from mkdocs.structure.files import File

    for name in TOP_PAGES:
        text = (ROOT / name).read_text(encoding="utf-8").replace("](docs/", "](")
        files.append(File.generated(config, name.lower(), content=text))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Make links to those pages relative to the site."""
    up = "../" * page.file.src_uri.count("/")
    return UPWARD_LINK.sub(lambda link: f"]({up}{link[1].lower()}", markdown)
