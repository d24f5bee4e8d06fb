"""Bytes of a text file: decompressed, and as UTF-8."""

import codecs
import io
import lzma
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, TypeAlias, cast

import pyarrow as pa

from hourglass.core.errors import UserError

Opener: TypeAlias = Callable[[], IO[bytes]]
Blocks: TypeAlias = Iterator[bytes]

BLOCK_BYTES = 1 << 20
SCANNED_BYTES = 32 << 20  # for the encoding; what follows is ASCII, or of the same encoding
SNIFFED_BYTES = 1 << 12
# First bytes of a compressed file. Its name is not asked, since names are often wrong.
COMPRESSIONS = {
    b"\x1f\x8b": "gzip",
    b"BZh": "bz2",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"\xfd7zXZ\x00": "xz",
    b"PK\x03\x04": "zip",
}
BYTE_ORDER_MARKS = {
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF32_LE: "utf-32",  # begins as UTF-16 does
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


def detect_compression(path: Path) -> str | None:
    """Return the compression of a file, or None."""
    with path.open("rb") as file:
        head = file.read(8)
    return next((name for magic, name in COMPRESSIONS.items() if head.startswith(magic)), None)


def open_file(path: Path) -> IO[bytes]:
    """Open a file, decompressed if need be; raises a UserError for an archive of several files."""
    compression = detect_compression(path)
    if compression == "xz":
        return lzma.open(path)
    if compression == "zip":
        archive = zipfile.ZipFile(path)
        members = [m for m in archive.infolist() if not (m.is_dir() or m.filename[:2] == "__")]
        if len(members) != 1:
            raise UserError(f"{path} holds {len(members)} files; unpack it, and name one of them.")
        return archive.open(members[0])
    return cast("IO[bytes]", pa.input_stream(path, compression=compression))


def detect_encoding(opener: Opener) -> str:
    """Return utf-8, utf-16, utf-32, or cp1252 or latin-1 for a file that is not UTF-8."""
    with opener() as file:
        head = file.read(SNIFFED_BYTES)
        for mark, name in BYTE_ORDER_MARKS.items():
            if head.startswith(mark):
                return name
        even, odd = head[::2].count(0), head[1::2].count(0)
        # UTF-16 without a mark: most high bytes are zero, unlike the low ones.
        if max(even, odd) > len(head) / 4 and min(even, odd) < len(head) / 100:
            return "utf-16-le" if odd > even else "utf-16-be"
        utf8, cp1252 = True, True
        decoder = codecs.getincrementaldecoder("utf-8")()
        scanned, block = 0, head
        while block and scanned < SCANNED_BYTES:
            if not block.isascii() or decoder.getstate()[0]:
                utf8 = utf8 and _decodes(decoder, block)
                cp1252 = cp1252 and not any(byte in block for byte in b"\x81\x8d\x8f\x90\x9d")
            scanned += len(block)
            block = file.read(BLOCK_BYTES)
    return "utf-8" if utf8 else "cp1252" if cp1252 else "latin-1"


def read_blocks(opener: Opener, encoding: str) -> Blocks:
    """Yield the text in UTF-8, without a byte order mark; raises a UnicodeDecodeError."""
    utf8 = codecs.lookup(encoding).name == "utf-8"
    decoder = codecs.getincrementaldecoder(encoding)()
    first = True
    with opener() as file:
        while block := file.read(BLOCK_BYTES):
            if utf8:
                if not block.isascii() or decoder.getstate()[0]:
                    decoder.decode(block)  # a check
            else:
                block = decoder.decode(block).encode()
            if first and block:
                block, first = block.removeprefix(codecs.BOM_UTF8), False
            if block:
                yield block
    rest = decoder.decode(b"", final=True).encode()
    if rest:
        yield rest


class BlockFile(io.RawIOBase):
    """A file to read whose content is the given blocks."""

    def __init__(self, blocks: Blocks) -> None:
        self.blocks = blocks
        self.rest = b""

    def readable(self) -> bool:
        """Return True."""
        return True

    def read(self, size: int = -1) -> bytes:
        """Return `size` bytes, fewer at the end; all of them if `size` is negative."""
        parts, length = [self.rest], len(self.rest)
        while (length < size or size < 0) and (block := next(self.blocks, b"")):
            parts.append(block)
            length += len(block)
        content = b"".join(parts)
        self.rest = content[size:] if size >= 0 else b""
        return content[:size] if size >= 0 else content

    def readinto(self, buffer: Any) -> int:
        """Fill a part of `buffer`; return its size."""
        block = self.read(len(buffer))
        buffer[: len(block)] = block
        return len(block)


def _decodes(decoder: codecs.IncrementalDecoder, block: bytes) -> bool:
    try:
        decoder.decode(block)
    except UnicodeDecodeError:
        return False
    return True
