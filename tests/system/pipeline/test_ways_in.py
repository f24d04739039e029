"""However a song reaches the bucket, it gets stems, a manifest and a done job."""

import base64
import hashlib
import io
import subprocess
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import boto3
import numpy as np
import pytest
import soundfile
import urllib3
from boto3.s3.transfer import TransferConfig
from botocore.config import Config

from testing.songs import mp3, samples, song
from testing.stack import Stack
from testing.waiting import wait_until

STEMS = ["drums", "bass", "other", "vocals"]


def assert_stems(
    stack: Stack, key: str, manifest: dict[str, Any], seconds: float = 3.0, form: str = "mp3"
) -> None:
    """Assert four stems of the song's length that sum to about the song, and a done job."""
    assert [stem["name"] for stem in manifest["stems"]] == STEMS
    total = np.zeros(())
    for stem in manifest["stems"]:
        assert stem["key"] == f"{key}/{stem['name']}.{form}"
        sound, rate = soundfile.read(
            io.BytesIO(stack.store.get_object("stems", stem["key"]).read())
        )
        assert rate == 44100
        assert len(sound) / rate == pytest.approx(seconds, abs=0.1)
        total = total + sound
    assert 0.5 < np.sqrt(np.mean(total**2)) / np.sqrt(np.mean(samples(seconds) ** 2)) < 2
    job = stack.wait_for_job(key, "done")
    assert job["id"] == manifest["job"]
    assert job["progress"] == 1


def s3(stack: Stack) -> Any:
    """Return boto3's client of the store."""
    variables = stack.environment.variables
    return boto3.client(
        "s3",
        endpoint_url=stack.environment.store_url,
        aws_access_key_id=variables["MINIO_ROOT_USER"],
        aws_secret_access_key=variables["MINIO_ROOT_PASSWORD"],
        region_name="us-east-1",
        config=Config(signature_version="s3v4"),
    )


def test_mc(stack: Stack, tmp_path: Path) -> None:
    (tmp_path / "by mc.mp3").write_bytes(mp3())
    variables = stack.environment.variables
    address = stack.environment.store_url.replace(
        "//", f"//{variables['MINIO_ROOT_USER']}:{variables['MINIO_ROOT_PASSWORD']}@"
    )
    subprocess.run(
        [
            *(variables["MC"], "-C", tmp_path / "mc", "cp", "--quiet"),
            *("--attr", "format=flac;two-stems=vocals"),
            *(tmp_path / "by mc.mp3", "it/songs/by mc.mp3"),
        ],
        env={"MC_HOST_it": address, "HOME": str(tmp_path)},
        check=True,
        capture_output=True,
    )
    manifest = stack.wait_for_manifest("by mc.mp3")
    assert [s["key"] for s in manifest["stems"]] == [
        "by mc.mp3/vocals.flac",
        "by mc.mp3/no_vocals.flac",
    ]
    assert manifest["options"] == {"format": "flac", "two_stems": "vocals"}


def test_boto3_put(stack: Stack) -> None:
    s3(stack).put_object(Bucket="songs", Key="boto3/put.mp3", Body=mp3(3.01))
    assert_stems(stack, "boto3/put.mp3", stack.wait_for_manifest("boto3/put.mp3"))


def test_boto3_multipart(stack: Stack) -> None:
    body = song(3.0, form="WAV", subtype="FLOAT") + bytes(6 * 2**20)  # parts are of 5 MiB
    config = TransferConfig(multipart_threshold=5 * 2**20, multipart_chunksize=5 * 2**20)
    s3(stack).upload_fileobj(io.BytesIO(body), "songs", "multi part.wav", Config=config)
    manifest = stack.wait_for_manifest("multi part.wav")
    assert manifest["song"]["etag"].endswith("-2")
    assert_stems(stack, "multi part.wav", manifest)


def test_presigned_post(stack: Stack) -> None:
    request = {"filename": "a form's söng.mp3", "options": {"format": "wav", "bits": 32}}
    upload = stack.api("POST", "/apiv1/uploads", request)
    fields = upload["fields"] | {"file": ("a form's söng.mp3", mp3(3.02), "audio/mpeg")}
    response = urllib3.request("POST", upload["url"], fields=fields)
    assert response.status in (200, 204), response.data
    job = wait_until(lambda: done_job(stack, upload["job"]), 90, "the job is done")
    assert job["key"].endswith("/a form's söng.mp3")
    assert_stems(stack, job["key"], stack.wait_for_manifest(job["key"]), form="wav")


