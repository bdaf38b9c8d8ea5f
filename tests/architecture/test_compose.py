"""The compose file: valid by the compose schema, pinned, with the embedded server's settings."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from contracts import visibility
from runtime.gateway import web_front
from runtime.services.embedded_server import DYNAMIC_CONFIG

ROOT = Path(__file__).resolve().parents[2]
COMPOSE = ROOT / "docker-compose.yml"
DYNAMIC = ROOT / "ops" / "compose" / "dynamicconfig.yaml"


def compose() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(COMPOSE.read_text("utf-8"))
    return loaded


def test_the_compose_file_is_valid_by_the_compose_schema() -> None:
    """docker-compose.yml passes the published compose specification's schema."""
    checker = Path(sys.executable).with_name("check-jsonschema")
    found = subprocess.run(
        [checker, "--builtin-schema", "vendor.compose-spec", COMPOSE],
        capture_output=True,
        text=True,
        check=False,
    )

    assert found.returncode == 0, found.stdout + found.stderr


def test_every_image_is_pinned_to_a_version() -> None:
    """No image floats: each names a version that is not `latest`."""
    images = [service["image"] for service in compose()["services"].values() if "image" in service]
    tags = [image.rpartition(":")[2] for image in images]

    assert images
    assert all(tag[0].isdigit() and "." in tag for tag in tags)


def test_production_carries_the_embedded_servers_dynamic_configuration() -> None:
    """The same keys with the same values, since without them every task waits 50 ms."""
    loaded = yaml.safe_load(DYNAMIC.read_text("utf-8"))
    production = {key: rows[0]["value"] for key, rows in loaded.items()}
    embedded = {key: json.loads(value) for key, value in DYNAMIC_CONFIG.items()}

    assert production == embedded


def test_production_registers_our_search_attributes() -> None:
    """The set-up service creates every search attribute that workflows set."""
    command = compose()["services"]["temporal-setup"]["command"][0]

    assert f"--name {visibility.OC_STATE} --type Keyword" in command
    assert f"--name {visibility.OC_PENDING_APPROVALS} --type Int" in command


def test_the_compose_files_ui_is_published_by_its_guard_alone() -> None:
    """The UI looks at no Host header; every published port is of 127.0.0.1."""
    services = compose()["services"]
    published = {name: service["ports"] for name, service in services.items() if "ports" in service}

    assert set(published) == {"temporal", "web"}
    assert all(port.startswith("127.0.0.1:") for ports in published.values() for port in ports)
    command = services["web"]["command"]
    assert command[1:3] == ["-m", web_front.__name__]
    assert command[-1] == "temporal-ui:8080"
