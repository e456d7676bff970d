"""Languages of two letters: every code that ISO 639-1 has passes, and every three-letter code of one becomes it."""

import re

import pytest

from relay.agent.languages import two_letters

# Printed by Locale.getISOLanguages() and getISO3Language() of Java 17.0.15; its withdrawn codes are tested below.
JAVA = """
aaraa abkab aveae afraf akaak amham argan araar asmas avaav aymay azeaz bakba belbe bulbg bihbh bisbi bambm benbn
bodbo brebr bosbs catca chece chach cosco crecr cescs chucu chvcv cymcy danda deude divdv dzodz eweee ellel engen
epoeo spaes estet euseu fasfa fulff finfi fijfj faofo frafr fryfy glega glagd glggl grngn gujgu glvgv hauha hebhe
hinhi hmoho hrvhr hatht hunhu hyehy herhz inaia indid ileie iboig iiiii ipkik idoio islis itait ikuiu jpnja javjv
katka konkg kikki kuakj kazkk kalkl khmkm kankn korko kaukr kasks kurku komkv corkw kirky latla ltzlb luglg limli
linln laolo litlt lublu lavlv mlgmg mahmh mrimi mkdmk malml monmn marmr msams mltmt myamy nauna nobnb ndend nepne
ndong nldnl nnonn norno nblnr navnv nyany ocioc ojioj ormom orior ossos panpa plipi polpl pusps porpt quequ rohrm
runrn ronro rusru kinrw sansa srdsc sndsd smese sagsg sinsi slksk slvsl smosm snasn somso sqisq srpsr sswss sotst
sunsu swesv swasw tamta telte tgktg thath tirti tuktk tgltl tsntn tonto turtr tsots tattt twitw tahty uigug ukruk
urdur uzbuz venve vievi volvo wlnwa wolwo xhoxh yidyi yoryo zhaza zhozh zulzu
"""


@pytest.mark.parametrize("pair", JAVA.split())
def test_every_language_of_java_17_has_its_two_letters(pair: str) -> None:
    three, two = pair[:3], pair[3:]
    assert {two_letters(three), two_letters(two), two_letters(f"{two}-XX"), two_letters(three.upper())} == {two}


@pytest.mark.parametrize(
    ("tag", "code"),
    [
        ("iw_IL", "he"),
        ("in", "id"),
        ("ji-001", "yi"),
        ("mo", "ro"),
        ("sh-BA", "sr"),
        ("fil-PH", "tl"),
        ("tl", "tl"),
        ("cmn-Hans-CN", "zh"),
        ("ger", "de"),
        ("nb-NO", "nb"),
        ("zh_CN_#Hans", "zh"),
    ],
)
def test_withdrawn_codes_and_parts_of_a_macrolanguage_have_todays_code(tag: str, code: str) -> None:
    assert two_letters(tag) == code


@pytest.mark.parametrize(
    "tag", [None, "", "haw", "ckb-IQ", "xx", "zz-ZZ", "english", "c", "und", "-pt", "\u0440\u0443"]
)
def test_what_iso_639_1_does_not_have_has_no_two_letters(tag: str | None) -> None:
    assert two_letters(tag) is None


def test_a_code_is_two_lower_case_letters_and_stays_as_it_is() -> None:
    codes = {two_letters(pair[:3]) for pair in JAVA.split()}
    assert all(code and re.fullmatch("[a-z]{2}", code) and two_letters(code) == code for code in codes)
