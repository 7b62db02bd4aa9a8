"""Domain names as canonical text: lower-case A-labels, no dot at the end.

ASCII labels may hold letters, digits, hyphens and underscores, the hyphen anywhere: RFC 2181 section 11 lets
DNS carry such names, resolvers answer them, so they must be blockable. Everything else goes through UTS 46.
"""

import re
import unicodedata
from ipaddress import ip_network
from typing import NoReturn

import idna

from resolver_policy.errors import AddressNotName, NameInvalid, NameTooLong, PolicyError, printable

LONGEST_WIRE = 255  # RFC 1035 section 2.3.4, in octets
LONGEST_LABEL = 63
LONGEST_INPUT = 2048
WORST_OWNER_PREFIX = "*."

_PLAIN = re.compile(r"(?:[a-z0-9_-]{1,63}\.)+[a-z]{2,63}").fullmatch
_ALIEN = re.compile(r"[^A-Za-z0-9_.-]").search
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*").fullmatch
_URL = re.compile(
    r"(?:[a-z][a-z0-9+.-]*://|//|mailto:)?(?:[^/?\#@]*@)?(?P<host>\[[^\]]*\]|[^\[\]/?\#@:\\]+)(?::[0-9]*)?(?:[/?\#].*)?",
    re.IGNORECASE | re.DOTALL,
).fullmatch
_OTHER_DOTS = "\u3002\uff0e\uff61"
# Default_Ignorable_Code_Point (DerivedCoreProperties) outside the categories Cc and Cf.
_IGNORABLE = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2065\u3164\ufe00-\ufe0f\uffa0\ufff0-\ufff8\U000e0000-\U000e0fff]"
).match
_INVISIBLE = {
    "Cc": "control_character",
    "Cf": "invisible_character",
    "Cs": "invisible_character",
    "Zl": "control_character",
    "Zp": "control_character",
    "Zs": "space",
}
# The first word of a letter's name is its script; these words name no script, or a part of one.
_NO_SCRIPT = {"DIGIT", "MODIFIER"}
_SCRIPTS = {
    "IDEOGRAPHIC": "CJK",
    "KATAKANA-HIRAGANA": "KATAKANA",
    "ARABIC-INDIC": "ARABIC",
    "EXTENDED": "ARABIC",
}
# UTS 39 section 5.2, "highly restrictive".
_TOGETHER = (
    {"LATIN", "CJK", "HIRAGANA", "KATAKANA"},
    {"LATIN", "CJK", "BOPOMOFO"},
    {"LATIN", "CJK", "HANGUL"},
)


def canonical(text: str) -> str:
    """Give the one form of a name that everything compares.

    One trailing dot and upper case are accepted, nothing else is repaired. NameInvalid, NameTooLong or
    AddressNotName otherwise; the detail names the text, and the host where the text is an address of a page.
    """
    if text.isascii():
        plain = text.lower().removesuffix(".")
        if len(plain) <= LONGEST_WIRE - 2 and _PLAIN(plain) and "xn--" not in plain:
            return plain
    if len(text) > LONGEST_INPUT:
        raise NameTooLong(
            f"'{printable(text[:40])}…' is not a domain name: {len(text)} characters",
            value=text,
            rule="name_length",
        )
    _check_shape(text)
    return _ascii(_mapped(text), text)


def display(name: str) -> str:
    """Give the form for people: U-labels, where they lead back to the same name; an A-label where not."""
    return ".".join(map(_shown, name.split("."))) if "xn--" in name else name


def ancestors(name: str) -> tuple[str, ...]:
    """Give the names strictly above, nearest first, never the root."""
    found, dot = [], name.find(".")
    while dot >= 0:
        found.append(name[dot + 1 :])
        dot = name.find(".", dot + 1)
    return tuple(found)


def sort_key(name: str) -> str:
    """Turn `t.me` into `me.t.`: in code point order a subtree is then one range."""
    return ".".join(reversed(name.split("."))) + "."


def from_key(key: str) -> str:
    """Turn `me.t.` back into `t.me`."""
    return ".".join(key[:-1].split(".")[::-1])


def subtree_end(key: str) -> str:
    """Give the first text after every key of the subtree (`/` follows `.` in ASCII)."""
    return key[:-1] + "/"


def key_ancestors(key: str) -> tuple[str, ...]:
    """Give the keys strictly above, nearest first, never the root."""
    found, dot = [], key.rfind(".", 0, -1)
    while dot >= 0:
        found.append(key[: dot + 1])
        dot = key.rfind(".", 0, dot)
    return tuple(found)


def key_parent(key: str) -> str:
    """Give the key directly above; empty for a top-level domain."""
    return key[: key.rfind(".", 0, -1) + 1]


def wire_length(name: str) -> int:
    """Count the octets of an uncompressed name on the wire, the root included."""
    return len(name) + 2


def longest_key(longest_zone: str) -> int:
    """Count the octets of the longest key whose name `check_fits` lets through."""
    return LONGEST_WIRE - len(WORST_OWNER_PREFIX) - wire_length(longest_zone)


