"""What arrives is checked, and what was interrupted is continued."""

from hashlib import sha256
from pathlib import Path

import pytest

from functions.separate.engine.hub import CannotFetch, fetch_pickles
from functions.separate.engine.released_models import PICKLES
from testing.hub_server import Hub
from testing.waiting import wait_until
from tests.integration.separate.engine.fetching import (
    FIRST,
    NETWORKS,
    content,
    fetch,
    start_fetch,
    without_readme,
)


def test_two_processes_download_once(hub: Hub, folder: Path, files: dict[str, bytes]) -> None:
    processes = [start_fetch(hub, "htdemucs_ft", folder) for _ in range(2)]
    for process in processes:
        process.communicate(timeout=120)
    assert [process.returncode for process in processes] == [0, 0]
    assert len(hub.downloads()) == len(NETWORKS)
    assert content(folder) == without_readme(files)


def test_a_download_that_is_cut_off_goes_on(
    hub: Hub, folder: Path, files: dict[str, bytes]
) -> None:
    hub.cut[FIRST] = [1_500_000, 0]
    assert fetch(hub, "htdemucs_ft", folder) == "1.0"
    ranges = [requested for name, requested in hub.downloads() if name == FIRST]
    assert ranges == ["", "bytes=1500000-", "bytes=1500000-"]
    assert content(folder) == without_readme(files)


def test_a_server_without_ranges_sends_all_of_it_again(
    hub: Hub, folder: Path, files: dict[str, bytes]
) -> None:
    hub.ranges = False
    hub.cut[FIRST] = [1_500_000]
    assert fetch(hub, "htdemucs_ft", folder) == "1.0"
    assert content(folder) == without_readme(files)


def test_a_process_continues_what_a_killed_one_left(
    hub: Hub, folder: Path, files: dict[str, bytes]
) -> None:
    hub.cut[FIRST] = [1_500_000, *[0] * 99]
    process = start_fetch(hub, "htdemucs_ft", folder)
    wait_until(lambda: len(hub.downloads()) > 1, 60, "the download goes on after it was cut")
    process.kill()
    process.communicate()
    assert not folder.exists()
    hub.cut.clear()
    hub.requests.clear()
    assert fetch(hub, "htdemucs_ft", folder) == "1.0"
    assert hub.downloads()[0] == (FIRST, "bytes=1500000-")
    assert content(folder) == without_readme(files)


def test_a_download_that_ends_for_good_says_that_it_can_be_continued(
    hub: Hub, folder: Path
) -> None:
    hub.cut[FIRST] = [1_500_000, *[0] * 99]
    printed = fetch(hub, "htdemucs_ft", folder)
    assert printed.startswith(f"HubUnreachable the download of {FIRST} was cut off (")
    assert printed.endswith("; the next attempt continues it")
    assert not folder.exists()


def test_what_was_left_of_an_older_commit_is_not_continued(
    hub: Hub, folder: Path, files: dict[str, bytes]
) -> None:
    hub.cut[FIRST] = [1_500_000, *[0] * 99]
    fetch(hub, "htdemucs_ft", folder)
    newer = files | {FIRST: files[FIRST][::-1]}
    hub.add("adefossez/HTDemucs-ft", newer)
    hub.cut.clear()
    assert fetch(hub, "htdemucs_ft", folder) == "1.0"
    assert content(folder) == without_readme(newer)


def test_what_was_left_damaged_is_downloaded_anew(
    hub: Hub, folder: Path, files: dict[str, bytes]
) -> None:
    hub.cut[FIRST] = [1_500_000, *[0] * 99]
    fetch(hub, "htdemucs_ft", folder)
    [partial] = folder.parent.glob(f".fetching/htdemucs_ft/{FIRST}.*")
    partial.write_bytes(bytes(1_500_000))
    hub.cut.clear()
    assert fetch(hub, "htdemucs_ft", folder) == "1.0"
    assert content(folder) == without_readme(files)


@pytest.mark.parametrize("file", [FIRST, "htdemucs_ft.yaml"])
def test_a_file_with_another_checksum_is_not_used(
    hub: Hub, folder: Path, files: dict[str, bytes], file: str
) -> None:
    hub.sent[file] = files[file][:-1] + b"!"
    printed = fetch(hub, "htdemucs_ft", folder)
    assert printed.startswith(f"CannotFetch {file} arrived damaged from adefossez/HTDemucs-ft on ")
    assert not folder.exists()
    hub.sent.clear()
    assert fetch(hub, "htdemucs_ft", folder) == "1.0"


def test_a_folder_that_exists_gets_the_files(
    hub: Hub, folder: Path, files: dict[str, bytes]
) -> None:
    (folder / "compiled").mkdir(parents=True)
    (folder / "htdemucs_ft.yaml").write_text("an older list")
    assert fetch(hub, "htdemucs_ft", folder) == "1.0"
    (folder / "compiled").rmdir()
    assert content(folder) == without_readme(files)


@pytest.fixture
def older_server(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> Hub:
    """A server with the pickle of htdemucs, in the place of demucs' own."""
    monkeypatch.setenv("HF_HUB_ETAG_TIMEOUT", "60")  # other tests may take all cores
    pickle = b"a pickle"
    path = f"hybrid_transformer/955717e8-{sha256(pickle).hexdigest()[:8]}.th"
    hub.files[f"/demucs/{path}"] = pickle
    monkeypatch.setitem(PICKLES, "955717e8", path)
    module = "functions.separate.engine.remote_file"
    monkeypatch.setattr(f"{module}.OLDER_SERVER", f"{hub.url}/demucs")
    return hub


def test_pickles_of_the_older_server_get_the_list_of_their_model(
    older_server: Hub, tmp_path: Path
) -> None:
    fetch_pickles("htdemucs", tmp_path / "htdemucs")
    arrived = content(tmp_path / "htdemucs")
    assert arrived == {
        "htdemucs.yaml": b'{"models": ["955717e8"]}',
        Path(PICKLES["955717e8"]).name: b"a pickle",
    }


def test_a_pickle_with_another_checksum_is_not_used(older_server: Hub, tmp_path: Path) -> None:
    [path] = older_server.files
    older_server.sent[path] = b"b pickle"
    with pytest.raises(CannotFetch, match=r"955717e8-\w+\.th arrived damaged"):
        fetch_pickles("htdemucs", tmp_path / "htdemucs")
    assert not (tmp_path / "htdemucs").exists()


def test_a_pickle_that_the_older_server_lacks_is_named(older_server: Hub, tmp_path: Path) -> None:
    older_server.files.clear()
    with pytest.raises(CannotFetch, match="answers with status 404"):
        fetch_pickles("htdemucs", tmp_path / "htdemucs")
