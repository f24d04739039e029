"""The files of the pages: /assets/<version>/… may be kept for ever, and is sent compressed.

The version is a digest of all files, so a page names one version of every file that it loads, and
modules may import each other by relative addresses. All files below static/ are found by
themselves, also those that are added while the function runs.
"""

import gzip
import mimetypes
import re
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from pathlib import Path, PurePosixPath
from posixpath import normpath

import flask

STATIC = Path(__file__).with_name("static")
PREFIX = "/assets/"

_FOR_EVER = "public, max-age=31536000, immutable"
_TYPES = {
    ".js": "text/javascript",
    ".mjs": "text/javascript",
    ".css": "text/css",
    ".svg": "image/svg+xml",
    ".wasm": "application/wasm",
    ".ico": "image/x-icon",
    ".txt": "text/plain",
}
"""The types that must not depend on the machine's own list."""
_COMPRESSED_ALREADY = (".png", ".jpg", ".webp", ".woff2", ".mp3", ".ico")
_LEAST_GAIN = 0.9
_VERSION = re.compile(r"([0-9a-f]{16})/(.+)", re.DOTALL)
_STATIC_IMPORT = re.compile(r"""^\s*(?:import|export)\s[^"'();]*["'](\.{1,2}/[^"']+)["']""", re.M)


@dataclass(frozen=True, slots=True)
class Asset:
    """A file's bytes and type. `gzipped` is None if compressing it does not help."""

    body: bytes
    content_type: str
    gzipped: bytes | None


@dataclass(frozen=True, slots=True)
class Assets:
    """All files by their names, such as player/worker.js, and their version."""

    version: str
    files: dict[str, Asset]

    def imports_of(self, name: str) -> list[str]:
        """Return the modules that a module imports, and those that they import, in their order.

        Imports that are made when they are needed (`import(…)`) and workers do not count.
        """
        found: dict[str, None] = {}
        pending = [name]
        while pending:
            module = pending.pop(0)
            if module in self.files and module not in found:
                found[module] = None
                text = self.files[module].body.decode()
                folder = PurePosixPath(module).parent
                pending += [normpath(folder / path) for path in _STATIC_IMPORT.findall(text)]
        return [module for module in found if module != name]


def current_assets() -> Assets:
    """Return the files of the folder `static`, as they are now."""
    paths = sorted(path for path in STATIC.rglob("*") if path.is_file() and path.name[0] != ".")
    stats = [path.stat() for path in paths]
    return read_assets(
        STATIC,
        tuple(
            (path, stat.st_mtime_ns, stat.st_size) for path, stat in zip(paths, stats, strict=True)
        ),
    )


@lru_cache(maxsize=2)
def read_assets(folder: Path, files: tuple[tuple[Path, int, int], ...]) -> Assets:
    """Read these files of a folder; each comes with its time and size, by which it is kept."""
    digest = sha256()
    assets = {}
    for path, _, _ in files:
        name, body = path.relative_to(folder).as_posix(), path.read_bytes()
        digest.update(f"{name} {len(body)} ".encode() + body)
        assets[name] = _asset(path, body)
    return Assets(digest.hexdigest()[:16], assets)


def get_asset(filename: str) -> flask.Response:
    """Return a file. With the present version in its path, it may be kept for ever."""
    assets = current_assets()
    versioned = _VERSION.fullmatch(filename)
    name = versioned[2] if versioned else filename
    if name not in assets.files:
        flask.abort(404)
    asset = assets.files[name]
    is_current = versioned is not None and versioned[1] == assets.version
    return _response(asset, _FOR_EVER if is_current else "no-cache")


def page_response(html: str) -> flask.Response:
    """Return a page that a browser checks each time; the files that it names have versions.

    The modules of its scripts are preloaded: otherwise the browser finds one after the other.
    """
    assets = current_assets()
    scripts = re.findall(rf'<script type="module" src="{PREFIX}([^"]+)"', html)
    modules = dict.fromkeys(name for script in scripts for name in assets.imports_of(script))
    preloads = "".join(f'<link rel="modulepreload" href="{PREFIX}{name}">\n' for name in modules)
    html = html.replace("</head>", f"{preloads}</head>", 1)
    html = html.replace(f'"{PREFIX}', f'"{PREFIX}{assets.version}/')
    return _response(_compress(html.encode(), "text/html"), "no-cache")


def _asset(path: Path, body: bytes) -> Asset:
    guessed, _ = mimetypes.guess_type(path.name)
    content_type = _TYPES.get(path.suffix) or guessed or "application/octet-stream"
    if path.suffix in _COMPRESSED_ALREADY:
        return Asset(body, content_type, None)
    return _compress(body, content_type)


def _compress(body: bytes, content_type: str) -> Asset:
    gzipped = gzip.compress(body, mtime=0)
    return Asset(body, content_type, gzipped if len(gzipped) < _LEAST_GAIN * len(body) else None)


def _response(asset: Asset, cache_control: str) -> flask.Response:
    request = flask.request
    is_gzipped = asset.gzipped is not None and request.accept_encodings["gzip"] > 0
    body = asset.gzipped if is_gzipped and asset.gzipped is not None else asset.body
    response = flask.Response(body, mimetype=asset.content_type)
    response.headers["Cache-Control"] = cache_control
    if asset.gzipped is not None:
        response.headers["Vary"] = "Accept-Encoding"
    if is_gzipped:
        response.headers["Content-Encoding"] = "gzip"
    response.set_etag(sha256(body).hexdigest()[:32])
    response.make_conditional(request)
    return response
