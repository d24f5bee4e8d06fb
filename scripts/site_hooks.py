"""Hooks of mkdocs: pages from notebooks and from files of the root; no remote files."""

import json
import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
TOP_PAGES = ("CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")
# Tags whose files a browser loads with the page, unlike the target of a link.
LOADED = re.compile(r"<(?:script|link|img|iframe)\b[^>]*\b(?:src|href)=[\"']?(?:https?:)?//[^>]*>")
# A link from a page below docs/ to one of them.
UPWARD_LINK = re.compile(rf"\]\((?:\.\./)+({'|'.join(map(re.escape, TOP_PAGES))})")


def on_files(files: Any, config: Any) -> Any:
    """Add the pages of the repository's root, with links as of a page in docs/, and notebooks."""
    from mkdocs.structure.files import File

    for name in TOP_PAGES:
        text = (ROOT / name).read_text(encoding="utf-8").replace("](docs/", "](")
        files.append(File.generated(config, name.lower(), content=text))
    for path in [file.src_uri for file in files if file.src_uri.endswith(".ipynb")]:
        text = notebook_page((ROOT / "docs" / path).read_text(encoding="utf-8"), Path(path).name)
        files.append(File.generated(config, path.replace(".ipynb", ".md"), content=text))
    return files


def notebook_page(notebook: str, name: str) -> str:
    """Return the cells of a notebook as Markdown, after a link to download it."""
    title, *parts = [
        f"```python\n{source}\n```" if cell["cell_type"] == "code" else source
        for cell in json.loads(notebook)["cells"]
        for source in ["".join(cell["source"])]
    ]
    return "\n\n".join([title, f'<a href="{name}" download>Download this notebook</a>', *parts])


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Make links to those pages lead to them; list measured tables last in a search."""
    if page.file.src_uri.startswith("benchmarks/"):
        page.meta["search"] = {"boost": 0.3}
    markdown = markdown.replace(".ipynb)", ".md)")
    up = "../" * page.file.src_uri.count("/")
    return UPWARD_LINK.sub(lambda link: f"]({up}{link[1].lower()}", markdown)


def on_post_build(config: Any) -> None:
    """Fail if a page would load anything from another server."""
    from mkdocs.exceptions import PluginError

    for page in Path(config.site_dir).rglob("*.html"):
        if found := LOADED.search(page.read_text(encoding="utf-8")):
            raise PluginError(f"{page.name} loads {found[0]}; pages must work without a network.")
