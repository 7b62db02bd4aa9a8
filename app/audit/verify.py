"""Checks a journal taken out of Pulih: python3 verify.py EXPORT.zip [--key VKEY] [--checkpoint FILE]

Says OK, or names the first bad record; status 0 or 1. VKEY, and a checkpoint that somebody else kept, must come from
elsewhere: what was cut short with an older checkpoint, or signed anew by another key, is whole in itself. A proof about
one name leaves other records out: that there was none among them only an export of all records shows.
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
UNREADABLE = (ArithmeticError, EOFError, LookupError, OSError, RuntimeError, TypeError, ValueError)
D, BASE = -121665 * pow(121666, P - 2, P) % P, (4 * pow(5, P - 2, P) % P).to_bytes(OCTETS, "little")


class Bad(Exception): ...  # at which record (None: at none of them), and what is wrong in English, in Indonesian


def row_of(body: dict[str, Any], leaf: bytes) -> bytes:  # RFC 4180; an apostrophe before what would be a formula
    facts = json.dumps(body["facts"], ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    said = [*map(body.get, ("seq", "type", "recorded_at", "occurred_at")), *map(body["actor"].get, ("name", "role"))]
    texts = [str(each).replace('"', '""') for each in (*said, facts, leaf.hex())]
    return '"{}"\r\n'.format('","'.join("'" * t.lstrip(" ").startswith(FORMULA) + t for t in texts)).encode()


def parent(left: bytes, right: bytes) -> bytes:
    return sha256(b"\1" + left + right).digest()


def included(leaf: bytes, index: int, size: int, path: list[bytes]) -> bytes:  # the root that it leads to
    if size == 1:
        return leaf
    split, beside = 1 << (size - 1).bit_length() - 1, path.pop()
    inner = included(leaf, index % split, split if index < split else size - split, path)
    return parent(inner, beside) if index < split else parent(beside, inner)


def consistent(older: int, size: int, path: list[bytes], before: bytes, *, whole: bool = True) -> tuple[bytes, ...]:
    if older == size:  # the two roots that the proof leads to
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


def is_signed(vkey: str, signature: bytes, octets: bytes) -> bool:  # Ed25519, RFC 8032 5.1.7
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


def read(note: str) -> tuple[str, int, bytes]:  # name, size and root of a checkpoint
    name, size, root = note.partition("\n\n")[0].split("\n")[:3]
    return name, int(size), base64.b64decode(root, validate=True)


class Log:  # takes records in order, each as its line and its row; raises Bad at the first that is not right
    def __init__(self) -> None:
        self.size, self.end, self.peaks, self.omitted = 0, sys.maxsize, list[bytes](), 0
        self.keys, self.roots, self.targets = list[str](), dict[int, bytes](), dict[str, list[Any]]()

    def take(self, line: bytes | None, row: bytes | None) -> None:
        number, text = self.size + 1, line or b""
        try:
            body, leaf = json.loads(text), sha256(b"\0" + text[:-1]).digest()
            left_out = body.get("omitted", ())  # subtrees, each in place of its records
            count = sum(1 << min(level, 64) for level, _ in left_out)
            said, beside = (number, b'"omitted: %d"\r\n' % count) if left_out else (body["seq"], row_of(body, leaf))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise Bad(number, "it cannot be read as an event", "tidak terbaca sebagai peristiwa") from None
        if said != number or number > self.end:
            raise Bad(number, f"{said!r:.40} stands there: missing, added or moved", "hilang, ditambah atau dipindah")
        if text[-1:] != b"\n" or row != beside:
            raise Bad(number, "its line and its row in the table differ", "baris teks dan baris tabelnya berbeda")
        for index, size, name, path in self.targets.pop(str(number), ()):
            found = included(sha256(b"\0" + name.encode()).digest(), index, size, [*map(base64.b64decode, path)])
            if body["facts"]["targets_root"] != f"sha256:{found.hex()}":
                raise Bad(number, f"{name} is not among its names", f"{name} bukan salah satu namanya")
        if not left_out and str(body["type"]).startswith("log.key_"):
            self.take_key(number, body["facts"], first=body["type"] == "log.key_made")
        self.omitted += count
        for level, node in left_out or ((0, leaf.hex()),):
            self.put(bytes.fromhex(node), level)

    def put(self, node: bytes, level: int) -> None:
        self.size += 1 << level
        position = self.size >> level
        while not position & 1:
            node, position = parent(self.peaks.pop(), node), position >> 1
        self.peaks.append(node)
        if self.size in self.roots:  # somebody signed it
            self.roots[self.size] = reduce(lambda right, left: parent(left, right), self.peaks[::-1])

    def take_key(self, number: int, facts: dict[str, str], *, first: bool) -> None:
        made, text = base64.b64decode(facts.get("signature", "")), f"{facts['log']}\nnext key\n{facts['key']}\n"
        if first == bool(self.keys) or not (first or is_signed(self.keys[-1], made, text.encode())):
            raise Bad(number, "the key before it did not sign this key", "tidak ditandatangani kunci sebelumnya")
        self.keys.append(facts["key"])

    def check(self, note: str, keys: list[str]) -> None:  # a checkpoint, signed by one of some keys
        (name, size, root), (text, _, below) = read(note), note.partition("\n\n")
        made = [base64.b64decode(line.split()[2])[4:] for line in below.split("\n") if line[:2] == "\u2014 "]
        octets, mine = f"{text}\n".encode(), [key for key in keys if key.startswith(f"{name}+")]
        if not any(is_signed(key, each, octets) for key in mine for each in made):
            raise Bad(None, "the log's key did not sign the checkpoint", "titik periksa tidak ditandatangani kunci log")
        if size > self.size:
            raise Bad(self.size + 1, f"missing, the checkpoint is of {size}", f"hilang, titik periksa menyebut {size}")
        if self.roots[size] != root:
            raise Bad(None, f"records 1 to {size} are not those signed", f"catatan 1-{size} bukan yang ditandatangani")


def verify(path: Path, key: str | None = None, outside: str | None = None) -> str:  # what it holds, in a line
    log = Log()
    try:
        with zipfile.ZipFile(path) as archive:
            note, proof = archive.read("checkpoint.txt").decode(), json.loads(archive.read("consistency.json"))
            notes = [note, *filter(None, (outside, proof["from"]))]
            (name, log.end, root), log.roots = read(note), {read(each)[1]: b"" for each in notes}
            log.targets = proof.get("targets", {})
            with archive.open("events.jsonl") as lines, archive.open("events.csv") as rows:
                if rows.readline() != HEADER:
                    raise Bad(0, "the head of the table is another", "kepala tabelnya berbeda")
                for line, row in zip_longest(lines, rows):
                    log.take(line, row)
            if key not in {None, *log.keys}:
                raise Bad(None, "the log never had the key that was given", "kunci yang diberikan bukan kunci log ini")
            for each in notes:
                log.check(each, log.keys[-1:] if each is note else log.keys)
            manifest, signed = map(archive.read, ("manifest.json", "manifest.json.sig"))
            others = {*(files := (said := json.loads(manifest))["files"]), *archive.namelist()} - RECORDS - MANIFEST
            changed = [each for each in others if sha256(archive.read(each)).hexdigest() != files.get(each)]
            if changed or not is_signed(log.keys[-1], signed, manifest) or log.omitted != said.get("omitted", 0):
                what = ", ".join(sorted(changed)) or "manifest.json"
                raise Bad(None, f"{what} is not as it was signed", f"{what} tidak seperti yang ditandatangani")
            path_up, older = [*map(base64.b64decode, proof["path"])], read(proof["from"] or note)
            if consistent(older[1], log.end, path_up, older[2]) != (older[2], root) or path_up or log.targets:
                raise Bad(None, "consistency.json proves nothing", "consistency.json tidak membuktikan apa pun")
    except (*UNREADABLE, zipfile.BadZipFile, zlib.error) as error:
        raise Bad(log.size + 1, f"the file cannot be read there: {error}", f"tidak terbaca di situ: {error}") from error
    left_out = f" ({log.omitted} of them left out)" * bool(log.omitted)
    return f"OK: {log.size} records{left_out} of {name}, root {root.hex()}, key {log.keys[-1]}"


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
