"""Sentences with slots: advertisements that nobody asked for, and what automatic accounts write.

All are invented. Slots: {link} {handle} {tag} {name} {number} {money} {words} {face}.
"""

import re

import pyarrow as pa
import pyarrow.compute as pc

from sluice.pipeline.sample.draws import Draws
from sluice.pipeline.sample.marks import emoji, hashtags, links
from sluice.pipeline.sample.words import Lexicon, joined, lexicon, sentence_list

SPAM: dict[str, tuple[str, ...]] = {
    "en": (
        "Follow back guaranteed! {face} Follow @{handle} and everyone who likes this #FollowBack "
        "#{tag} #F4F",
        "I made {money} this week working from home, no experience needed. DM me or join {link} "
        "#{tag}",
        "🎁 GIVEAWAY: {money} in BTC to {number} people! Follow @{handle}, retweet and register: "
        "{link}",
        "Send 0.1 ETH and get 0.2 ETH back, only today, official event of {name} {link} #crypto "
        "#airdrop",
        "🚀 {name} coin is going to x{number}, join our Telegram before the pump {link} #{tag} "
        "#altcoin",
        "Cheap {words} 80% OFF!!! Free shipping, buy now {link} {face}",
        "Congratulations {name}, you have been selected to win a {money} gift card. Claim here: "
        "{link}",
        "Hot singles near you are waiting, click {link} {face}{face}",
        "Gain {number} followers in an hour, 100% real and cheap, visit {link} @{handle} #{tag}",
    ),
    "es": (
        "Gana {money} al día desde tu casa, sin experiencia. Escríbeme o entra en {link} #{tag}",
        "🎁 SORTEO de {money}: sigue a @{handle}, da RT y regístrate aquí {link}",
        "Sígueme y te sigo, followback 100% seguro @{handle} #SígueloYTeSigue #{tag} {face}",
        "Préstamos rápidos hasta {money} sin aval, respuesta en {number} minutos {link}",
    ),
    "pt": (
        "Ganhe {money} por dia sem sair de casa, vagas limitadas! Clique {link} #{tag}",
        "SDV sigo de volta todo mundo que seguir @{handle} e curtir {face} #SDV #{tag}",
        "🔥 Promoção só hoje: {words} com 70% de desconto, compre em {link}",
    ),
    "id": (
        "Slot gacor hari ini {name}, bonus new member {money}, daftar sekarang {link} #{tag}",
        "Jasa tambah followers murah {number} followers cuma {money}, order DM @{handle} {link}",
        "Pinjaman online cair {number} menit tanpa jaminan, klik {link} {face}",
    ),
    "tr": (
        "Bedava {money} deneme bonusu, hemen üye ol kazan {link} #{tag} #bahis",
        "Takip edeni takip ederim, geri dönüş garantili @{handle} #gt #takip {face}",
        "Evden çalışarak günde {money} kazan, detaylar burada {link}",
    ),
    "ar": (
        "اربح {money} يوميا من البيت بدون خبرة، سجل الآن {link} #{tag}",
        "تابعني واتابعك فورا @{handle} {face} #فولو_باك #{tag}",
        "خصم 80% على جميع المنتجات اليوم فقط، اطلب الآن {link} {number}",
    ),
    "ja": (
        "【拡散希望】フォロー&リツイートで{number}名様に{money}プレゼント🎁 {link} #{tag}",
        "スマホだけで月{money}稼げる副業、興味ある方はDMください {link} {face}",
        "相互フォロー100%返します @{handle} #相互フォロー #{tag}",
    ),
    "ko": (
        "신규 가입 {money} 즉시 지급! 안전한 놀이터 {link} #{tag}",
        "맞팔 100% 해드려요 @{handle} #맞팔 #선팔 {face}",
        "하루 {number}분 투자로 {money} 수익, 지금 문의하세요 {link}",
    ),
    "ru": (
        "Заработок от {money} в день без вложений, пиши в личку или переходи {link} #{tag}",
        "Взаимная подписка @{handle}, подпишусь на всех! #взаимныйфолловинг {face}",
        "Казино {name} дарит {number} бесплатных вращений за регистрацию {link}",
    ),
    "hi": (
        "घर बैठे रोज {money} कमाएं, अभी जुड़ें {link} #{tag}",
        "फॉलो करो फॉलो बैक पाओ @{handle} {face} #FollowBack",
    ),
    "fr": (
        "Gagnez {money} par jour depuis chez vous, inscrivez-vous vite {link} #{tag}",
        "🎁 CONCOURS : suivez @{handle} et RT pour gagner {money} {link}",
    ),
    "de": (
        "Verdiene {money} am Tag von zu Hause, ohne Vorkenntnisse: {link} #{tag}",
        "Gewinnspiel! Folge @{handle} und gewinne {money}, jetzt anmelden {link} {face}",
    ),
    "zh": (
        "兼职日结{money}，手机就能做，加微信 {handle} 详情 {link}",
        "互粉互关 @{handle} 秒回 #{tag} {face}",
    ),
    "vi": (
        "Kiếm {money} mỗi ngày tại nhà, không cần vốn, đăng ký ngay {link} #{tag}",
        "Vay tiền online {number} phút có tiền, không thế chấp {link}",
    ),
}
"""Language -> templates of spam."""

