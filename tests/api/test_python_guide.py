"""The examples of docs/guide/python.md run, in order."""

import re

import pytest

from tests.conftest import ROOT


@pytest.mark.filterwarnings("ignore:.* calibration samples are too few")
def test_the_examples_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = (ROOT / "docs/guide/python.md").read_text(encoding="utf-8")
    examples = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert len(examples) == 8
    namespace: dict[str, object] = {}
    for example in examples:
        exec(example, namespace)
