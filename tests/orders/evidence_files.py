"""Small whole files of every kind that evidence may be, and what is none of them."""

import base64
import struct
import zlib

from tests.service import Json


def chunk(kind: bytes, data: bytes = b"") -> bytes:
    """A chunk of a PNG."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


PNG = (
    b"\x89PNG\r\n\x1a\n"
    + chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0))
    + chunk(b"IDAT", zlib.compress(b"\0\0"))
    + chunk(b"IEND")
)
PDF = b"%PDF-1.4\n1 0 obj<</Type/Catalog>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n"
JPEG = b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00\xff\xd9"
TEXT = b"Surat pernyataan, bermeterai\r\n"
ZIP = b"PK\x05\x06" + bytes(18)
HTML = b"<script>alert(1)</script>"

GOOD = [
    ("letter.pdf", PDF, "application/pdf", "letter.pdf"),
    ("screen.PNG", PNG, "image/png", "screen.PNG"),
    ("photo.jpeg", JPEG, "image/jpeg", "photo.jpeg"),
    ("statement.txt", TEXT, "text/plain; charset=utf-8", "statement.txt"),
    ("letter.exe", PDF, "application/pdf", "letter.exe.pdf"),
    ("photo.png", JPEG, "image/jpeg", "photo.png.jpg"),
    ("page.html", HTML, "text/plain; charset=utf-8", "page.html.txt"),
    ("surat pernyataan é.txt", TEXT, "text/plain; charset=utf-8", "surat pernyataan é.txt"),
]
"""Name, octets, what they are, and the name under which they are handed out."""

BAD = {
    "empty": b"",
    "blank": b" \n\t",
    "an archive": ZIP,
    "a program": b"MZ\x90\x00" + bytes(60),
    "an ELF program": b"\x7fELF" + bytes(60),
    "a shell script with a NUL": b"#!/bin/sh\n\0",
    "text that is no UTF-8": b"caf\xe9",
    "text in UTF-16": "surat".encode("utf-16"),
    "text with an escape": b"\x1b[2J",
    "a GIF": b"GIF89a\x01\x00\x01\x00\x00\x00\x00;",
    "a PDF that is cut off": PDF[:-8],
    "a PDF and an archive behind it": PDF + ZIP,
    "a PDF that begins later": b"\n" + PDF + b"\0",
    "a PDF and a page behind it": PDF + HTML,
    "a PNG that is cut off": PNG[:-1],
    "a PNG of its signature alone": PNG[:8],
    "a PNG that ends before it begins": PNG[:8] + chunk(b"IEND"),
    "a PNG and an archive behind it": PNG + ZIP,
    "a PNG and a page behind it": PNG + HTML,
    "a PNG with a length that is too large": PNG[:8] + b"\xff\xff\xff\xff" + PNG[12:],
    "a JPEG that is cut off": JPEG[:-2],
    "a JPEG and an archive behind it": JPEG + ZIP,
}
"""Octets that are refused, whatever they are called."""

BAD_NAMES = [
    "",
    " ",
    ".",
    "..",
    ".htaccess",
    "../letter.pdf",
    "a/letter.pdf",
    "a\\letter.pdf",
    "C:letter.pdf",
    "letter.pdf\0.exe",
    "letter\n.pdf",
    "letter.pdf\x7f",
    "letter\u202efdp.exe",
    "letter.",
    "..%2fletter.pdf",
    'letter".pdf',
    "letter;.pdf",
    "\ud800.pdf",
    "x" * 201,
]
"""Names that are none on some system, or another than they look."""


def a_file(name: str = "letter.pdf", content: bytes = PDF) -> Json:
    """Evidence that is a file."""
    return {"file": {"name": name, "content": base64.b64encode(content).decode()}}
