import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.environment import PORTS, SECRETS, Environment
from tests.unit.component_settings import SETTINGS, secrets_of

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


@pytest.mark.parametrize("value", ["8_080", "x", "-1", "65536"])
def test_a_port_that_is_none_is_named(
    value: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UPLOAD_PORT", value)
    with pytest.raises(SystemExit, match=f"UPLOAD_PORT is '{value}': must be a whole number"):
        Environment.create(tmp_path / "run")


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


def test_only_the_owner_can_look_into_the_folder(tmp_path: Path) -> None:
    Environment.create(tmp_path / "state", ports=ANY_PORTS)
    assert (tmp_path / "state").stat().st_mode & 0o777 == 0o700


def test_a_folder_that_an_older_version_left_open_is_closed(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    Environment.create(folder, ports=ANY_PORTS)
    (folder / "store").mkdir()
    (folder / "store" / "song").write_text("x")
    for path, mode in ((folder, 0o755), (folder / "store", 0o755), (folder / "store/song", 0o644)):
        path.chmod(mode)
    Environment.create(folder, ports=ANY_PORTS)
    assert [p for p in (folder, *folder.rglob("*")) if p.stat().st_mode & 0o077] == []


def test_a_folder_of_somebody_else_stays_as_it_is(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    Environment.create(tmp_path, ports=ANY_PORTS)
    assert tmp_path.stat().st_mode & 0o777 == 0o755


def test_a_secret_that_an_older_version_did_not_have_is_drawn(tmp_path: Path) -> None:
    drawn = Environment.create(tmp_path, ports=ANY_PORTS).variables
    file = tmp_path / "secrets"
    older = [line for line in file.read_text().splitlines() if "CALLBACK_SECRET" not in line]
    file.write_text("".join(f"{line}\n" for line in older))
    newer = Environment.create(tmp_path, ports=ANY_PORTS).variables
    assert newer["CALLBACK_SECRET"] != drawn["CALLBACK_SECRET"]
    assert newer["NATS_UPLOAD_PASSWORD"] == drawn["NATS_UPLOAD_PASSWORD"]
    assert (
        Environment.create(tmp_path, ports=ANY_PORTS).variables["CALLBACK_SECRET"]
        == (newer["CALLBACK_SECRET"])
    )


@pytest.mark.parametrize("component", SETTINGS)
def test_a_component_gets_the_secrets_that_it_declares_and_no_others(
    component: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = Environment.create(tmp_path, ports=ANY_PORTS)
    for name in SECRETS:
        monkeypatch.setenv(name, environment.variables[name])
    shells = ("API_TOKENS", "SHARE_SECRETS")
    for name in shells:
        monkeypatch.setenv(name, "from-the-shell")
    process = environment.for_process(component)
    values = {environment.variables[name] for name in SECRETS}
    given = {name for name, value in process.items() if value in values}
    users = {name for name in ("NATS_USER", "STORE_ACCESS_KEY", *shells) if name in process}
    assert given | users == secrets_of(component)


def test_the_manager_has_no_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    environment = Environment.create(tmp_path, ports=ANY_PORTS)
    for name in SECRETS:
        monkeypatch.setenv(name, environment.variables[name])
    secrets = {environment.variables[name] for name in SECRETS}
    assert secrets.isdisjoint(environment.for_manager().values())


def test_tokens_of_the_shell_are_for_upload_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = Environment.create(tmp_path, ports=ANY_PORTS)
    for name in ("API_TOKENS", "SHARE_SECRETS"):
        monkeypatch.setenv(name, "a-token")
        assert environment.for_process("upload")[name] == "a-token"
        assert name not in environment.for_process("separate")


def test_an_unknown_component_is_one_clear_line(tmp_path: Path) -> None:
    environment = Environment.create(tmp_path, ports=ANY_PORTS)
    with pytest.raises(SystemExit, match="uplaod is no component; there are nats, minio, "):
        environment.for_component("uplaod")


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
