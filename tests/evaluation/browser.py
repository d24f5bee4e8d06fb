"""A page in a headless browser, if one is installed."""

import html
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
WIDTH = 360  # of a phone
WATCH = """<script>
const wrong = [];
addEventListener("error", (event) => wrong.push(event.message));
addEventListener("securitypolicyviolation", (event) => wrong.push(event.violatedDirective));
</script>"""


def play(page: str, script: str, folder: Path) -> dict[str, Any]:
    """Return the results of a script that uses the page, as JSON in the title of the top window.

    The page is in a frame of a phone's width, as a window has a minimum width. `wrong` collects
    its errors. Skips the test without a browser.
    """
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        pytest.skip(f"THE SCRIPT OF THE PAGE IS NOT TESTED: install one of {', '.join(BROWSERS)}")
    text = page.replace("<head>", f"<head>{WATCH}").replace("</body>", f"{script}</body>")
    phone = f'<title></title><iframe width="{WIDTH}" srcdoc="{html.escape(text)}"></iframe>'
    (folder / "phone.html").write_text(phone, encoding="utf-8")
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=2000"]
    options += [f"--user-data-dir={folder / 'profile'}", "--dump-dom"]
    command = [browser, *options, (folder / "phone.html").as_uri()]
    dom = subprocess.run(command, capture_output=True, text=True, timeout=120).stdout
    title = re.search(r"<title>(.*?)</title>", dom)
    assert title, dom[:1000]
    results: dict[str, Any] = json.loads(html.unescape(title[1]))
    return results
