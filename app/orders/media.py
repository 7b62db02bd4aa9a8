"""What a file is, by its octets and never by its name: the few kinds that evidence may be."""

import base64
import hashlib
import struct
from collections.abc import Callable
from typing import NamedTuple
from urllib.parse import quote

PNG = b"\x89PNG\r\n\x1a\n"
JPEG_BEGINS, JPEG_ENDS = b"\xff\xd8\xff", b"\xff\xd9"
PDF_BEGINS, PDF_ENDS = b"%PDF-", b"%%EOF"
CHUNK = 12
"""Octets of a PNG chunk beside its data: length, type, check sum."""

TEXT_CONTROLS = frozenset(range(32)) - frozenset(b"\t\n\r") | {127}


class Media(NamedTuple):
    """A kind of file: what it is called on the wire, how its name ends, and how it is known."""

    type: str
    suffixes: tuple[str, ...]
    fits: Callable[[bytes], bool]


def _is_pdf(content: bytes) -> bool:
    """From its first octet to its end mark (ISO 32000 7.5), with nothing but white space behind that."""
    return content.startswith(PDF_BEGINS) and content.rstrip(b"\0\t\n\f\r ").endswith(PDF_ENDS)


def _is_png(content: bytes) -> bool:
    """Chunks from IHDR to IEND (PNG 5.2, 5.3), and nothing behind them."""
    at, kinds = len(PNG), []
    while content.startswith(PNG) and len(content) - at >= CHUNK:
        (length,) = struct.unpack_from(">I", content, at)
        kinds.append(content[at + 4 : at + 8])
        at += CHUNK + length
        if kinds[-1] == b"IEND":
            break
    return at == len(content) and kinds[:1] == [b"IHDR"] and kinds[-1] == b"IEND"


def _is_jpeg(content: bytes) -> bool:
    """From the start of the image to its end (ITU-T T.81 B.1.1.3)."""
    return content.startswith(JPEG_BEGINS) and content.endswith(JPEG_ENDS)


def _is_text(content: bytes) -> bool:
    """UTF-8 without control characters, and not blank."""
    if not TEXT_CONTROLS.isdisjoint(content):
        return False
    try:
        return bool(content.decode("utf-8").strip())
    except UnicodeDecodeError:
        return False


ALLOWED = (
    Media("application/pdf", (".pdf",), _is_pdf),
    Media("image/png", (".png",), _is_png),
    Media("image/jpeg", (".jpg", ".jpeg"), _is_jpeg),
    Media("text/plain; charset=utf-8", (".txt", ".md", ".csv", ".log", ".eml"), _is_text),
)
"""Nothing that runs, holds other files, or is shown as a page."""


def of(content: bytes) -> Media | None:
    """The kind of a file, None for one that is none of the allowed; what begins as one kind is no other."""
    begun = (PDF_BEGINS, PNG, JPEG_BEGINS)
    for media in ALLOWED:
        if media.fits(content):
            is_text = media.fits is _is_text
            return None if is_text and content.startswith(begun) else media
    return None


def headers(name: str, type_: str, content: bytes) -> dict[str, str]:
    """What makes a browser save a file and do nothing else with it (RFC 6266, RFC 9530)."""
    safe = safe_name(name, type_)
    plain = "".join(char if (char.isascii() and char.isalnum()) or char in "._- " else "_" for char in safe)
    digest = base64.b64encode(hashlib.sha256(content).digest()).decode()
    return {
        "Content-Disposition": f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(safe, safe='')}",
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": "default-src 'none'; sandbox",
        "Cache-Control": "no-store",
        "Repr-Digest": f"sha-256=:{digest}:",
    }


def safe_name(name: str, type_: str) -> str:
    """A file's name as it is handed out: it ends as its kind does, whatever it was called."""
    (media,) = (each for each in ALLOWED if each.type == type_)
    return name if name.lower().endswith(media.suffixes) else name + media.suffixes[0]
