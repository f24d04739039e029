"""From zero pods to stems and a webhook, for each way to send a song; and back to zero."""

import base64
import subprocess
from pathlib import Path

import urllib3

from local.binaries import MC
from testing.cluster import installation
from testing.cluster.kubectl import pods
from testing.cluster.service import STORE, Service
from testing.songs import mp3
from testing.waiting import wait_until


def test_a_song_put_with_mc_is_separated_and_the_pods_go_away(
    idle_service: Service, tmp_path: Path
) -> None:
    assert pods("separate") == []
    (tmp_path / "song.mp3").write_bytes(mp3(20.0))
    subprocess.run(
        [MC.binary, "-C", tmp_path / "mc", "cp", "-q", tmp_path / "song.mp3", "it/songs/by mc.mp3"],
        env={"MC_HOST_it": f"http://root:local-root@{STORE}", "HOME": str(tmp_path)},
        check=True,
        capture_output=True,
    )
    manifest = idle_service.wait_for_manifest("by mc.mp3")
    assert manifest["model"]["name"] == installation.MODEL
    event = idle_service.wait_for_webhook(manifest)
    assert event["data"]["song"]["key"] == "by mc.mp3"
    installation.wait_until_zero()
    installation.wait_until_zero("notify")


def test_a_presigned_form(idle_service: Service) -> None:
    upload = idle_service.api(
        "POST", "/apiv1/uploads", {"filename": "form.mp3", "type": "audio/mpeg"}
    )
    assert upload["url"] == f"http://{STORE}/songs"
    fields = [*upload["fields"].items(), ("file", ("form.mp3", mp3(8.0), "audio/mpeg"))]
    response = urllib3.request("POST", upload["url"], fields=fields)
    assert response.status == 204, response.data
    manifest = idle_service.wait_for_manifest(upload["fields"]["key"])
    assert manifest["job"] == idle_service.api("GET", upload["job"])["id"]
    idle_service.wait_for_webhook(manifest)


def test_the_rest_api(idle_service: Service) -> None:
    song = mp3(9.0)
    queued = idle_service.api("POST", "/apiv1/separate", {"mp3": base64.b64encode(song).decode()})
    idle_service.wait_for_manifest(f"{queued['hash']}.mp3")
    job = wait_until(
        lambda: (j := idle_service.job(f"{queued['hash']}.mp3")) and j["state"] == "done" and j,
        what="its job is done",
    )
    stem = urllib3.request("GET", job["stems"][0]["download"])
    assert stem.status == 200
    assert len(stem.data) > 100_000
