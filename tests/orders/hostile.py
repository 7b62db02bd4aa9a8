"""Lines of lists with what must become of each, known from how it was made and not from the code under test."""

import ast
import sys
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from random import Random
from typing import NamedTuple

from publicsuffixlist import PSLFILE

from tests.servers import missing

ASCII = "abcdefghijklmnopqrstuvwxyz0123456789"
ALPHABETS = (
    "äöüéñçåøœłžğ",
    "абвгдежзиклмнопрстуфхцчшщъыьэюя",
    "αβγδεζηθικλμνξοπρτυφχψω",
    "中文网络域名例子公司",
    "ひらがなのなまえ",
    "אבגדהוזחטיכלמנ",
    "กขคงจฉชซ",
    "한국도메인이름",
)
"""Letters of one script each, which UTS 46 leaves as they are."""

ALIEN = "!\"$%&'()*+,/:;<=>?@[\\]^`{|}~"
UNSEEN = (
    "\x00\x01\x07\x08\x0b\x0c\x0e\x1b\x7f\x85\xa0\xad\u034f\u200b\u200d\u200e\u2028\u2029\u202e\u2060\u3000\ufe0f\ufeff"
)
DOTS = "\u3002\uff0e\uff61"
BROKEN = (b"\xff", b"\xfe", b"\xc0\xaf", b"\xed\xa0\x80", b"\x80", b"\xf5\x80\x80\x80", b"\xe4\xb8")
VECTORS = Path(sys.prefix) / "share" / "idna-vectors.py"


class Case(NamedTuple):
    """A line, where it came from, and the one name that it means; None where it must be refused.

    Where `either`, refusing it is right as well: our rule is narrower than the one that it comes from.
    """

    line: bytes
    source: str
    name: str | None
    either: bool = False


def label(chance: Random) -> str:
    return "".join(chance.choices(f"{ASCII}-_", k=chance.randint(1, 20))).replace("--", "-0")


def good_name(chance: Random) -> str:
    """A name that may be listed; no other is like it, so none is a duplicate."""
    labels = [label(chance) for _ in range(chance.randint(0, 3))]
    if chance.random() < 0.3:
        labels.append("".join(chance.choices(chance.choice(ALPHABETS), k=chance.randint(1, 8))))
    own = "".join(chance.choices(ASCII, k=14))
    return ".".join([*labels, own, chance.choice(("example", "example", "com", "id", "co.id", "net"))])


def canonical(name: str) -> str:
    """By Python's own codec, which knows nothing of our rules; these letters mean the same in all versions of IDNA."""
    return ".".join(each if each.isascii() else each.encode("idna").decode() for each in name.lower().split("."))


def good(chance: Random) -> Case:
    """A good line, as people write them."""
    name = good_name(chance)
    line = name.upper() if name.isascii() and chance.random() < 0.2 else name
    line += "." * (chance.random() < 0.2)
    line = chance.choice(("", " ", "\t")) + line + chance.choice(("", "  ", " # why; $INCLUDE x", "#\x00\u202e"))
    return Case(line.encode() + b"\r" * (chance.random() < 0.2), "good", canonical(name))


def _inserted(chance: Random, what: str) -> str:
    name = good_name(chance)
    place = chance.randint(1, len(name) - 1)
    return name[:place] + what + name[place:]


def _mixed(chance: Random) -> str:
    return f"{chance.choice('аеорсух')}{label(chance)}q.{good_name(chance)}"


@cache
def public_suffixes() -> tuple[str, ...]:
    """The rules of the ICANN section that are names."""
    text = Path(PSLFILE).read_text("utf-8").partition("===BEGIN ICANN DOMAINS===")[2].partition("===END ICANN")[0]
    return tuple(line for line in text.splitlines() if line and line[0] not in "/*!")


