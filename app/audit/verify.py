"""Checks a journal taken out of Pulih: python3 verify.py EXPORT.zip [--key VKEY] [--checkpoint FILE]

Says OK, or names the first bad record, in English and Indonesian; status 0 or 1. VKEY, and a checkpoint that somebody
else kept, must come from elsewhere: an export that was cut short and given an older checkpoint, or signed anew by
another key, is whole in itself.
"""

import argparse
import base64
import json
import sys
import zipfile
import zlib
from functools import reduce
from hashlib import sha256, sha512
from itertools import zip_longest
from pathlib import Path
from typing import Any

HEADER = b'"seq","type","recorded_at","occurred_at","actor","role","facts","leaf"\r\n'
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
RECORDS, MANIFEST = {"events.jsonl", "events.csv"}, {"manifest.json", "manifest.json.sig"}
P, ORDER, OCTETS = 2**255 - 19, 2**252 + 27742317777372353535851937790883648493, 32
D, BASE = -121665 * pow(121666, P - 2, P) % P, (4 * pow(5, P - 2, P) % P).to_bytes(OCTETS, "little")


class Bad(Exception):
    """What is wrong: at which record (None: at none of them), in English, in Indonesian."""


def row_of(body: dict[str, Any], leaf: bytes) -> bytes:
    """A record's row (RFC 4180); what a spreadsheet would take for a formula gets an apostrophe in front."""
    facts = json.dumps(body["facts"], ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    said = [*map(body.get, ("seq", "type", "recorded_at", "occurred_at")), *map(body["actor"].get, ("name", "role"))]
    texts = [str(each).replace('"', '""') for each in (*said, facts, leaf.hex())]
    cells = [f"'{each}" if each.lstrip(" ").startswith(FORMULA) else each for each in texts]
    return '"{}"\r\n'.format('","'.join(cells)).encode()


def parent(left: bytes, right: bytes) -> bytes:
    return sha256(b"\1" + left + right).digest()


def included(leaf: bytes, index: int, size: int, path: list[bytes]) -> bytes:
    """The root that an inclusion proof leads to; raises IndexError where it is too short."""
    if size == 1:
        return leaf
    split, beside = 1 << (size - 1).bit_length() - 1, path.pop()
    inner = included(leaf, index % split, split if index < split else size - split, path)
    return parent(inner, beside) if index < split else parent(beside, inner)


def consistent(older: int, size: int, path: list[bytes], before: bytes, *, whole: bool = True) -> tuple[bytes, ...]:
    """The two roots that a consistency proof leads to; raises IndexError where it is too short."""
    if older == size:
        return (before, before) if whole else (path[-1], path.pop())
    split, beside = 1 << (size - 1).bit_length() - 1, path.pop()
    if older <= split:
        old, new = consistent(older, split, path, before, whole=whole)
        return old, parent(new, beside)
    return tuple(parent(beside, each) for each in consistent(older - split, size - split, path, before, whole=False))


def add(a: tuple[int, ...], b: tuple[int, ...]) -> tuple[int, ...]:
    v, w, c, d = (a[1] - a[0]) * (b[1] - b[0]), (a[1] + a[0]) * (b[1] + b[0]), 2 * a[3] * b[3] * D, 2 * a[2] * b[2]
    return ((w - v) * (d - c) % P, (d + c) * (w + v) % P, (d - c) * (d + c) % P, (w - v) * (w + v) % P)


def point_of(octets: bytes) -> tuple[int, ...]:
    sign, y = octets[31] >> 7, int.from_bytes(octets, "little") & (1 << 255) - 1
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(square, (P + 3) // 8, P)
    x = x * pow(2, (P - 1) // 4, P) % P if (x * x - square) % P else x  # RFC 8032 5.1.3
    if y >= P or (x * x - square) % P or x == 0:
        raise ValueError("not a point that a key can be")
    return (x, y, 1, x * y % P) if x & 1 == sign else (P - x, y, 1, -x * y % P)


def is_signed(vkey: str, signature: bytes, octets: bytes) -> bool:
    """Whether the key of a vkey made an Ed25519 signature (RFC 8032 5.1.7)."""
    key, scalar = base64.b64decode(vkey.split("+", 2)[2])[1:], int.from_bytes(signature[OCTETS:], "little")
    if len(key) != OCTETS or len(signature) != 2 * OCTETS or scalar >= ORDER:
        return False
    challenge = int.from_bytes(sha512(signature[:OCTETS] + key + octets).digest(), "little") % ORDER
    base, (x, y, _, xy), total = point_of(BASE), point_of(key), add((0, 1, 1, 0), (0, 1, 1, 0))
    for bit in range(255, -1, -1):
        total = add(total, total)
        total = add(total, base) if scalar >> bit & 1 else total
        total = add(total, (P - x, y, 1, P - xy)) if challenge >> bit & 1 else total
    inverse = pow(total[2], P - 2, P)
    found = total[1] * inverse % P | (total[0] * inverse % P & 1) << 255
    return found.to_bytes(OCTETS, "little") == signature[:OCTETS]


def read(note: str) -> tuple[str, int, bytes]:
    """Name, size and root of a checkpoint; raises ValueError."""
    name, size, root = note.partition("\n\n")[0].split("\n")[:3]
    return name, int(size), base64.b64decode(root, validate=True)


class Log:
    """Takes records in order, each as its line and its row; raises Bad at the first that is not right."""

    def __init__(self) -> None:
        self.size, self.end, self.peaks = 0, sys.maxsize, list[bytes]()
        self.keys, self.roots = list[str](), dict[int, bytes]()

    def take(self, line: bytes | None, row: bytes | None) -> None:
        number, text = self.size + 1, line or b""
        try:
            body, leaf = json.loads(text), sha256(b"\0" + text[:-1]).digest()
            said, same = body["seq"], text[-1:] == b"\n" and row == row_of(body, leaf)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise Bad(number, "it cannot be read as an event", "tidak terbaca sebagai peristiwa") from None
        if said != number or number > self.end:
            raise Bad(number, f"{said!r:.40} stands there: missing, added or moved", "hilang, ditambah atau dipindah")
        if not same:
            raise Bad(number, "its line and its row in the table differ", "baris teks dan baris tabelnya berbeda")
        if str(body["type"]).startswith("log.key_"):
            self.take_key(number, body["facts"], first=body["type"] == "log.key_made")
        self.size = position = number
        while not position & 1:
            leaf, position = parent(self.peaks.pop(), leaf), position >> 1
        self.peaks.append(leaf)
        if number in self.roots:
            self.roots[number] = self.root()

    def take_key(self, number: int, facts: dict[str, str], *, first: bool) -> None:
        made, text = base64.b64decode(facts.get("signature", "")), f"{facts['log']}\nnext key\n{facts['key']}\n"
        if first == bool(self.keys) or not (first or is_signed(self.keys[-1], made, text.encode())):
            raise Bad(number, "the key before it did not sign this key", "tidak ditandatangani kunci sebelumnya")
        self.keys.append(facts["key"])

    def root(self) -> bytes:
        return reduce(lambda right, left: parent(left, right), self.peaks[::-1])

    def check(self, note: str, keys: list[str]) -> None:
        """Hold a checkpoint, signed by one of some keys, against what was taken; raises Bad."""
        (name, size, root), (text, _, below) = read(note), note.partition("\n\n")
        mine = [key for key in keys if key.startswith(f"{name}+")]
        made = [base64.b64decode(line.split()[2])[4:] for line in below.split("\n") if line[:2] == "\u2014 "]
        if not any(is_signed(key, each, f"{text}\n".encode()) for key in mine for each in made):
            raise Bad(None, "the log's key did not sign the checkpoint", "titik periksa tidak ditandatangani kunci log")
        if size > self.size:
            raise Bad(self.size + 1, f"missing, the checkpoint is of {size}", f"hilang, titik periksa menyebut {size}")
        if self.roots[size] != root:
            raise Bad(None, f"records 1 to {size} are not those signed", f"catatan 1-{size} bukan yang ditandatangani")


def verify(path: Path, key: str | None = None, outside: str | None = None) -> str:
    """Check an export, and say in a line what it holds; raises Bad."""
    log = Log()
    try:
        with zipfile.ZipFile(path) as archive:
            note, proof = archive.read("checkpoint.txt").decode(), json.loads(archive.read("consistency.json"))
            notes = [note, *filter(None, (outside, proof["from"]))]
            (name, log.end, root), log.roots = read(note), {read(each)[1]: b"" for each in notes}
            with archive.open("events.jsonl") as lines, archive.open("events.csv") as rows:
                if rows.readline() != HEADER:
                    raise Bad(0, "the head of the table is another", "kepala tabelnya berbeda")
                for line, row in zip_longest(lines, rows):
                    log.take(line, row)
            if key not in {None, *log.keys}:
                raise Bad(None, "the log never had the key that was given", "kunci yang diberikan bukan kunci log ini")
            for each in notes:
                log.check(each, log.keys[-1:] if each is note else log.keys)
            manifest = archive.read("manifest.json")
            files, signed = json.loads(manifest)["files"], archive.read("manifest.json.sig")
            others = {*files, *archive.namelist()} - RECORDS - MANIFEST
            changed = [each for each in others if sha256(archive.read(each)).hexdigest() != files.get(each)]
            if changed or not is_signed(log.keys[-1], signed, manifest):
                what = ", ".join(sorted(changed)) or "manifest.json"
                raise Bad(None, f"{what} is not as it was signed", f"{what} tidak seperti yang ditandatangani")
            path_up, older = [*map(base64.b64decode, proof["path"])], read(proof["from"] or note)
            if consistent(older[1], log.end, path_up, older[2]) != (older[2], root) or path_up:
                raise Bad(None, "consistency.json proves nothing", "consistency.json tidak membuktikan apa pun")
    except (zipfile.BadZipFile, zlib.error, EOFError, LookupError, ValueError, TypeError) as error:
        raise Bad(log.size + 1, f"the file is damaged there: {error}", f"berkas rusak di situ: {error}") from error
    return f"OK: {log.size} records of {name}, root {root.hex()}, key {log.keys[-1]}"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("export", type=Path)
    parser.add_argument("--key", help="the log's key, as somebody else knows it")
    parser.add_argument("--checkpoint", type=Path, help="a checkpoint that somebody else kept")
    given = parser.parse_args(arguments)
    try:
        outside = given.checkpoint and given.checkpoint.read_text("utf-8")
        sys.stdout.write(f"{verify(given.export, given.key, outside)}\n")
    except Bad as bad:
        record, english, indonesian = bad.args
        at, di = ("", "") if record is None else (f"record {record}: ", f"catatan {record}: ")
        sys.stdout.write(f"BAD: {at}{english}\nRUSAK: {di}{indonesian}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