def check_fits(name: str, longest_zone: str) -> None:
    """Refuse a name whose wildcard owner in the longest zone served would pass 255 octets (NameTooLong)."""
    octets = wire_length(f"{WORST_OWNER_PREFIX}{name}.{longest_zone}")
    if octets > LONGEST_WIRE:
        raise NameTooLong(
            f"'{printable(name)}' is too long for the zone {longest_zone}: "
            f"its wildcard takes {octets} of {LONGEST_WIRE} octets",
            value=name,
            rule="owner_length",
        )


def _refuse(text: str, rule: str, why: str) -> NoReturn:
    raise NameInvalid(f"'{printable(text)}' is not a domain name: {why}", value=text, rule=rule)


def _check_shape(text: str) -> None:
    """Refuse what is not even meant as a name, with the reason that helps most."""
    if not text:
        _refuse(text, "empty", "it is empty")
    if text == ".":
        _refuse(text, "root", "it is the root")
    for char in text:
        rule = _INVISIBLE.get(unicodedata.category(char)) or (_IGNORABLE(char) and "invisible_character")
        if rule:
            _refuse(text, rule, f"it holds U+{ord(char):04X}, which does not show")
    if any(dot in text for dot in _OTHER_DOTS):
        _refuse(text, "full_width_dot", "only the ASCII dot separates labels")
    if "*" in text:
        _refuse(text, "wildcard", "a wildcard is no name; give the name with match subtree")
    _check_address(text, text)
    _check_url(text)


def _check_address(host: str, text: str) -> None:
    """AddressNotName for IPv4 and IPv6 literals and networks, IPv4 also short and in hexadecimal."""
    bare = host.removesuffix(".").lower()
    if not all(_NUMBER(part) for part in bare.split(".")):
        try:
            ip_network(bare.strip("[]"), strict=False)
        except ValueError:
            return
    raise AddressNotName(f"'{printable(text)}' is an address, not a domain name", value=text, rule="address")


def _check_url(text: str) -> None:
    parts = _URL(text)
    if not parts or parts["host"] == text:
        return
    _check_address(parts["host"], text)
    try:
        host = canonical(parts["host"])
    except PolicyError:
        return
    _refuse(text, "host_in_url", f"it is more than a name; the host in it is '{host}'")


def _ascii(name: str, text: str) -> str:
    """Check an ASCII name; `text` is what the user gave, for the message."""
    alien = _ALIEN(name)
    if alien:
        _refuse(text, "character", f"'{alien[0]}' is not a letter, digit, hyphen or underscore")
    name = name.removesuffix(".").lower()
    labels = name.split(".")
    for label in labels:
        _check_label(label, text)
    if wire_length(name) > LONGEST_WIRE:
        raise NameTooLong(
            f"'{printable(text)}' is too long: {wire_length(name)} of {LONGEST_WIRE} octets",
            value=text,
            rule="name_length",
        )
    if labels[-1].startswith("rpz-"):
        _refuse(text, "rpz_trigger", f"under '{labels[-1]}' a policy zone holds other triggers than names")
    if _NUMBER(labels[-1]):
        _check_address(name, text)
        _refuse(text, "numeric_tld", "its last label is a number")
    return name


def _check_label(label: str, text: str) -> None:
    if not label:
        _refuse(text, "empty_label", "empty label")
    if len(label) > LONGEST_LABEL:
        _refuse(text, "label_length", f"a label of {len(label)} octets, {LONGEST_LABEL} are allowed")
    if label.startswith("xn--") and _decoded(label) is None:
        _refuse(text, "punycode", f"'{label}' is not punycode")


def _decoded(label: str) -> str | None:
    """Decode an A-label (RFC 3492); None where it does not lead back to itself."""
    try:
        shown = label[4:].encode("ascii").decode("punycode")
        again = shown.encode("punycode").decode("ascii")
        shown.encode("utf-8")
    except UnicodeError:
        return None
    return shown if again == label[4:] and not shown.isascii() else None


def _mapped(text: str) -> str:
    """Map by UTS 46, label by label, so that plain ASCII labels keep their own rule."""
    return ".".join(label if label.isascii() else _a_label(label, text) for label in text.split("."))


def _a_label(label: str, text: str) -> str:
    try:
        shown = idna.uts46_remap(label)
        encoded = shown if shown.isascii() else idna.alabel(shown).decode("ascii")
    except idna.IDNAError as exc:
        raise NameInvalid(
            f"'{printable(text)}' is not a domain name: {printable(str(exc))}", value=text, rule="idna"
        ) from exc
    scripts = _scripts(shown)
    if len(scripts) > 1 and not any(scripts <= together for together in _TOGETHER):
        _refuse(text, "mixed_script", f"one label mixes {' and '.join(sorted(scripts)).lower()} letters")
    return encoded


def _scripts(label: str) -> set[str]:
    words = {unicodedata.name(char, "UNKNOWN").partition(" ")[0] for char in label if char.isalnum()}
    return {_SCRIPTS.get(word, word) for word in words - _NO_SCRIPT}


def _shown(label: str) -> str:
    shown = _decoded(label) if label.startswith("xn--") else None
    try:
        return shown if shown is not None and canonical(shown) == label else label
    except PolicyError:
        return label
