"""The search for secrets: finds one of each vendor's form, and leaves examples alone."""

import pytest

from local.audit import find

LETTERS = "Zq0Xw1Vb2Nc3Md4Lf5Kg6Jh7Pj8Rk9TsYv"
SECRETS = {
    "an app's key": "sk" + "_shop_" + LETTERS[:32],
    "an AWS key": "AK" + "IA" + "Z7Q2W3E4R5T6Y7U8",
    "a private key": "-----BEGIN RSA" + " PRIVATE KEY-----",
    "a signing secret": "wh" + "sec_" + LETTERS,
    "Meta's token": "EA" + "AG" + LETTERS * 2,
    "Google's key": "AI" + "za" + LETTERS + "a",
    "DashX's key": "pr" + "v_" + LETTERS,
    "GitHub's token": "gh" + "p_" + LETTERS + "AB",
}


@pytest.mark.parametrize("kind", SECRETS)
def test_a_secret_is_found_in_the_midst_of_a_line(kind: str) -> None:
    assert len(list(find("a.py:1", f'key = "{SECRETS[kind]}"  # mine'))) >= 1


@pytest.mark.parametrize(
    "line", ["TOKEN-PLACEHOLDER", "sk_shop_<secret>", "prv_example_of_at_least_32_bytes_length", "whsec_...", "a" * 64]
)
def test_an_example_is_left_alone(line: str) -> None:
    assert list(find("a.py:1", line)) == []
