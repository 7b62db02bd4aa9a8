"""Settings: read from the environment, and refused at the start where they make no sense."""

from pathlib import Path

import pytest

from app.errors import SettingInvalid
from app.settings import Endpoint, Settings, ZoneSetting, parse_endpoint, parse_zones
from resolver_policy.actions import Action


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No `.env` of the project's own folder is read."""
    monkeypatch.chdir(tmp_path)


def test_the_defaults_listen_on_this_machine_only() -> None:
    settings = Settings()

    assert (str(settings.http), str(settings.dns), str(settings.dns_seen)) == (
        "127.0.0.1:8000",
        "127.0.0.1:5300",
        "127.0.0.1:5300",
    )


def test_everything_lies_in_the_data_directory(tmp_path: Path) -> None:
    settings = Settings()

    assert settings.database == f"sqlite:///{tmp_path}/var/pulih.db"
    assert settings.secret_key_path == Path("var/secret.key")


def test_the_environment_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PULIH_DNS_LISTEN", "[::1]:53")
    monkeypatch.setenv("PULIH_DNS_PUBLIC", "192.0.2.1:5353")
    monkeypatch.setenv("PULIH_DATABASE_URL", "sqlite:///elsewhere.db")
    settings = Settings()

    assert settings.dns == Endpoint("::1", 53)
    assert str(settings.dns) == "[::1]:53"
    assert settings.dns_seen == Endpoint("192.0.2.1", 5353)
    assert settings.database == "sqlite:///elsewhere.db"


def test_a_secret_is_read_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "url"
    file.write_text("postgresql+psycopg://u:secret@host/pulih\n")

    assert Settings(database_url_file=file).database == "postgresql+psycopg://u:secret@host/pulih"


def test_a_file_of_settings_is_read(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("PULIH_LANGUAGE=en\nOTHER=1\n")

    assert Settings().language == "en"


def test_settings_do_not_change() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Settings().language = "en"


@pytest.mark.parametrize("text", ["", "8000", "127.0.0.1", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:65536", "host:1"])
def test_what_is_no_endpoint_is_refused(text: str) -> None:
    with pytest.raises(SettingInvalid):
        parse_endpoint(text)
    with pytest.raises(SettingInvalid):
        Settings(http_listen=text)


@pytest.mark.parametrize("text", ["localhost:1", "0.0.0.0:0", "[::]:65535"])
def test_an_endpoint_is_an_address_and_a_port(text: str) -> None:
    assert str(parse_endpoint(text)) == text


def test_a_bad_public_address_is_refused_at_the_start() -> None:
    with pytest.raises(SettingInvalid, match="HOST:PORT"):
        Settings(dns_public="192.0.2.1")


@pytest.mark.parametrize("text", ["a..b", "a" * 64])
def test_a_name_that_no_soa_can_carry_is_refused_at_the_start(text: str) -> None:
    for field in ("mname", "rname"):
        with pytest.raises(SettingInvalid, match=field):
            Settings.model_validate({field: text})


def test_a_contact_may_have_a_dot_before_its_at() -> None:
    assert Settings(rname=r"first\.last.example").rname == r"first\.last.example"


def test_zones_are_read_in_order() -> None:
    assert parse_zones("block.rpz=nxdomain, A.rpz.=nodata ,l.rpz=redirect:landing.example,") == (
        ZoneSetting("block.rpz", Action("nxdomain", None)),
        ZoneSetting("a.rpz", Action("nodata", None)),
        ZoneSetting("l.rpz", Action("redirect", "landing.example")),
    )


@pytest.mark.parametrize(
    "text",
    ["", ",", "block.rpz", "block.rpz=", "block.rpz=drop", "a..b=nodata", "x.rpz=redirect:", "a.x=nodata,A.X=nodata"],
)
def test_zones_that_make_no_sense_are_refused(text: str) -> None:
    with pytest.raises(SettingInvalid):
        Settings(zones=text)
