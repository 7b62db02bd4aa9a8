"""What an administrator may set: the environment (`PULIH_...`), a `.env` file, or a file for each secret."""

import datetime as dt
import re
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Literal, NamedTuple
from urllib.parse import urlsplit

from dns.exception import DNSException
from pydantic import Field, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from app import regime
from app.errors import SettingInvalid
from app.regime import ClockCode, Regime
from resolver_policy import layers, names, wire
from resolver_policy.actions import Action, parse_action
from resolver_policy.errors import PolicyError

HIGHEST_PORT = 65_535
UNITS = {"": "hours", "d": "days", "h": "hours", "m": "minutes", "s": "seconds"}


class Endpoint(NamedTuple):
    """A host and a port, as in `127.0.0.1:5300` or `[::1]:5300`."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class ZoneSetting(NamedTuple):
    """A zone to publish and what its records make a resolver answer."""

    name: str
    action: Action


class RebaseSetting(NamedTuple):
    """When layers get a new base (`at`, in UTC; `above` so many records), and when the one before is let go."""

    at: dt.time | None
    above: int
    settling: dt.timedelta
    keep: dt.timedelta


class Limits(NamedTuple):
    """What one person may do alone or unseen, and how far down a rank file protects.

    `unseen` names within `window` come into force without their plan's hash, for each proposer and each approver; an
    emergency order lapses after `emergency_window`; the best `ranked` names of the rank file are soft-protected.
    """

    unseen: int = 1_000
    window: dt.timedelta = dt.timedelta(hours=24)
    emergency_window: dt.timedelta = dt.timedelta(hours=48)
    ranked: int = 10_000


class RateSetting(NamedTuple):
    """Requests a minute of one token, of one address without a token, and of tokens that are none from one address;
    0 is no limit."""

    token: int
    address: int
    failed: int


USUAL = Limits()
"""The limits of an installation for which nobody has set any."""


class Settings(BaseSettings):
    """Every setting, its default, and what it is for (`pulih serve --help` prints this table)."""

    model_config = SettingsConfigDict(env_prefix="PULIH_", env_file=".env", extra="ignore", frozen=True)

    data_dir: Path = Field(default=Path("var"), description="where the database, keys, tokens and exports lie")
    database_url: str = Field(
        default="", description="SQLAlchemy address of the database (default: sqlite:///DATA_DIR/pulih.db)"
    )
    database_url_file: Path | None = Field(default=None, description="a file that holds DATABASE_URL, for secrets")
    http_listen: str = Field(default="127.0.0.1:8000", description="HOST:PORT of the HTTP interface")
    dns_listen: str = Field(default="127.0.0.1:5300", description="HOST:PORT of zone transfers, UDP and TCP")
    dns_public: str = Field(
        default="",
        description="HOST:PORT that config snippets print and NOTIFY comes from (default: DNS_LISTEN)",
    )
    zones: str = Field(
        default="block.rpz=nxdomain",
        description="zones to publish: NAME=nxdomain, NAME=nodata or NAME=redirect:TARGET, separated by commas",
    )
    mname: str = Field(default="localhost", description="primary server named in the SOA (MNAME)")
    rname: str = Field(
        default="normalisation.invalid", description="contact for normalisation, as a mailbox name (RNAME)"
    )
    secret_key_file: Path | None = Field(
        default=None,
        description="file that seals TSIG secrets (default: DATA_DIR/secret.key, made at first start)",
    )
    log_key_file: Path | None = Field(
        default=None,
        description="file that signs the journal and exports (default: DATA_DIR/log.key, made at first start)",
    )
    log_origin: str = Field(
        default="",
        description="name of the journal in its checkpoints, for ever (default: host of PUBLIC_URL, and /pulih)",
    )
    public_url: str = Field(default="http://127.0.0.1:8000", description="address by which people reach the service")
    regime_file: Path | None = Field(
        default=None, description="file with the law's clocks and papers (default: Indonesian rules, which ship)"
    )
    overdue_after: str = Field(
        default="",
        description="how long a subscriber may lack a published serial before it is overdue: 24h, 7d, 30m, or hours"
        " (default: the regime's clock `isp_applied`)",
    )
    return_notice: str = Field(
        default="24h", description="how long before a suspended block returns notice of it is given: 24h, 7d, 30m, ..."
    )
    rebase_at: str = Field(
        default="20:00",
        description="quiet hour, HH:MM in UTC, at which layers get a new base where it is worth it; empty: at none",
    )
    rebase_above: int = Field(
        default=20_000, ge=1, description="records of an urgent zone above which layers get a new base at any hour"
    )
    rebase_settling: str = Field(
        default="15m", description="how long a server may take to answer by a base that it has: 15m, 1h, ..."
    )
    rebase_keep: str = Field(
        default="72h", description="how long the base before is made up for at least: less only to try it out"
    )
    emergency_window: str = Field(
        default="48h", description="how long an emergency order stands unless somebody confirms it"
    )
    unseen_names: int = Field(
        default=1_000,
        ge=1,
        le=1_000,
        description="names that one person may propose, or approve, within UNSEEN_WINDOW without the plan's hash",
    )
    unseen_window: str = Field(default="24h", description="the stretch of time over which UNSEEN_NAMES are summed")
    rank_protected: int = Field(
        default=10_000, ge=0, description="names of the imported rank file are soft-protected down to this rank"
    )
    rate_token: int = Field(
        default=6_000,
        ge=0,
        description="requests a minute by one token, in each API process, decisions of approvers aside; 0: no limit",
    )
    rate_address: int = Field(
        default=600, ge=0, description="requests a minute without a token from one address (IPv6: /64); 0: no limit"
    )
    rate_failed: int = Field(
        default=60, ge=0, description="requests a minute by tokens that are not valid from one address; 0: no limit"
    )
    trusted_proxies: str = Field(
        default="",
        description="addresses or ranges of proxies, separated by commas, whose X-Forwarded-For says who asks",
    )
    hosts: str = Field(
        default="",
        description="host names, separated by commas, that requests may be for (default: any; the host of PUBLIC_URL,"
        " loopback and HTTP_LISTEN always may)",
    )
    log_format: Literal["text", "json"] = Field(
        default="text", description="one line an event: text for people, json (an object each) for a collector"
    )
    language: Literal["id", "en"] = Field(default="id", description="language where none was asked for")

    @field_validator("http_listen", "dns_listen", "dns_public")
    @classmethod
    def _an_endpoint(cls, text: str, info: ValidationInfo) -> str:
        if text or info.field_name != "dns_public":
            parse_endpoint(text)
        return text

    @field_validator("log_origin")
    @classmethod
    def _an_origin(cls, text: str) -> str:
        if re.search(r"[\s+\x00-\x1f]", text):
            raise SettingInvalid(f"log_origin {text!r} has white space or a plus sign in it")
        return text

    @field_validator("rebase_at")
    @classmethod
    def _an_hour(cls, text: str) -> str:
        parse_hour(text)
        return text

    @field_validator(
        "overdue_after", "return_notice", "rebase_settling", "rebase_keep", "emergency_window", "unseen_window"
    )
    @classmethod
    def _a_duration(cls, text: str, info: ValidationInfo) -> str:
        if text or info.field_name != "overdue_after":
            parse_duration(text)
        return text

    @field_validator("regime_file")
    @classmethod
    def _a_regime(cls, path: Path | None) -> Path | None:
        regime.load(path)
        return path

    @field_validator("trusted_proxies")
    @classmethod
    def _some_networks(cls, text: str) -> str:
        for network in listed(text):
            try:
                ip_network(network)
            except ValueError as error:
                raise SettingInvalid(f"trusted_proxies {text!r}: {error}") from error
        return text

    @field_validator("mname", "rname")
    @classmethod
    def _a_dns_name(cls, text: str, info: ValidationInfo) -> str:
        try:
            wire.wire_name(text)
        except DNSException as error:
            raise SettingInvalid(f"{info.field_name} {text!r} is not a name that an SOA can carry: {error}") from error
        return text

    @field_validator("zones")
    @classmethod
    def _some_zones(cls, text: str) -> str:
        parse_zones(text)
        return text

    @property
    def database(self) -> str:
        """The SQLAlchemy address in force."""
        if self.database_url_file is not None:
            return self.database_url_file.read_text("utf-8").strip()
        return self.database_url or f"sqlite:///{self.data_dir.absolute() / 'pulih.db'}"

    @property
    def http(self) -> Endpoint:
        return parse_endpoint(self.http_listen)

    @property
    def dns(self) -> Endpoint:
        return parse_endpoint(self.dns_listen)

    @property
    def dns_seen(self) -> Endpoint:
        """The address that subscribers use."""
        return parse_endpoint(self.dns_public or self.dns_listen)

    @property
    def zone_settings(self) -> tuple[ZoneSetting, ...]:
        return parse_zones(self.zones)

    @property
    def overdue(self) -> dt.timedelta:
        """How long a subscriber may lack a published serial: as set, else as the law has it."""
        if self.overdue_after:
            return parse_duration(self.overdue_after)
        return self.regime.clock(ClockCode.ISP_APPLIED).length

    @property
    def regime(self) -> Regime:
        """The law's clocks, urgent categories and papers."""
        return regime.load(self.regime_file)

    @property
    def notice_of_return(self) -> dt.timedelta:
        """How long before a suspended block returns its notice is due."""
        return parse_duration(self.return_notice)

    @property
    def rebase(self) -> RebaseSetting:
        return RebaseSetting(
            parse_hour(self.rebase_at),
            self.rebase_above,
            parse_duration(self.rebase_settling),
            parse_duration(self.rebase_keep),
        )

    @property
    def limits(self) -> Limits:
        return Limits(
            self.unseen_names,
            parse_duration(self.unseen_window),
            parse_duration(self.emergency_window),
            self.rank_protected,
        )

    @property
    def known_hosts(self) -> frozenset[str]:
        """Hosts that requests may be for; none named is any."""
        named = {host.lower() for host in listed(self.hosts)}
        own = {
            "localhost",
            "127.0.0.1",
            "[::1]",
            urlsplit(self.public_url).hostname or "",
            self.http_listen.rpartition(":")[0],
        }
        return frozenset(named | own) if named else frozenset()

    @property
    def rates(self) -> RateSetting:
        return RateSetting(self.rate_token, self.rate_address, self.rate_failed)

    @property
    def secret_key_path(self) -> Path:
        return self.secret_key_file or self.data_dir / "secret.key"

    @property
    def log_key_path(self) -> Path:
        return self.log_key_file or self.data_dir / "log.key"

    @property
    def first_origin(self) -> str:
        """The name that a new journal gets; it keeps it whatever is set later."""
        return self.log_origin or f"{urlsplit(self.public_url).hostname or 'localhost'}/pulih"


