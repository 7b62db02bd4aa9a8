"""What can be said of the container image without building it (`make image-check` builds it)."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from app.settings import Settings, parse_endpoint
from tests.image.dockerfile import Instruction, of, stages

ROOT = Path(__file__).parent.parent.parent
BUILD, FINAL = stages(ROOT / "Dockerfile")
ENVIRONMENT = {key: value for env in of(FINAL, "ENV") for key, value in env.pairs().items()}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
COMMANDS = Path(sys.executable).parent


def copied() -> list[str]:
    """Every path of this tree that the image is built from."""
    return [source for copy in of(BUILD, "COPY") for source in copy.words()[:-1]]


def only(stage: list[Instruction], keyword: str) -> Instruction:
    (instruction,) = of(stage, keyword)
    return instruction


def hadolint(file: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([COMMANDS / "hadolint", "--no-color", file], capture_output=True, text=True, check=False)


def test_hadolint_has_nothing_to_say() -> None:
    result = hadolint(ROOT / "Dockerfile")

    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


def test_hadolint_finds_a_planted_fault(tmp_path: Path) -> None:
    planted = tmp_path / "Dockerfile"
    planted.write_text((ROOT / "Dockerfile").read_text() + "RUN apt-get install curl\n")

    assert "DL3008" in hadolint(planted).stdout


def test_everything_copied_exists_and_is_let_through() -> None:
    ignored, *let_through = [
        line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")
    ]

    assert ignored == "*"
    assert [source for source in copied() if not (ROOT / source).exists()] == []
    assert {f"!{source}" for source in copied()} == {line for line in let_through if line.startswith("!")}


def test_every_package_of_the_project_is_copied() -> None:
    packages = {name.rstrip("*") for name in PROJECT["tool"]["setuptools"]["packages"]["find"]["include"]}

    assert packages == {source for source in copied() if (ROOT / source).is_dir()}


def test_every_pip_install_is_locked_or_brings_nothing_else() -> None:
    installs = re.findall(r"pip install ([^&|;]*)", "; ".join(run.text for run in of(BUILD, "RUN")))

    assert [options.split() for options in installs] == [
        ["--require-hashes", "-r", "/src/requirements.lock"],
        ["--no-deps", "--no-build-isolation", "/src"],
    ]


def test_the_final_stage_installs_nothing() -> None:
    assert not re.search(r"\b(pip|apt|apt-get|curl|wget|gcc)\b", " ".join(run.text for run in of(FINAL, "RUN")))
    assert [copy.words() for copy in of(FINAL, "COPY")] == [["--from=build", "/opt/venv", "/opt/venv"]]


def test_every_setting_in_the_environment_exists() -> None:
    prefix = Settings.model_config["env_prefix"]
    named = {key.removeprefix(prefix).lower() for key in ENVIRONMENT if key.startswith(prefix)}

    assert named == {"data_dir", "http_listen", "dns_listen"}
    assert named <= set(Settings.model_fields)


@pytest.mark.parametrize(("setting", "protocols"), [("http_listen", {"tcp"}), ("dns_listen", {"tcp", "udp"})])
def test_ports_are_the_defaults_and_exposed(setting: str, protocols: set[str]) -> None:
    port = parse_endpoint(Settings.model_fields[setting].default).port
    listen = parse_endpoint(ENVIRONMENT[f"PULIH_{setting.upper()}"])
    exposed = [word.split("/") for word in only(FINAL, "EXPOSE").words()]

    assert (listen.host, listen.port) == ("0.0.0.0", port)
    assert {protocol for number, protocol in exposed if number == str(port)} == protocols


def test_it_runs_as_the_user_who_owns_the_data() -> None:
    uid, gid = only(FINAL, "USER").text.split(":")
    made = only(FINAL, "RUN").text
    data = only(FINAL, "VOLUME").text

    assert (uid, gid) == ("10001", "10001")
    assert f"groupadd --gid {gid} " in made
    assert f"useradd --uid {uid} --gid {gid} " in made
    assert f"--owner={uid} --group={gid} --mode=0700 {data}" in made
    assert data == only(FINAL, "WORKDIR").text == ENVIRONMENT["PULIH_DATA_DIR"]


def test_what_it_starts_exists() -> None:
    (entry,) = only(FINAL, "ENTRYPOINT").words()
    serve = only(FINAL, "CMD").words()
    health = only(FINAL, "HEALTHCHECK").text.partition(" CMD ")[2]
    healthcheck = Instruction("CMD", health).words()

    assert entry in PROJECT["project"]["scripts"]
    assert healthcheck == [entry, "healthcheck"]
    for command in ([entry, *serve], healthcheck):
        result = subprocess.run(
            [COMMANDS / command[0], *command[1:], "--help"], capture_output=True, text=True, check=False
        )
        assert result.returncode == 0, result.stderr
        words = [word for word in command if not word.startswith("-")]
        assert result.stdout.startswith(f"Usage: {' '.join(words)} ")
        assert all(word in result.stdout for word in command)


def test_a_stop_is_a_termination_not_a_kill() -> None:
    assert only(FINAL, "STOPSIGNAL").text == "SIGTERM"
