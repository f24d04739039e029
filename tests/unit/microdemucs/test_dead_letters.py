from microdemucs.dead_letters import DeadLetter


def test_a_stored_message_is_read_with_its_reason() -> None:
    headers = {
        "Dead-Reason": "answer 422",
        "Dead-Subject": "minio.songs",
        "Dead-Tries": "3",
        "Dead-Time": "2026-01-01T00:00:00.000Z",
    }
    assert DeadLetter.of(7, "dead.songs.j1", headers, b"{}") == DeadLetter(
        number=7,
        kind="songs",
        about="j1",
        reason="answer 422",
        subject="minio.songs",
        tries=3,
        time="2026-01-01T00:00:00.000Z",
        body=b"{}",
    )


def test_a_message_without_headers_is_still_read() -> None:
    letter = DeadLetter.of(1, "dead.results.a.b", {}, b"")
    assert (letter.kind, letter.about, letter.tries, letter.reason) == ("results", "a.b", 0, "")


def test_a_message_that_nobody_here_wrote_is_still_read() -> None:
    letter = DeadLetter.of(1, "dead.odd", {"Dead-Tries": "many"}, b"")
    assert (letter.kind, letter.about, letter.tries) == ("odd", "", 0)