BOTS: dict[str, tuple[str, ...]] = {
    "en": (
        "Good morning {name}! Wishing you a day full of joy, laughter and good company, from all "
        "of us at the station.",
        "Now playing: {name} by {name} on the evening show. Listen live and tell us what you want "
        "to hear next!",
        "Weather update for {name}: cloudy with light rain in the afternoon, {number} degrees, "
        "wind from the north west, clearing towards the evening.",
        "Thanks for following, {name}! You are one of {number} new friends we made this week. How "
        "did you find us?",
    ),
    "es": (
        "Buenos días {name}, te deseamos un día lleno de alegría y buena compañía de parte de "
        "todo el equipo.",
        "El tiempo en {name}: cielo nublado con lluvia débil por la tarde, {number} grados y "
        "viento flojo del noroeste.",
    ),
    "ja": (
        "おはようございます、{name}さん。今日も一日元気に過ごしましょう。天気は晴れ、最高気温は{number}度の予想です。",
        "只今の曲は{name}の「{name}」でした。リクエストは番組のページからいつでもお待ちしています。",
    ),
    "pt": (
        "Bom dia {name}, desejamos a você um dia cheio de alegria, saúde e boas notícias de toda "
        "a nossa equipe.",
    ),
    "id": (
        "Selamat pagi {name}, semoga harimu menyenangkan dan penuh berkah, salam hangat dari kami "
        "semua di sini.",
    ),
}
"""Language -> templates of automatic accounts: near duplicates of each other, with other names."""

MONEY = ("$500", "$1,000", "$5000", "€250", "1.000 €", "₹5,000", "Rp100.000", "500 TL", "10万円")
MONEY_MORE = ("$50", "£300", "R$ 2.000", "5000 руб", "$9,999", "100 USDT", "0.5 BTC", "₩30,000")

_SLOT = re.compile(r"\{(\w+)\}")


def filled(
    template: str, handles: pa.StringArray, *, language: str, size: int, draws: Draws
) -> pa.StringArray:
    """Returns (size,) string: the template with other slots each time, in words of its language."""
    words = lexicon(language)
    parts: list[str | pa.StringArray] = []
    for k, text in enumerate(_SLOT.split(template)):
        parts.append(_slot(text, words, handles, size=size, draws=draws) if k % 2 else text)
    return pc.binary_join_element_wise(*parts, "")


def _slot(
    name: str, words: Lexicon, handles: pa.StringArray, *, size: int, draws: Draws
) -> pa.StringArray:
    """Returns (size,) string for one slot."""
    match name:
        case "link":
            return links(size=size, draws=draws)
        case "handle":
            return draws.pick(handles, size=size)
        case "tag" | "name":
            return hashtags(words, size=size, draws=draws)
        case "money":
            return draws.pick(MONEY + MONEY_MORE, size=size)
        case "number":
            return draws.pick([str(n) for n in range(2, 1000)], size=size)
        case "face":
            return emoji(size=size, draws=draws)
        case "words":
            return joined(sentence_list(words, size=size, draws=draws))
    raise ValueError(f"slot {name!r} is not known")
