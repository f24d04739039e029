import json
from hashlib import sha256
from pathlib import Path

import pytest

from functions.upload.assets import STATIC, Assets, current_assets, read_assets


def read(folder: Path, **files: str) -> Assets:
    """The assets of a folder with these files; `a__b` is the file b.js in the folder a."""
    for name, text in files.items():
        path = folder / f"{name.replace('__', '/')}.js"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    found = sorted(path for path in folder.rglob("*") if path.is_file())
    return read_assets(folder, tuple((path, path.stat().st_mtime_ns, 0) for path in found))


def test_every_file_below_static_is_found() -> None:
    files = {path.relative_to(STATIC).as_posix() for path in STATIC.rglob("*") if path.is_file()}
    assert set(current_assets().files) == files
    assert {"page.js", "favicon.ico"} <= files


def test_the_version_changes_with_any_file(tmp_path: Path) -> None:
    versions = {
        read(tmp_path, a="1", sub__b="1").version,
        read(tmp_path, sub__b="2").version,
        read(tmp_path, c="").version,
    }
    assert len(versions) == 3


def test_text_is_compressed_and_a_file_that_would_not_shrink_is_not(tmp_path: Path) -> None:
    files = read(tmp_path, long="let a = 1;\n" * 100, short="1").files
    assert len(files["long.js"].gzipped or b"") < 100
    assert files["short.js"].gzipped is None
    assert files["long.js"].content_type == "text/javascript"


def test_modules_are_found_in_the_order_of_their_imports(tmp_path: Path) -> None:
    assets = read(
        tmp_path,
        page='import { a } from "./a.js";\nimport {\n  b,\n} from "./sub/b.js";\nimport "./c.js";',
        a='export { c } from "./c.js";\nexport const text = "from \\"./no.js\\"";',
        sub__b='import x from "../d.js";',
        c="",
        d="",
    )
    assert assets.imports_of("page.js") == ["a.js", "sub/b.js", "c.js", "d.js"]


def test_modules_that_import_each_other_are_found_once(tmp_path: Path) -> None:
    assets = read(tmp_path, a='import "./b.js";', b='import "./a.js";')
    assert assets.imports_of("a.js") == ["b.js"]


@pytest.mark.parametrize(
    "line",
    [
        'const later = import("./b.js");',
        'new Worker(new URL("./b.js", import.meta.url))',
        '// import { x } from "./b.js";',
        'import library from "library";',
    ],
)
def test_what_is_not_loaded_with_the_page_is_no_import(tmp_path: Path, line: str) -> None:
    assert read(tmp_path, a=line, b="").imports_of("a.js") == []


def published(path: Path, changes: list[dict[str, str]]) -> bytes:
    """The file without our changes of it."""
    data = path.read_bytes()
    for change in changes:
        if change["file"] == path.name:
            assert data.count(change["to"].encode()) == 1
            data = data.replace(change["to"].encode(), change["from"].encode())
    return data


def test_files_of_others_are_those_that_were_published_with_the_changes_that_are_listed() -> None:
    folder = STATIC / "vendor"
    vendored = json.loads((folder / "vendored.json").read_text())
    assert {path.name for path in folder.iterdir() if path.is_dir()} == {
        package["name"] for package in vendored
    }
    for package in vendored:
        files = folder / package["name"]
        hashes = {
            path.name: sha256(published(path, package["changes"])).hexdigest()
            for path in files.iterdir()
            if path.name != "LICENSE.txt"
        }
        assert hashes == package["sha256"]
        described = json.loads((files / "package.json").read_text())
        assert {key: described[key] for key in ("name", "version", "license")} == {
            key: package[key] for key in ("name", "version", "license")
        }
        assert f"{package['license']} License" in (files / "LICENSE.txt").read_text()


def test_no_file_of_others_is_loaded_with_the_page() -> None:
    assert [name for name in current_assets().imports_of("page.js") if "vendor" in name] == []
