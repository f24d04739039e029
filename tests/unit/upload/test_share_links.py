import pytest
from itsdangerous import URLSafeSerializer

from functions.upload.share_links import TOKEN_PREFIX, BadShareToken, Grant, ShareLinks

OLD, NEW = "old-secret-0123456789", "new-secret-0123456789"
GRANT = Grant("a" * 32, 2_000_000_000)
BEFORE = GRANT.expires - 1.0


def test_a_token_grants_what_was_signed() -> None:
    token = ShareLinks([NEW]).sign(GRANT)
    assert token.startswith(TOKEN_PREFIX)
    assert ShareLinks([NEW]).read(token, BEFORE) == GRANT


def test_a_token_is_refused_from_its_last_second_on() -> None:
    links = ShareLinks([NEW])
    token = links.sign(GRANT)
    for time in (GRANT.expires, GRANT.expires + 1e6):
        with pytest.raises(BadShareToken, match="expired"):
            links.read(token, time)


def test_a_changed_character_anywhere_is_noticed() -> None:
    links = ShareLinks([NEW])
    token = links.sign(GRANT)
    payload, _, signature = token.partition(".")
    for position in range(len(TOKEN_PREFIX), len(token) - 1):  # the last one has spare bits
        changed = "A" if token[position] != "A" else "B"
        with pytest.raises(BadShareToken):
            links.read(token[:position] + changed + token[position + 1 :], BEFORE)
    for cut in (payload, signature, token[:-1], f"{payload}.", "", TOKEN_PREFIX):
        with pytest.raises(BadShareToken):
            links.read(cut, BEFORE)


def test_the_first_secret_signs_and_the_others_are_still_accepted() -> None:
    rotated = ShareLinks([NEW, OLD])
    assert rotated.read(ShareLinks([OLD]).sign(GRANT), BEFORE) == GRANT
    assert ShareLinks([NEW]).read(rotated.sign(GRANT), BEFORE) == GRANT
    with pytest.raises(BadShareToken):
        ShareLinks([NEW]).read(ShareLinks([OLD]).sign(GRANT), BEFORE)


@pytest.mark.parametrize("payload", [None, {}, [], ["a"], [1, 2], ["a", "b"], ["a", None]])
def test_another_payload_with_a_right_signature_is_refused(payload: object) -> None:
    links = ShareLinks([NEW])
    token = TOKEN_PREFIX + str(links._serializer.dumps(payload))
    with pytest.raises(BadShareToken):
        links.read(token, BEFORE)


def test_what_the_secret_signs_for_another_use_is_refused() -> None:
    other = URLSafeSerializer(NEW, salt="something else").dumps(GRANT)
    with pytest.raises(BadShareToken):
        ShareLinks([NEW]).read(f"{TOKEN_PREFIX}{other!s}", BEFORE)
