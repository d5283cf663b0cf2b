"""Language codes: what a model's label is in ISO 639, and which macrolanguage a code belongs to.

`language` is the two-letter code of ISO 639-1 where there is one, else the three-letter code of
639-3; `language_group` is the macrolanguage for Arabic, Chinese and Norwegian, else the language.
"""

UNDETERMINED = "und"
"""ISO 639's code for a text of which nothing can be said."""

_TWO_LETTER_PAIRS = """
aar:aa abk:ab ave:ae afr:af aka:ak amh:am arg:an ara:ar asm:as ava:av aym:ay aze:az bak:ba
bel:be bul:bg bis:bi bam:bm ben:bn bod:bo bre:br bos:bs cat:ca che:ce cha:ch cos:co cre:cr
ces:cs chu:cu chv:cv cym:cy dan:da deu:de div:dv dzo:dz ewe:ee ell:el eng:en epo:eo spa:es
est:et eus:eu fas:fa ful:ff fin:fi fij:fj fao:fo fra:fr fry:fy gle:ga gla:gd glg:gl grn:gn
guj:gu glv:gv hau:ha heb:he hin:hi hmo:ho hrv:hr hat:ht hun:hu hye:hy her:hz ina:ia ind:id
ile:ie ibo:ig iii:ii ipk:ik ido:io isl:is ita:it iku:iu jpn:ja jav:jv kat:ka kon:kg kik:ki
kua:kj kaz:kk kal:kl khm:km kan:kn kor:ko kau:kr kas:ks kur:ku kom:kv cor:kw kir:ky lat:la
ltz:lb lug:lg lim:li lin:ln lao:lo lit:lt lub:lu lav:lv mlg:mg mah:mh mri:mi mkd:mk mal:ml
mon:mn mar:mr msa:ms mlt:mt mya:my nau:na nob:nb nde:nd nep:ne ndo:ng nld:nl nno:nn nor:no
nbl:nr nav:nv nya:ny oci:oc oji:oj orm:om ori:or oss:os pan:pa pli:pi pol:pl pus:ps por:pt
que:qu roh:rm run:rn ron:ro rus:ru kin:rw san:sa srd:sc snd:sd sme:se sag:sg sin:si slk:sk
slv:sl smo:sm sna:sn som:so sqi:sq srp:sr ssw:ss sot:st sun:su swe:sv swa:sw tam:ta tel:te
tgk:tg tha:th tir:ti tuk:tk tgl:tl tsn:tn ton:to tur:tr tso:ts tat:tt twi:tw tah:ty uig:ug
ukr:uk urd:ur uzb:uz ven:ve vie:vi vol:vo wln:wa wol:wo xho:xh yid:yi yor:yo zha:za zho:zh
zul:zu
"""
_TWO_LETTER = dict(pair.split(":") for pair in _TWO_LETTER_PAIRS.split())
"""ISO 639-3 -> ISO 639-1, all 183 living codes of 639-1."""

_INDIVIDUAL_PAIRS = """
arb:ar cmn:zh swh:sw zsm:ms ekk:et lvs:lv pes:fa khk:mn npi:ne ory:or plt:mg uzn:uz azj:az kmr:ku ydd:yi
gug:gn quy:qu pbt:ps gaz:om fuv:ff knc:kr ayr:ay hbs:sr
"""
_INDIVIDUAL = dict(pair.split(":") for pair in _INDIVIDUAL_PAIRS.split())
"""639-3 codes of the standard variety of a language that 639-1 has a code for (GlotLID and NLLB use them)."""

_WIKIPEDIA = {
    "als": "gsw",  # Alemannic; in ISO 639-3 `als` is Tosk Albanian
    "bh": "bho",  # "Bihari", withdrawn: the texts are Bhojpuri
    "eml": "egl",  # "Emilian-Romagnol", split in 2009
    "no": "nb",  # the Wikipedia in Bokmål; Nynorsk has its own label
    "sh": "sr",  # Serbo-Croatian, withdrawn: on posts nearly always Serbian in Latin letters
}
"""Labels of lid.176, which are names of Wikipedias, that are not the ISO code of their texts.

`nah` (Nahuatl) stays: ISO 639-3 has a code for each Nahuatl language and none for the group.
"""

_GROUPS = {
    "ar": "aao abh abv acm acq acw acx acy adf aeb aec afb ajp apc apd arq ars ary arz auz avl ayh ayl "
    "ayn ayp pga shu ssh",
    "no": "nb nn",
    "zh": "cdo cjy cnp cpx csp czh czo gan hak hsn lzh mnp nan wuu yue",
}
"""Macrolanguage -> its members, after ISO 639-3."""

_GROUP_OF = {member: group for group, members in _GROUPS.items() for member in members.split()}


def language_of(label: str) -> str:
    """Returns the language code of a model's label (without `__label__`).

    Understands the labels of lid.176 (`en`, `als`), of GlotLID and NLLB (`eng_Latn`) and BCP 47 tags
    (`zh-Hans`); a label that is none of these stays as it is.

    >>> [language_of(label) for label in ("en", "als", "eng_Latn", "zh-Hans")]
    ['en', 'gsw', 'en', 'zh']
    """
    code, _, rest = label.replace("-", "_").partition("_")
    if not rest and code in _WIKIPEDIA:
        return _WIKIPEDIA[code]
    return two_letter(code)


def two_letter(code: str) -> str:
    """Returns the ISO 639-1 code of a 639-3 code where there is one, else the code itself."""
    if code == "als":
        return "sq"
    return _TWO_LETTER.get(code) or _INDIVIDUAL.get(code, code)


def group_of(language: str) -> str:
    """Returns the macrolanguage of a language code: ar, no, zh, or the language itself.

    >>> group_of("nb"), group_of("de")
    ('no', 'de')
    """
    return _GROUP_OF.get(language, language)


def check_code(code: str, key: str) -> None:
    """Checks a code of a recipe's key, which must be one that a predicted language can have.

    Raises:
        ValueError: it is none of ISO 639, or has three letters where there are two.
    """
    if not (code.isascii() and code.isalpha() and code.islower() and len(code) in (2, 3)):
        raise ValueError(f"{key} must be ISO 639 codes such as 'en' or 'yue', got {code!r}")
    if two_letter(code) != code:
        raise ValueError(
            f"{key} must be two letters where ISO 639-1 has a code: {two_letter(code)!r}, got {code!r}"
        )
