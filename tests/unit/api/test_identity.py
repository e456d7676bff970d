"""Identity tokens: what is minted, and everything that is not believed."""

import base64
import hashlib
import hmac
import json
import unicodedata
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr, ValidationError

from relay.api.identity_tokens import IdentityKeys, mint, verify
from relay.errors import IncorrectToken
from relay.event.stand_ins import is_stand_in

NOW = datetime(2026, 11, 20, 9, 15, 42, 318000, tzinfo=UTC)
SECONDS = 1795166142
"""NOW in whole UNIX seconds."""

KEY = "prv_example_0123456789abcdefghij"
PREVIOUS = "prv_previous_0123456789abcdefghij"
KEYS = IdentityKeys(keys=(SecretStr(KEY),))

GOOD: dict[str, Any] = {"kind": "USER", "uid": "cus_778", "exp": SECONDS + 60}
EXPIRED = "Incorrect Identity Token: Expired"
SIGNATURE = "Incorrect Identity Token: Invalid signature"
FORMAT = "Incorrect Identity Token: Improper format"
NO_UID = "Incorrect Identity Token: Missing identity 'uid'"
KIND = "Incorrect Identity Token: Wrong kind"


def _part(document: Any) -> str:
    raw = document if isinstance(document, bytes) else json.dumps(document, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _token(claims: Any, header: Any = None, key: str = KEY, digest: str = "sha256") -> str:
    """A token made without PyJWT, so that it can be as wrong as a test wants."""
    signed = f"{_part(header or {'alg': 'HS256', 'typ': 'JWT'})}.{_part(claims)}"
    return f"{signed}.{_part(hmac.digest(key.encode(), signed.encode(), digest))}"


def _claims(**changes: Any) -> dict[str, Any]:
    return {**GOOD, **changes}


def _without(name: str) -> dict[str, Any]:
    return {claim: value for claim, value in GOOD.items() if claim != name}


def _refusal(token: str, keys: IdentityKeys = KEYS, now: datetime = NOW) -> str:
    with pytest.raises(IncorrectToken) as incorrect:
        verify(token, keys, now)
    return str(incorrect.value)


def test_a_minted_token_is_the_one_that_the_standard_says() -> None:
    minted = mint(KEYS, "cus_778", 3600, NOW)
    signed = (
        b"eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9"  # {"alg":"HS256","typ":"JWT"}
        b".eyJraW5kIjoiVVNFUiIsInVpZCI6ImN1c183NzgiLCJleHAiOjE3OTUxNjk3NDJ9"  # kind USER, uid cus_778, exp 1795169742
    )
    digest = hmac.new(KEY.encode(), signed, hashlib.sha256).digest()
    assert minted.token == f"{signed.decode()}.{base64.urlsafe_b64encode(digest).decode().rstrip('=')}"
    assert (minted.uid, minted.kind) == ("cus_778", "USER")
    assert minted.expires_at == datetime(2026, 11, 20, 10, 15, 42, tzinfo=UTC)


def test_the_claims_are_kind_uid_and_exp_alone() -> None:
    _, payload, _ = mint(KEYS, "123", 604800, NOW).token.split(".")
    claims = json.loads(base64.urlsafe_b64decode(payload + "=="))
    assert claims == {"kind": "USER", "uid": "123", "exp": SECONDS + 604800}


def test_a_minted_token_says_neither_itself_nor_the_customer_when_printed() -> None:
    minted = mint(KEYS, "cus_778", 3600, NOW)
    assert minted.token not in repr(minted)
    assert "cus_778" not in repr(minted)


@pytest.mark.parametrize("uid", ["", " ", " 123", "null", "undefined", "a\n", "x" * 129])
def test_no_token_is_minted_for_nobody(uid: str) -> None:
    with pytest.raises(ValidationError):
        mint(KEYS, uid, 3600, NOW)


@pytest.mark.parametrize("expires_in", [0, -1, 604801])
def test_no_token_is_minted_for_no_time_or_for_more_than_seven_days(expires_in: int) -> None:
    with pytest.raises(ValueError, match="1 to 604800 seconds"):
        mint(KEYS, "123", expires_in, NOW)


def test_the_current_key_signs() -> None:
    keys = IdentityKeys(keys=(SecretStr(KEY), SecretStr(PREVIOUS)))
    token = mint(keys, "123", 60, NOW).token
    assert verify(token, KEYS, NOW) == "123"
    assert _refusal(token, IdentityKeys(keys=(SecretStr(PREVIOUS),))) == SIGNATURE


def test_the_previous_key_is_accepted_while_one_replaces_the_other() -> None:
    keys = IdentityKeys(keys=(SecretStr(KEY), SecretStr(PREVIOUS)))
    assert verify(_token(GOOD, key=PREVIOUS), keys, NOW) == "cus_778"
    assert _refusal(_token(GOOD, key=PREVIOUS)) == SIGNATURE


def test_a_token_made_elsewhere_is_believed() -> None:
    assert verify(_token(GOOD), KEYS, NOW) == "cus_778"
    assert verify(jwt.encode(GOOD, KEY, "HS256"), KEYS, NOW) == "cus_778"


def test_the_key_is_its_utf8_bytes_and_not_what_base64_makes_of_them() -> None:
    text = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDEé"
    assert verify(_token(GOOD, key=text), IdentityKeys(keys=(SecretStr(text),)), NOW) == "cus_778"


@pytest.mark.parametrize(
    "extra",
    [
        {"iat": SECONDS + 10_000},
        {"iat": "yesterday"},
        {"nbf": SECONDS + 60},
        {"nbf": 0.5, "iat": SECONDS + 10_000},
        {"aud": "dashx", "iss": ["shop"], "sub": 7, "jti": 1},
        {"name": "Ana"},
    ],
    ids=str,
)
def test_further_claims_are_passed_over(extra: dict[str, Any]) -> None:
    assert verify(_token(_claims(**extra)), KEYS, NOW) == "cus_778"


def test_a_token_ends_when_exp_says_and_not_a_moment_later() -> None:
    token = _token(_claims(exp=SECONDS + 60))
    ends = NOW.replace(microsecond=0) + timedelta(seconds=60)
    assert verify(token, KEYS, ends - timedelta(microseconds=1)) == "cus_778"
    assert _refusal(token, now=ends) == EXPIRED
    assert _refusal(token, now=ends + timedelta(days=900)) == EXPIRED


CLAIMS: dict[str, tuple[Any, str]] = {
    "expired": (_claims(exp=SECONDS - 1), EXPIRED),
    "exp at the beginning of time": (_claims(exp=0), EXPIRED),
    "exp as text": (_claims(exp=str(SECONDS + 60)), FORMAT),
    "exp in milliseconds": (_claims(exp=1000 * SECONDS), FORMAT),
    "exp just beyond the largest": (_claims(exp=1e11 + 1), FORMAT),
    "nbf as a text": (_claims(nbf="0"), FORMAT),
    "uid a stand-in": (_claims(uid="guest"), NO_UID),
    "exp as a boolean": (_claims(exp=True), FORMAT),
    "exp as null": (_claims(exp=None), FORMAT),
    "exp missing": (_without("exp"), FORMAT),
    "kind of a visitor": (_claims(kind="VISITOR"), KIND),
    "kind in lower case": (_claims(kind="user"), KIND),
    "kind missing": (_without("kind"), KIND),
    "uid missing": (_without("uid"), NO_UID),
    "uid empty": (_claims(uid=""), NO_UID),
    "uid blank": (_claims(uid="  "), NO_UID),
    "uid a number": (_claims(uid=778), NO_UID),
    "uid a list": (_claims(uid=["cus_778"]), NO_UID),
    "uid undefined": (_claims(uid="undefined"), NO_UID),
    "uid half a character": (b'{"kind":"USER","uid":"\\ud800","exp":1795166202}', FORMAT),
    "claims a list": ([GOOD], FORMAT),
    "claims a text": ("USER", FORMAT),
    "claims not JSON": (b"kind=USER", FORMAT),
    "claims not UTF-8": (b'{"uid":"\xff"}', FORMAT),
    "claims nested without end": (b"[" * 2000, FORMAT),
}


@pytest.mark.parametrize("case", CLAIMS)
def test_claims_that_prove_nothing_are_refused(case: str) -> None:
    claims, refusal = CLAIMS[case]
    assert _refusal(_token(claims)) == refusal


@pytest.mark.parametrize("case", CLAIMS)
def test_no_claim_is_read_before_the_signature_is_right(case: str) -> None:
    assert _refusal(_token(CLAIMS[case][0], key="prv_foreign_0123456789abcdefghij")) == SIGNATURE


@pytest.mark.parametrize("exp", [SECONDS + 60.5, 1e11])
def test_an_exp_may_have_a_fraction_and_may_be_far_beyond_the_calendar(exp: float) -> None:
    assert verify(_token(_claims(exp=exp)), KEYS, NOW) == "cus_778"


def test_a_token_ends_within_the_second_that_its_exp_says() -> None:
    token, ends = _token(_claims(exp=SECONDS + 60.5)), NOW.replace(microsecond=0) + timedelta(seconds=60.5)
    assert verify(token, KEYS, ends - timedelta(microseconds=1)) == "cus_778"
    assert _refusal(token, now=ends) == EXPIRED


def test_a_token_counts_from_its_nbf_on_and_a_minute_earlier_for_clocks_that_differ() -> None:
    token = _token(_claims(nbf=SECONDS + 1000, exp=SECONDS + 5000))
    begins = NOW.replace(microsecond=0) + timedelta(seconds=1000)
    assert verify(token, KEYS, begins - timedelta(seconds=60)) == "cus_778"
    too_soon = begins - timedelta(seconds=60, microseconds=1)
    assert _refusal(token, now=too_soon) == "Incorrect Identity Token: Not valid yet"


UNSIGNED = f"{_part({'alg': 'none', 'typ': 'JWT'})}.{_part(GOOD)}."
HEADERS: dict[str, str] = {
    "alg none without a signature": UNSIGNED,
    "alg none with the right signature": _token(GOOD, {"alg": "none"}),
    "alg None": _token(GOOD, {"alg": "None"}),
    "alg in lower case": _token(GOOD, {"alg": "hs256"}),
    "alg missing": _token(GOOD, {"typ": "JWT"}),
    "alg null": _token(GOOD, {"alg": None}),
    "alg a list": _token(GOOD, {"alg": ["HS256"]}),
    "alg an object": _token(GOOD, {"alg": {"HS256": 1}}),
    "HS384": _token(GOOD, {"alg": "HS384"}, digest="sha384"),
    "HS512": _token(GOOD, {"alg": "HS512"}, digest="sha512"),
    "RS256": _token(GOOD, {"alg": "RS256"}),
    "header a list": _token(GOOD, ["HS256"]),
    "header not JSON": _token(GOOD, b"HS256"),
    "a critical extension that nobody knows": _token(GOOD, {"alg": "HS256", "crit": ["x"], "x": 1}),
    "a payload said to be elsewhere": _token(GOOD, {"alg": "HS256", "crit": ["b64"], "b64": False}),
}


@pytest.mark.parametrize("case", HEADERS)
def test_every_other_algorithm_and_header_is_refused(case: str) -> None:
    assert _refusal(HEADERS[case]) == FORMAT


def _forms(token: str) -> dict[str, str]:
    header, payload, signature = token.split(".")
    return {
        "empty": "",
        "one part": header,
        "two parts": f"{header}.{payload}",
        "no signature": f"{header}.{payload}.",
        "four parts": f"{token}.{signature}",
        "a leading stop": f".{token}",
        "signature padded": f"{token}=",
        "claims padded": f"{header}.{payload}=.{signature}",
        "with Bearer": f"Bearer {token}",
        "a blank before": f" {token}",
        "a newline after": f"{token}\n",
        "signature cut": token[:-1],
        "the alphabet of plain base64": f"{header}.{payload}.{'+/' * 21}+",
        "letters of another alphabet": f"{header}.{payload}.{'é' * 43}",
        "half a character": f"{token}\ud800",
        "DashX's old token": "v1;USER;cus_778",
        "huge": _token(_claims(note="x" * 4096)),
        "huge and hollow": "." * 1_000_000,
    }


@pytest.mark.parametrize("case", _forms("a.b.c"))
def test_what_is_not_three_parts_of_base64url_is_refused(case: str) -> None:
    assert _refusal(_forms(_token(GOOD))[case]) == FORMAT


def test_a_token_may_have_4096_bytes() -> None:
    spare = 4096 - len(_token(_claims(note="")))
    token = _token(_claims(note="x" * (spare * 3 // 4)))
    assert 4090 < len(token) <= 4096
    assert verify(token, KEYS, NOW) == "cus_778"


def test_a_last_character_that_decodes_to_the_same_bytes_is_refused() -> None:
    token = _token(GOOD)
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    # 32 bytes leave two bits of the 43rd character unused: its neighbour differs in those alone.
    twin = token[:-1] + alphabet[alphabet.index(token[-1]) + 1]
    signature, its_twin = token.split(".")[2] + "=", twin.split(".")[2] + "="
    assert base64.urlsafe_b64decode(signature) == base64.urlsafe_b64decode(its_twin)
    assert _refusal(twin) == FORMAT


def test_whatever_is_changed_after_signing_is_noticed() -> None:
    header, payload, signature = _token(GOOD).split(".")
    another = _token(_claims(uid="cus_779")).split(".")
    assert _refusal(f"{header}.{another[1]}.{signature}") == SIGNATURE
    assert _refusal(f"{header}.{payload}.{another[2]}") == SIGNATURE
    assert _refusal(f"{_part({'typ': 'JWT', 'alg': 'HS256'})}.{payload}.{signature}") == SIGNATURE
    assert _refusal(f"{header}.{payload}.{_part(bytes(32))}") == SIGNATURE


@pytest.mark.parametrize("part", [0, 1, 2])
def test_no_single_character_can_be_changed(part: int) -> None:
    parts = _token(GOOD).split(".")
    for place, character in enumerate(parts[part]):
        changed = parts[part][:place] + ("A" if character != "A" else "B") + parts[part][place + 1 :]
        token = ".".join([*parts[:part], changed, *parts[part + 1 :]])
        assert _refusal(token) in {SIGNATURE, FORMAT}


def test_a_refusal_quotes_nothing_of_the_token() -> None:
    for token in (_token(_claims(uid=" cus_778")), _token(_claims(kind="cus_778")), "cus_778"):
        with pytest.raises(IncorrectToken) as incorrect:
            verify(token, KEYS, NOW)
        assert "cus_778" not in str(incorrect.value)
        assert incorrect.value.__cause__ is None


@given(st.text() | st.from_regex(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+", fullmatch=True))
def test_no_text_does_anything_but_prove_nothing(token: str) -> None:
    assert _refusal(token) in {FORMAT, SIGNATURE}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["kind", "uid", "exp", "alg", "x"]), inner),
    max_leaves=5,
)


@given(claims=JSON | st.binary())
def test_no_signed_claims_do_anything_but_prove_nothing(claims: Any) -> None:
    assert _refusal(_token(claims)) in {EXPIRED, FORMAT, NO_UID, KIND}


@given(header=JSON | st.binary() | st.fixed_dictionaries({"alg": JSON, "crit": JSON, "kid": JSON, "b64": JSON}))
def test_no_header_does_anything_but_prove_nothing(header: Any) -> None:
    signed = f"{_part(header)}.{_part(GOOD)}"
    assert _refusal(f"{signed}.{_part(bytes(32))}") in {FORMAT, SIGNATURE}


@given(
    uid=st.text(st.characters(categories=("Ll", "Lu", "Nd", "Po")), min_size=1, max_size=128).filter(
        lambda uid: unicodedata.is_normalized("NFKC", uid) and not is_stand_in(uid)
    ),
    expires_in=st.integers(1, 604800),
)
def test_what_is_minted_is_believed_until_it_ends(uid: str, expires_in: int) -> None:
    minted = mint(KEYS, uid, expires_in, NOW)
    assert verify(minted.token, KEYS, minted.expires_at - timedelta(seconds=1)) == uid
    assert _refusal(minted.token, now=minted.expires_at) == EXPIRED


def _key_faults(record: Any) -> str:
    with pytest.raises(ValidationError) as invalid:
        IdentityKeys.model_validate_json(json.dumps(record))
    return str(invalid.value)


BAD_KEYS: dict[str, tuple[list[Any], str]] = {
    "none": ([], "at least 1 item"),
    "three": ([KEY, KEY, KEY], "at most 2 items"),
    "empty": ([""], "32 bytes or more"),
    "31 bytes": ([KEY[:31]], "32 bytes or more"),
    "a short previous one": ([KEY, "prv_short"], "32 bytes or more"),
    "a newline from a file": ([KEY + "\n"], "begin or end with a blank"),
    "a blank before": ([" " + KEY], "begin or end with a blank"),
    "a number": ([10**40], "valid string"),
    "an SSH key": (["ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAA"], "not a PEM, DER or SSH key"),
    "a PEM key": (["-----BEGIN PRIVATE KEY-----\nMC4CAQ\n-----END PRIVATE KEY-----"], "not a PEM, DER or SSH key"),
}


@pytest.mark.parametrize("case", BAD_KEYS)
def test_a_key_that_cannot_sign_is_refused_without_being_quoted(case: str) -> None:
    keys, fault = BAD_KEYS[case]
    said = _key_faults({"keys": keys})
    assert fault in said
    assert not any(str(key)[:9] in said for key in keys if key)


def test_a_key_of_32_bytes_is_enough_however_few_characters_they_are() -> None:
    assert IdentityKeys(keys=(SecretStr("é" * 16),)).expires_in == 604800


@pytest.mark.parametrize("expires_in", [0, 59, 604801, "3600", 3600.0, True, None])
def test_an_apps_own_lifetime_is_a_minute_to_seven_days(expires_in: Any) -> None:
    assert "expires_in" in _key_faults({"keys": [KEY], "expires_in": expires_in})


def test_keys_are_not_printed() -> None:
    assert KEY not in repr(KEYS) + str(KEYS) + KEYS.model_dump_json()
