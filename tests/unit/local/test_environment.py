import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.environment import PORTS, Environment

ANY_PORTS = dict.fromkeys(PORTS, 0)


@pytest.fixture
def used_port() -> Iterator[int]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def test_a_port_in_use_is_replaced_by_a_free_one(used_port: int, tmp_path: Path) -> None:
    environment = Environment.create(tmp_path, ports=ANY_PORTS | {"UPLOAD_PORT": used_port})
    port = environment.variables["UPLOAD_PORT"]
    assert port != str(used_port)
    assert environment.upload_url == f"http://127.0.0.1:{port}"


def test_a_replaced_port_is_printed(
    used_port: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    environment = Environment.create(tmp_path, ports=ANY_PORTS | {"UPLOAD_PORT": used_port})
    port = environment.variables["UPLOAD_PORT"]
    line = f"port {used_port} is in use: UPLOAD_PORT is {port} this time\n"
    assert capsys.readouterr().out == line


def test_secrets_are_drawn_once_per_folder(tmp_path: Path) -> None:
    first, second = (Environment.create(tmp_path, ports=ANY_PORTS) for _ in range(2))
    assert first.variables["NATS_SEPARATE_PASSWORD"] == second.variables["NATS_SEPARATE_PASSWORD"]


def test_all_secrets_differ(tmp_path: Path) -> None:
    variables = Environment.create(tmp_path, ports=ANY_PORTS).variables
    secrets = [v for k, v in variables.items() if k.endswith(("_PASSWORD", "_SECRET"))]
    assert len(set(secrets)) == len(secrets) > 10


@pytest.mark.parametrize("name", ["secrets", "env"])
def test_only_the_owner_can_read_the_secrets(name: str, tmp_path: Path) -> None:
    Environment.create(tmp_path, ports=ANY_PORTS).save()
    assert (tmp_path / name).stat().st_mode & 0o777 == 0o600


def test_a_saved_environment_can_be_loaded(tmp_path: Path) -> None:
    saved = Environment.create(tmp_path, ports=ANY_PORTS)
    saved.save()
    assert Environment.load(tmp_path) == saved


def test_loading_without_a_started_stack_says_how_to_start_one(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="start one with `make run`"):
        Environment.load(tmp_path)


def test_a_component_has_its_own_users(tmp_path: Path) -> None:
    environment = Environment.create(tmp_path, ports=ANY_PORTS)
    variables = environment.for_component("upload")
    assert (variables["NATS_USER"], variables["STORE_ACCESS_KEY"]) == ("upload", "upload")
    assert variables["STORE_SECRET_KEY"] == environment.variables["STORE_UPLOAD_SECRET"]


def test_provision_is_the_root_of_the_store(tmp_path: Path) -> None:
    environment = Environment.create(tmp_path, ports=ANY_PORTS)
    variables = environment.for_component("provision")
    assert variables["STORE_ACCESS_KEY"] == environment.variables["MINIO_ROOT_USER"]
    assert variables["STORE_SECRET_KEY"] == environment.variables["MINIO_ROOT_PASSWORD"]


def test_settings_of_the_shell_are_passed_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RANGE_SECONDS", "12")
    environment = Environment.create(tmp_path, ports=ANY_PORTS)
    assert environment.variables["RANGE_SECONDS"] == "12"
