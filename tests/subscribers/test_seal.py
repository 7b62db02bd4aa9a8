"""Sealed secrets and the file that opens them."""

import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from app.errors import SettingInvalid
from app.subscribers import seal

SECRET = b"0123456789abcdef0123456789abcdef"


def test_a_sealed_secret_opens_again(tmp_path: Path) -> None:
    key = seal.make(tmp_path / "secret.key")

    assert key.unseal(key.seal(SECRET, "isp-one-20261122"), "isp-one-20261122") == SECRET


def test_a_seal_does_not_show_the_secret_and_is_never_the_same_twice(tmp_path: Path) -> None:
    key = seal.make(tmp_path / "secret.key")
    first, second = key.seal(SECRET, "isp-one-20261122"), key.seal(SECRET, "isp-one-20261122")

    assert SECRET not in first
    assert first != second


def test_a_seal_opens_for_its_own_key_name_only(tmp_path: Path) -> None:
    key = seal.make(tmp_path / "secret.key")
    sealed = key.seal(SECRET, "isp-one-20261122")

    with pytest.raises(SettingInvalid, match="isp-two-20261122"):
        key.unseal(sealed, "isp-two-20261122")


def test_another_key_file_does_not_open_it_and_the_error_says_what_to_do(tmp_path: Path) -> None:
    sealed = seal.make(tmp_path / "secret.key").seal(SECRET, "isp-one-20261122")
    other = seal.make(tmp_path / "other.key")

    with pytest.raises(SettingInvalid, match=r"other.key does not open .* isp-one-20261122.*rotate-key"):
        other.unseal(sealed, "isp-one-20261122")


@pytest.mark.parametrize("altered", [b"", b"short", bytes(60)])
def test_an_altered_seal_is_refused(tmp_path: Path, altered: bytes) -> None:
    with pytest.raises(SettingInvalid, match="does not open"):
        seal.make(tmp_path / "secret.key").unseal(altered, "isp-one-20261122")


def test_a_new_key_file_has_256_bits_and_is_its_owners_alone_whatever_the_umask(tmp_path: Path) -> None:
    path = tmp_path / "data" / "secret.key"
    before = os.umask(0)
    try:
        seal.make(path)
    finally:
        os.umask(before)

    assert len(path.read_bytes()) == 32
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [file.name for file in path.parent.iterdir()] == ["secret.key"]


def test_a_key_file_that_is_there_is_kept(tmp_path: Path) -> None:
    first = seal.make(tmp_path / "secret.key")

    assert seal.make(tmp_path / "secret.key") == first


def test_many_that_make_it_at_once_get_the_same(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        keys = set(pool.map(lambda _: seal.make(tmp_path / "secret.key").octets, range(64)))

    assert len(keys) == 1
    assert [file.name for file in tmp_path.iterdir()] == ["secret.key"]


def test_a_file_made_by_another_meanwhile_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The race itself: the file is not there when looked for, and there when it is to be linked."""
    first = seal.make(tmp_path / "secret.key")
    monkeypatch.setattr(Path, "exists", lambda _path: False)

    assert seal.make(tmp_path / "secret.key") == first


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644])
def test_a_key_file_open_to_others_is_refused_with_the_command_that_mends_it(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "secret.key"
    seal.make(path)
    path.chmod(mode)

    with pytest.raises(SettingInvalid, match=f"open to other accounts .*{mode:04o}.*chmod 600"):
        seal.read(path)


@pytest.mark.parametrize("octets", [b"", bytes(31), bytes(33)])
def test_a_damaged_key_file_is_refused(tmp_path: Path, octets: bytes) -> None:
    path = tmp_path / "secret.key"
    path.write_bytes(octets)
    path.chmod(0o600)

    with pytest.raises(SettingInvalid, match=f"damaged: it has {len(octets)} octets"):
        seal.make(path)


def test_a_directory_is_no_key_file(tmp_path: Path) -> None:
    path = tmp_path / "secret.key"
    path.mkdir(mode=0o700)

    with pytest.raises(SettingInvalid, match="damaged"):
        seal.read(path)


def test_a_missing_key_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingInvalid, match=r"secret.key cannot be read: No such file"):
        seal.read(tmp_path / "secret.key")


def test_the_key_is_not_in_its_repr(tmp_path: Path) -> None:
    key = seal.make(tmp_path / "secret.key")

    assert repr(key.octets) not in repr(key)