def done_job(stack: Stack, path: str) -> dict[str, Any] | None:
    try:
        job: dict[str, Any] = stack.api("GET", path)
    except urllib.error.HTTPError as error:
        if error.code == 404:  # the song has not arrived yet
            return None
        raise
    return job if job["state"] == "done" else None


def test_rest(stack: Stack) -> None:
    body = mp3(3.03)
    request = {"mp3": base64.b64encode(body).decode(), "options": {"format": "flac"}}
    response = stack.api("POST", "/apiv1/separate", request)
    assert response["hash"] == hashlib.sha256(body).hexdigest()
    key = f"{response['hash']}.mp3"
    assert_stems(stack, key, stack.wait_for_manifest(key), form="flac")
    with urllib.request.urlopen(
        f"{stack.environment.upload_url}/apiv1/track/{response['hash']}/base"
    ) as track:
        stem = stack.store.get_object("stems", f"{key}/bass.flac").read()
        assert track.read() == stem
    assert response["hash"] not in stack.api("GET", "/apiv1/queue")["queue"]


@pytest.mark.parametrize("is_form", [True, False], ids=["form", "raw"])
def test_rest_with_a_wav_as_a_form_or_as_it_is(stack: Stack, is_form: bool) -> None:
    seconds = 3.11 if is_form else 3.12
    body = song(seconds, form="WAV")
    content: dict[str, Any] = {"body": body, "headers": {"Content-Type": "audio/wav"}}
    if is_form:
        content = {"fields": {"file": ("a.wav", body, "audio/wav")}}
    url = f"{stack.environment.upload_url}/apiv1/separate?format=flac"
    response = urllib3.request("POST", url, **content)
    assert response.status == 200, response.data
    key = f"{hashlib.sha256(body).hexdigest()}.mp3"
    assert stack.store.stat_object("songs", key).content_type == "audio/wav"
    assert_stems(stack, key, stack.wait_for_manifest(key), seconds, form="flac")
    path = response.headers["Location"]
    assert stack.api("GET", path)["id"] == response.json()["job"]


@pytest.mark.parametrize(
    "key",
    [
        "with spaces in it.mp3",
        "a+b.mp3",
        "literal %2F and %.mp3",
        "日本語/Ünïcödé 🎵.mp3",
        "LOUD.MP3",
        "/".join(["long " * 39 + str(n) for n in range(5)]) + "/a long name.mp3",
        "quotes \" and ' & <tags>.mp3",
    ],
    ids=["spaces", "plus", "percent", "unicode", "upper case", "1000 bytes", "quotes"],
)
def test_any_key(stack: Stack, key: str) -> None:
    """S3 allows 1,024 bytes, of which /manifest.json takes 14."""
    stack.put_song(key, mp3(3.0), content_type="application/octet-stream")
    manifest = stack.wait_for_manifest(key)
    assert manifest["song"]["key"] == key
    assert_stems(stack, key, manifest)


@pytest.mark.parametrize("content_type", ["audio/mpeg", "application/octet-stream"])
def test_a_song_needs_no_suffix(stack: Stack, content_type: str) -> None:
    key = f"no suffix {content_type[0]}"
    stack.put_song(key, mp3(3.0), content_type=content_type)
    assert_stems(stack, key, stack.wait_for_manifest(key))


def test_an_object_that_is_not_audio_leaves_a_failure(stack: Stack) -> None:
    stack.put_song("folder/notes.xyz", b"no audio at all", "application/octet-stream")
    failure = stack.wait_for_failure("folder/notes.xyz")
    assert failure["type"] == "urn:micro-demucs:problem:not-audio"


def test_an_object_that_is_clearly_no_song_leaves_nothing(stack: Stack) -> None:
    stack.put_song("folder/.DS_Store", b"Bud1", "application/octet-stream")
    stack.put_song("after it.mp3", mp3(3.0))
    stack.wait_for_manifest("after it.mp3")
    assert stack.failure("folder/.DS_Store") is None
    assert not stack.logged("delivered", subject="folder/.DS_Store")
    assert stack.api("GET", "/apiv1/jobs?key=folder%2F.DS_Store")["jobs"] == []