BAD: dict[str, Callable[[Random], str]] = {
    "alien": lambda chance: _inserted(chance, chance.choice(ALIEN)),
    "unseen": lambda chance: _inserted(chance, chance.choice(UNSEEN)),
    "space": lambda chance: _inserted(chance, chance.choice(" \t")),
    "return": lambda chance: _inserted(chance, "\r"),
    "full-width dot": lambda chance: good_name(chance).replace(".", chance.choice(DOTS), 1),
    "empty label": lambda chance: chance.choice((".{}", "{}..", "a..{}")).format(good_name(chance)),
    "long label": lambda chance: f"{'x' * chance.randint(64, 200)}.{good_name(chance)}",
    "long name": lambda chance: f"{'.'.join(['abcdefgh'] * chance.randint(28, 40))}.{good_name(chance)}",
    "long line": lambda chance: good_name(chance) + " " * 5_000,
    "IPv4": lambda chance: ".".join(str(chance.randint(0, 255)) for _ in range(4)),
    "IPv4 net": lambda chance: f"{chance.randint(1, 223)}.0.0.0/{chance.randint(8, 32)}",
    "integer": lambda chance: chance.choice((str(chance.getrandbits(32)), hex(chance.getrandbits(32)))),
    "IPv6": lambda chance: chance.choice(("2001:db8::{:x}", "[::{:x}]", "fe80::{:x}/64")).format(
        chance.getrandbits(16)
    ),
    "address of a page": lambda chance: chance.choice(
        ("http://{}", "https://{}/x?y=1", "//{}", "{}/", "{}:8443", "user@{}", "mailto:x@{}", "javascript:{}")
    ).format(good_name(chance)),
    "wildcard": lambda chance: f"*.{good_name(chance)}",
    "one label": lambda chance: chance.choice(("com", "id", "example", "localhost", "арпа", "xn--p1ai", "rpz")),
    "public suffix": lambda chance: chance.choice(public_suffixes()),
    "no such TLD": lambda chance: f"{label(chance)}.q{''.join(chance.choices(ASCII, k=9))}q",
    "numeric TLD": lambda chance: f"{label(chance)}a.{chance.randint(0, 999)}",
    "own zone": lambda chance: f"{label(chance)}.{chance.choice(('block.rpz', 'canary.pulih.example'))}",
    "trigger": lambda chance: f"32.{chance.randint(0, 255)}.2.0.192.rpz-{chance.choice(('ip', 'nsip', 'client-ip'))}",
    "directive": lambda chance: f"${chance.choice(('INCLUDE', 'GENERATE', 'ORIGIN', 'TTL'))} {good_name(chance)}",
    "record": lambda chance: f"{good_name(chance)} CNAME {chance.choice(('.', '*.', 'rpz-passthru.'))}",
    "hosts line": lambda chance: f"0.0.0.0 {good_name(chance)}",
    "filter": lambda chance: chance.choice(("||{}^", "@@||{}^", "address=/{}/", "server=/{}/")).format(
        good_name(chance)
    ),
    "quoted": lambda chance: chance.choice(('"{}"', "'{}'", "<{}>", "`{}`", "({})")).format(good_name(chance)),
    "script": _mixed,
    "root": lambda chance: chance.choice((".", "..", "...", "@", "*", "*.", "-.", "_")),
}


def bad(chance: Random) -> Case:
    """A line with one fault of a kind that is drawn."""
    kind = chance.choice((*BAD, "octets"))
    if kind == "octets":
        line = good_name(chance).encode()
        place = chance.randint(1, len(line) - 1)
        return Case(line[:place] + chance.choice(BROKEN) + b"." + line[place:], kind, None)
    return Case(BAD[kind](chance).encode(), kind, None)


def drawn(chance: Random) -> Case:
    """Pieces put together by chance; what comes of them is said by the plainest rule."""
    pieces = [label(chance), "a", "example", ".", ".", "-", "_", *chance.sample(ALIEN + UNSEEN + DOTS, 2)]
    text = "".join(chance.choices(pieces, k=chance.randint(1, 9))) + chance.choice(
        (".example", ".example.", "example", ".example..")
    )
    return Case(text.encode(), "drawn", _plainly(text))


def _plainly(text: str) -> str | None:
    labels = text.lower().removesuffix(".").split(".")
    plain = all(0 < len(each) < 64 and set(each) <= {*ASCII, "-", "_"} for each in labels)
    return ".".join(labels) if plain and len(labels) > 1 and labels[-1] == "example" else None


def vectors() -> Iterator[Case]:
    """What IdnaTestV2 says of `encode`, each below `.example`.

    Ours is wider in two ways: labels that stand there in ASCII are listed as they are, since DNS carries them, and the
    letters of others are mapped before they are judged. So what is invalid may mean a name, if each of its labels does.
    """
    if not VECTORS.exists():
        missing(f"{VECTORS} is not there: scripts/idna-vectors fetches it")
    calls = [node for node in ast.walk(ast.parse(VECTORS.read_text("utf-8"))) if isinstance(node, ast.Call)]
    valid: dict[str, str] = {}
    for call in calls:
        match call:
            case ast.Call(
                ast.Attribute(attr="assertEqual"), [ast.Call(ast.Attribute(attr="encode"), [given, *_]), name]
            ):
                valid[ast.literal_eval(given)] = ast.literal_eval(name).decode().removesuffix(".")
    for listed, made in valid.items():
        yield from _case(listed, "valid", made)
    known = _labels(valid)
    for call in calls:
        match call:
            case ast.Call(ast.Attribute(attr="assertRaises"), [_, ast.Attribute(attr="encode"), given, *_]):
                text = ast.literal_eval(given)
                yield from _case(text, "invalid", _by_labels(text.removesuffix("."), known))


def _case(text: str, what: str, name: str | None) -> Iterator[Case]:
    if not {"#", "\n"}.intersection(text):
        line = f"{text.removesuffix('.')}.example".encode(errors="surrogatepass")
        yield Case(line, f"IdnaTestV2, {what}", name and f"{name}.example", either=True)


def _labels(valid: Mapping[str, str]) -> dict[str, str]:
    """Every label of valid names, folded, and what it becomes."""
    pairs = [(_folded(text).split("."), name.split(".")) for text, name in valid.items()]
    return {label: made for labels, names in pairs for label, made in zip(labels, names, strict=False)}


def _by_labels(text: str, known: Mapping[str, str]) -> str | None:
    made = [label.lower() if label.isascii() else _made(_folded(label), known) for label in text.split(".")]
    return None if None in made else ".".join(filter(None, made))


def _made(label: str, known: Mapping[str, str]) -> str | None:
    """What a label of letters becomes: by the vectors, else by Python's own codec."""
    if label in known or any(unicodedata.category(letter)[0] not in "LM" for letter in label):
        return known.get(label)
    try:
        return label.encode("idna").decode()
    except UnicodeError:
        return None


def _folded(text: str) -> str:
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