def listed(text: str) -> list[str]:
    """The entries of a setting that is a list separated by commas."""
    return [entry.strip() for entry in text.split(",") if entry.strip()]


def parse_endpoint(text: str) -> Endpoint:
    """Read `HOST:PORT`; raises SettingInvalid, naming the text, where it is not one."""
    host, colon, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not colon or not port.isdecimal() or int(port) > HIGHEST_PORT:
        raise SettingInvalid(f"{text!r} is not HOST:PORT")
    try:
        ip_address(host)
    except ValueError:
        if host != "localhost":
            raise SettingInvalid(f"{text!r}: {host!r} is not an IP address") from None
    return Endpoint(host, int(port))


def parse_duration(text: str) -> dt.timedelta:
    """Read `7d`, `24h`, `30m`, `45s`, or a number of hours; raises SettingInvalid for other text, and for nothing."""
    match = re.fullmatch(r"([0-9]{1,6})([dhms]?)", text)
    if match is None or int(match[1]) == 0:
        raise SettingInvalid(f"{text!r} is not a duration, as in 24h, 7d or 30m")
    return dt.timedelta(**{UNITS[match[2]]: int(match[1])})


def parse_hour(text: str) -> dt.time | None:
    """Read `HH:MM`, in UTC, or nothing; raises SettingInvalid for other text."""
    if not text:
        return None
    try:
        return dt.time.fromisoformat(text).replace(tzinfo=dt.UTC)
    except ValueError:
        raise SettingInvalid(f"{text!r} is not an hour, as in 20:00") from None


def parse_zones(text: str) -> tuple[ZoneSetting, ...]:
    """Read `NAME=ACTION,...`; raises SettingInvalid for a bad name, a bad action, a zone named twice, or none."""
    zones = tuple(_parse_zone(entry.strip()) for entry in text.split(",") if entry.strip())
    if not zones:
        raise SettingInvalid("ZONES names no zone")
    if len({zone.name for zone in zones}) != len(zones):
        raise SettingInvalid(f"{text!r} names a zone twice")
    return zones


def _parse_zone(entry: str) -> ZoneSetting:
    name, equals, action = entry.partition("=")
    if not equals:
        raise SettingInvalid(f"{entry!r} is not NAME=ACTION")
    try:
        zone = ZoneSetting(names.canonical(name), parse_action(action))
    except PolicyError as error:
        raise SettingInvalid(f"{entry!r}: {error.detail}") from error
    if zone.name.startswith((layers.BASE, layers.URGENT)):
        raise SettingInvalid(f"{entry!r}: names of layers begin so ({layers.BASE}ZONE, {layers.URGENT}ZONE)")
    return zone
