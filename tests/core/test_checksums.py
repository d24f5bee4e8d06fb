"""Tests of JSON files with a checksum, and of the checksums of other files."""

import hashlib
import json
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hourglass.core.checksums import (
    CHECKSUM_KEY,
    CorruptFileError,
    dump_with_checksum,
    file_checksums,
    read_with_checksum,
    verify_checksums,
    write_with_checksum,
)

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text("aé\n\"", max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab"), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip
KEYS = st.text("checksumé", max_size=8).filter(lambda key: key != CHECKSUM_KEY)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("checksums") / "a.json"


@given(st.dictionaries(KEYS, VALUES))
@settings(max_examples=50, derandomize=True, deadline=None)
def test_a_mapping_is_unchanged_by_a_round_trip(path, value):
    write_with_checksum(path, value)
    assert read_with_checksum(path) == json.loads(json.dumps(value))


def test_the_checksum_is_the_sha_256_of_the_file_without_the_checksum():
    text = json.dumps({"a": [1, 0.1]}, indent=2) + "\n"
    checksum = hashlib.sha256(text.encode()).hexdigest()
    assert json.loads(dump_with_checksum({"a": [1, 0.1]})) == {"a": [1, 0.1], "checksum": checksum}


def test_every_flipped_bit_is_detected(path):
    whole = dump_with_checksum({"value": 0.125, "name": "é", "files": {"x": None}}).encode()
    for bit in range(8 * len(whole)):
        flipped = bytearray(whole)
        flipped[bit // 8] ^= 1 << bit % 8
        path.write_bytes(flipped)
        with pytest.raises(CorruptFileError, match=r"a\.json"):
            read_with_checksum(path)


NOT_OBJECTS = ["", "{", "[]", "null", "7", '{"a": NaN}', "[" * 100_000]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        *((text, "is not a JSON object") for text in NOT_OBJECTS),
        ('{"a": 1}', "has no checksum"),
        ('{"a": 1, "checksum": []}', "is corrupt"),
        ('{"checksum": 1}', "is corrupt"),
    ],
)
def test_invalid_content_raises_an_error_with_the_reason(path, text, reason):
    path.write_text(text)
    with pytest.raises(CorruptFileError, match=rf"a\.json {reason}"):
        read_with_checksum(path)


def test_writing_a_mapping_again_replaces_its_checksum():
    once = json.loads(dump_with_checksum({"a": 1}))
    assert dump_with_checksum({**once, "b": 2}) == dump_with_checksum({"a": 1, "b": 2})


def test_a_changed_file_with_an_unchanged_modification_time_is_detected(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"abc")
    files, stat = file_checksums(tmp_path, ["a"]), path.stat()
    verify_checksums(tmp_path, files)
    path.write_bytes(b"abd")
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    with pytest.raises(CorruptFileError, match="a is corrupt"):
        verify_checksums(tmp_path, files)
