"""No name of a data set, variant or settings file leads out of its folder."""

import re
from pathlib import Path, PurePosixPath, PureWindowsPath

from hypothesis import example, given, settings
from hypothesis import strategies as st

from hourglass.core.errors import UserError
from hourglass.core.paths import (
    MAX_NAME_LENGTH,
    Cell,
    baselines_file,
    prepared_folder,
    references_folder,
    valid_name,
)

FIXED: dict = {"deadline": None, "database": None, "derandomize": True}
TRICKS = st.sampled_from(
    ["..", ".", "/", "\\", "\0", "\n", "~", "C:", "//", "%2e", "\u2215", "\uff0e", "a", "Z", "9",
     "-", "_", " ", "$", "con", "NUL", ":", "*", "'", '"', ";", "`"]
)  # fmt: skip
NAMES = st.one_of(
    st.text(max_size=12),
    st.lists(TRICKS, max_size=6).map("".join),
    st.from_regex(r"[A-Za-z0-9_-]{1,80}", fullmatch=True),
)


@given(name=NAMES)
@example(name="../x")
@example(name="/etc/passwd")
@example(name="a\n")
@example(name="\uff41")
@example(name="x" * 300)
@settings(max_examples=80, **FIXED)
def test_a_name_is_refused_or_stays_within_its_folder(name):
    try:
        assert valid_name(name) == name
    except UserError as error:
        sentence = str(error)
        assert sentence.endswith(".")
        assert len(sentence) < 300
        assert "\n" not in sentence
        return
    runs = references_folder(name).parent
    for path in (prepared_folder(name), runs, baselines_file(name).parent):
        assert path.name == name
        assert path.resolve().parent == path.parent.resolve()
    for kind in (PurePosixPath, PureWindowsPath):
        assert kind(name).parts == (name,)
    assert len(name) <= MAX_NAME_LENGTH
    assert re.fullmatch(r"[\w-]+", name, re.ASCII)


@given(data=NAMES, model=NAMES)
@settings(max_examples=40, **FIXED)
def test_the_paths_of_a_cell_stay_below_their_folders(data, model):
    try:
        cell = Cell(data, model)
    except UserError:
        return
    paths = {
        "runs": cell.folder,
        "checkpoints": cell.resume,
        "configs/cell": cell.config,
        "data/prepared": cell.prepared,
    }
    for folder, path in paths.items():
        assert path.resolve().is_relative_to(Path(folder).resolve())
        assert path.resolve() != Path(folder).resolve()
    assert len(cell.default_record.name) < 255


def test_a_long_name_and_a_device_of_windows_are_refused(refusal):
    for name in ("con", "NUL", "Aux", "com1", "LPT9"):
        assert "Windows" in refusal(valid_name, name)
    longest = "x" * MAX_NAME_LENGTH
    assert valid_name(longest) == longest
    assert f"{MAX_NAME_LENGTH} characters" in refusal(valid_name, f"{longest}x")
