"""The environment variables of a stack on this machine: ports, secrets, folders."""

import base64
import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from local.binaries import MC, MINIO
from local.ports import free_port, is_free, reserve
from microdemucs.paths import ROOT
from microdemucs.plain_numbers import whole_number

FOLDER = Path(os.environ.get("MICRO_DEMUCS_STATE", ROOT / ".run"))
"""Where the stack of this clone keeps its data, secrets and logs."""

PORTS = {
    "UPLOAD_PORT": 8080,
    "SEPARATE_PORT": 8082,
    "NOTIFY_PORT": 8083,
    "STORE_PORT": 9000,
    "NATS_PORT": 4222,
}
_MAX_PORT = 65535
_BUS_PASSWORDS = tuple(
    f"NATS_{user}_PASSWORD"
    for user in (
        *("PROVISION", "MINIO", "BRIDGE", "INTAKE", "SWEEP", "EVENTS"),
        *("SEPARATE", "UPLOAD", "NOTIFY", "LOGS"),
    )
)
_STORE_SECRETS = tuple(
    f"STORE_{user}_SECRET" for user in ("EVENTS", "SEPARATE", "UPLOAD", "NOTIFY", "MODELS")
)
SECRETS = (
    *(*_BUS_PASSWORDS, *_STORE_SECRETS, "MINIO_ROOT_PASSWORD"),
    *("CALLBACK_SECRET", "EVENTS_SECRET"),
)
"""The names of all secrets of a stack."""
_SECRETS_OF_UPLOAD = ("API_TOKENS", "SHARE_SECRETS")
"""The secrets that the shell may set; without them the API needs no token on this machine."""
_CREDENTIALS = (
    *("NATS_USER", "NATS_PASSWORD", "STORE_ACCESS_KEY", "STORE_SECRET_KEY"),
    *_SECRETS_OF_UPLOAD,
)
_PASSED_ON = (
    "MODEL",
    "MODELS_DIR",
    "MODELS_CACHE",
    "ENGINE",
    "PRECISION",
    "MAX_SONG_SECONDS",
    "MAX_SONG_BYTES",
    "MP3_QUALITY",
    "RANGE_SECONDS",
    "SONG_CONCURRENCY",
    "SONGS_RETENTION_DAYS",
    "STEMS_RETENTION_DAYS",
    "JOBS_RETENTION_DAYS",
)


class _Access(NamedTuple):
    """A component's user on the bus, its user in the store, and what other secrets it needs."""

    bus: str = ""
    store: str = ""
    secrets: tuple[str, ...] = ()


_ACCESS = {
    "nats": _Access(secrets=_BUS_PASSWORDS),
    "minio": _Access(secrets=("MINIO_ROOT_PASSWORD",)),
    "provision": _Access("provision", "root", ("NATS_MINIO_PASSWORD", *_STORE_SECRETS)),
    "bridge": _Access("bridge", secrets=("EVENTS_SECRET",)),
    "intake": _Access("intake"),
    "sweep": _Access("sweep", "events"),
    "separate": _Access("separate", "separate", ("EVENTS_SECRET",)),
    "upload": _Access("upload", "upload"),
    "notify": _Access("notify", "notify", ("CALLBACK_SECRET", "EVENTS_SECRET")),
    # Commands that people run.
    "events": _Access("events"),
    "logs": _Access("logs"),
    "models": _Access(store="models"),
}


@dataclass(frozen=True, slots=True)
class Environment:
    """A stack's folder, and all its environment variables, secrets among them.

    No process gets all of them: see `for_component`.
    """

    folder: Path
    variables: dict[str, str]

    @staticmethod
    def create(folder: Path = FOLDER, *, ports: dict[str, int] | None = None) -> "Environment":
        """Return the environment of a stack in `folder`; the first call draws its secrets.

        Other users of the machine cannot read the folder. A port that is in use is replaced by a
        free one, and a printed line says so. Port 0 means any free port.
        """
        _make_private(folder)
        chosen = {name: _port(name, default) for name, default in (ports or PORTS).items()}
        variables = _secrets(folder / "secrets") | _variables(folder, chosen)
        overrides = {name: os.environ[name] for name in _PASSED_ON if os.environ.get(name)}
        return Environment(folder, variables | overrides)

    @staticmethod
    def load(folder: Path = FOLDER) -> "Environment":
        """Return the environment of the stack that was started in `folder`.

        Raises SystemExit if none was started there.
        """
        try:
            lines = (folder / "env").read_text().splitlines()
        except OSError:
            raise SystemExit("no stack has been started here; start one with `make run`") from None
        return Environment(folder, dict(line.split("=", 1) for line in lines))

    def save(self) -> Path:
        """Write the variables to a file that only the owner can read, for `load` and people."""
        file = self.folder / "env"
        file.touch(mode=0o600)
        file.write_text("".join(f"{name}={value}\n" for name, value in self.variables.items()))
        return file

    @property
    def upload_url(self) -> str:
        """The URL of the web form and the REST API."""
        return f"http://127.0.0.1:{self.variables['UPLOAD_PORT']}"

    @property
    def store_url(self) -> str:
        """The URL of the object store."""
        return self.variables["STORE_URL"]

    def for_component(self, component: str) -> dict[str, str]:
        """Return the variables of `component`: those without a secret, and its own credentials.

        Raises SystemExit if there is no such component.
        """
        if component not in _ACCESS:
            raise SystemExit(f"{component} is no component; there are {', '.join(_ACCESS)}")
        access = _ACCESS[component]
        variables = self.without_secrets
        if access.bus:
            variables["NATS_USER"] = access.bus
            variables["NATS_PASSWORD"] = self.variables[f"NATS_{access.bus.upper()}_PASSWORD"]
        if access.store:
            is_root = access.store == "root"
            secret = "MINIO_ROOT_PASSWORD" if is_root else f"STORE_{access.store.upper()}_SECRET"
            variables["STORE_ACCESS_KEY"] = access.store
            variables["STORE_SECRET_KEY"] = self.variables[secret]
        if component == "upload":
            given = {name for name in _SECRETS_OF_UPLOAD if name in os.environ}
            variables |= {name: os.environ[name] for name in given}
        return variables | {name: self.variables[name] for name in access.secrets}

    def for_process(self, component: str) -> dict[str, str]:
        """Return the whole environment of a process that runs as `component`.

        It inherits this process's environment, but for the variables of the stack.
        """
        return _inherited() | self.for_component(component)

    def for_manager(self) -> dict[str, str]:
        """Return the whole environment of the process that starts the components: no secrets."""
        return _inherited() | self.without_secrets

    @property
    def without_secrets(self) -> dict[str, str]:
        """The variables that every component may know."""
        return {name: value for name, value in self.variables.items() if name not in SECRETS}


