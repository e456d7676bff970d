"""Languages of two letters (ISO 639-1): the form that some agents take alone."""

import re
from functools import lru_cache

# Three letters, then the two that mean the same: ISO 639-2 in both its forms, and CLDR 48's aliases of the parts of a
# macrolanguage, such as cmn for zh. As ICU 78.2 and Java 17 print them (2026-11).
_PAIRS = (
    "aaraa abkab adpdz afraf akaak albsq alssq amham araar arbar argan armhy asmas avaav aveae aymay ayray azeaz "
    "azjaz bakba bambm baqeu belbe benbn bihbh bisbi bodbo bosbs brebr bulbg burmy catca cescs chach chece chizh "
    "chucu chvcv clssa cmnzh cnrsr corkw cosco crecr cwdcr cymcy czecs danda deude divdv drhmn drwfa dutnl dzodz "
    "ekket ellel engen epoeo eskik estet euseu eweee faofo fasfa fatak fijfj filtl finfi frafr frefr fryfy fucff "
    "fulff gazom geoka gerde glagd glega glggl glvgv greel grngn guggn gujgu hatht hauha hbssr hebhe herhz hinhi "
    "hmoho hrvhr hunhu hyehy iboig iceis idoio iiiii ikeiu ikuiu ileie inaia indid ipkik islis itait javjv jawjv "
    "jpnja kalkl kankn kasks katka kaukr kazkk khkmn khmkm kikki kinrw kirky kmrku knckr kngkg komkv konkg korko "
    "kpvkv kuakj kurku laolo latla lavlv limli linln litlt ltzlb lublu luglg lvslv macmk mahmh malml maomi marmr "
    "mayms mkdmk mlgmg mltmt molro monmn mrimi msams myamy nauna navnv nblnr ndend ndong nepne nldnl nnonn nobnb "
    "norno npine nyany ocioc ojgoj ojioj orior ormom oryor ossos panpa pbups perfa pesfa plipi pltmg polpl porpt "
    "prpgu prsfa pusps quequ quzqu rohrm ronro rumro runrn rusru sagsg sansa sccsr scrhr sinsi slksk slosk slvsl "
    "smese smosm snasn sndsd somso sotst spaes sqisq srcsc srdsc srpsr sswss sunsu swasw swcsw swesv swhsw tahty "
    "tamta tattt telte tgktg tgltl thath tibbo tirti tnffa tonto tsntn tsots tuktk turtr twitw uigug ukruk urdur "
    "uzbuz uznuz venve vievi volvo welcy wlnwa wolwo xhoxh yddyi yidyi yoryo zhaza zhozh zsmms zulzu zybza "
)
_SHORT = {pair[:3]: pair[3:] for pair in _PAIRS.split()}
_TODAY = {"in": "id", "iw": "he", "ji": "yi", "jw": "jv", "mo": "ro", "sh": "sr"}
"""Codes that ISO has withdrawn and that Java before 17 and old devices print."""

_KNOWN = frozenset(_SHORT.values())


@lru_cache(maxsize=256)
def two_letters(tag: str | None) -> str | None:
    """Gives the ISO 639-1 code of a language tag (`pt-BR` is `pt`, `fil` is `tl`); None where ISO 639-1 has none."""
    primary = re.split("[-_]", tag or "")[0].lower()
    code = _TODAY.get(primary) or _SHORT.get(primary, primary)
    return code if code in _KNOWN else None
