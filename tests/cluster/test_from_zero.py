"""From no pod at all to stems and a webhook, whichever way the song comes; and back."""

import base64
import subprocess

import urllib3

from local.binaries import MC
from testing import installation
from testing.cluster_service import STORE, Service
from testing.kube import pods
from testing.songs import mp3
from testing.waiting import wait_until


def test_a_song_dropped_with_mc_at_zero_pods_comes_back_and_the_pods_go(whole: Service, tmp_path):
    assert pods("separate") == []
    (tmp_path / "song.mp3").write_bytes(mp3(20.0))
    subprocess.run(
        [MC.binary, "-C", tmp_path / "mc", "cp", "-q", tmp_path / "song.mp3", "it/songs/by mc.mp3"],
        env={"MC_HOST_it": f"http://root:local-root@{STORE}", "HOME": str(tmp_path)},
        check=True,
        capture_output=True,
    )
    manifest = whole.done("by mc.mp3")
    assert manifest["model"]["name"] == installation.MODEL
    event = whole.told_of(manifest)
    assert event["data"]["song"]["key"] == "by mc.mp3"
    installation.at_zero()
    installation.at_zero("notify")


def test_the_web_forms_presigned_post(whole: Service):
    leave = whole.api("POST", "/apiv1/uploads", {"filename": "form.mp3", "type": "audio/mpeg"})
    assert leave["url"] == f"http://{STORE}/songs"
    fields = [*leave["fields"].items(), ("file", ("form.mp3", mp3(8.0), "audio/mpeg"))]
    answer = urllib3.request("POST", leave["url"], fields=fields)
    assert answer.status == 204, answer.data
    manifest = whole.done(leave["fields"]["key"])
    assert manifest["job"] == whole.api("GET", leave["job"])["id"]
    whole.told_of(manifest)


def test_the_rest_api(whole: Service):
    song = mp3(9.0)
    said = whole.api("POST", "/apiv1/separate", {"mp3": base64.b64encode(song).decode()})
    whole.done(f"{said['hash']}.mp3")
    job = wait_until(
        lambda: (j := whole.job(f"{said['hash']}.mp3")) and j["state"] == "done" and j,
        what="its job is done",
    )
    stem = urllib3.request("GET", job["stems"][0]["download"])
    assert stem.status == 200
    assert len(stem.data) > 100_000