def _inherited() -> dict[str, str]:
    """Return this process's environment without credentials, whosever they are."""
    credentials = {*SECRETS, *_CREDENTIALS}
    return {name: value for name, value in os.environ.items() if name not in credentials}


def _variables(folder: Path, ports: dict[str, int]) -> dict[str, str]:
    upload = f"http://127.0.0.1:{ports['UPLOAD_PORT']}"
    return {name: str(port) for name, port in ports.items()} | {
        "PATH": f"{ROOT / '.venv/bin'}:{os.environ['PATH']}",
        "PYTHONPATH": f"{ROOT}:{ROOT / 'minio-events'}",
        "PYTHONUNBUFFERED": "1",
        "HOST": "127.0.0.1",
        "MINIO": str(MINIO.binary),
        "MC": str(MC.binary),
        "MINIO_ROOT_USER": "root",
        "MINIO_BROWSER": "off",
        # The browser sends songs straight to the store, from the form's address.
        "MINIO_API_CORS_ALLOW_ORIGIN": f"{upload},{upload.replace('127.0.0.1', 'localhost')}",
        "STORE_DATA": str(folder / "store"),
        "STORE_QUEUE_DIR": str(folder / "queue"),
        "STORE_URL": f"http://127.0.0.1:{ports['STORE_PORT']}",
        "NATS_HOST": "127.0.0.1",
        "NATS_STORE": str(folder / "bus"),
        "NATS_URL": f"nats://127.0.0.1:{ports['NATS_PORT']}",
        "SEPARATE_URL": f"http://127.0.0.1:{ports['SEPARATE_PORT']}",
        "NOTIFY_URL": f"http://127.0.0.1:{ports['NOTIFY_PORT']}",
        "PUBLIC_URL": upload,
        "WEBHOOK_ALLOW_PRIVATE": "yes",  # for receivers on this machine
        "GRACE_SECONDS": "3",  # honcho kills processes that have not stopped after 5 s
    }


def _port(name: str, default: int) -> int:
    text = os.environ.get(name) or str(default)
    requested = whole_number(text)
    if requested is None or requested > _MAX_PORT:
        raise SystemExit(f"{name} is {text!r}: must be a whole number from 0 to {_MAX_PORT}")
    if requested and is_free(requested) and reserve(requested):
        return requested
    port = free_port()
    if requested:
        print(f"port {requested} is in use: {name} is {port} this time", flush=True)
    return port


def _make_private(folder: Path) -> None:
    """Create the folder for its owner alone, or close one that an older version left open."""
    is_new = not folder.exists()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if is_new or not (folder / "secrets").exists() or not folder.stat().st_mode & 0o077:
        return  # without secrets it may be a folder that is used for something else, too
    folder.chmod(0o700)
    for path in folder.rglob("*"):
        if not path.is_symlink():
            path.chmod(path.stat().st_mode & 0o700)


def _secrets(file: Path) -> dict[str, str]:
    """Return the secrets in `file`; those that are missing are drawn and written there."""
    known = {}
    if file.exists():
        known = dict(line.split("=", 1) for line in file.read_text().splitlines())
    drawn = {name: _draw(name) for name in SECRETS if name not in known}
    if drawn:
        file.touch(mode=0o600)
        with file.open("a") as lines:
            lines.writelines(f"{name}={value}\n" for name, value in drawn.items())
    return known | drawn


def _draw(name: str) -> str:
    if name == "CALLBACK_SECRET":
        return "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()
    return "s" + secrets.token_hex(16)  # the letter keeps NATS from reading it as a number
