"""Sentences with slots: unwanted advertisements, and what automatic accounts write.

All are invented. Slots: {link} {handle} {tag} {name} {number} {money} {words} {face}.
"""

import re
from collections import defaultdict
from collections.abc import Callable

import pyarrow as pa

from sluice.pipeline.sample.scene import Scene
from sluice.pipeline.sample.words import together


def _by_language(table: str) -> dict[str, list[str]]:
    """Returns language -> templates, from lines that have a language and a template."""
    templates: dict[str, list[str]] = defaultdict(list)
    for line in table.splitlines():
        language, template = line.split(" ", 1)
        templates[language].append(template)
    return templates


SPAM = _by_language("""\
en Follow back guaranteed! {face} Follow @{handle} and everyone who likes this #FollowBack #{tag} #F4F
en I made {money} this week working from home, no experience needed. DM me or join {link} #{tag}
en 🎁 GIVEAWAY: {money} in BTC to {number} people! Follow @{handle}, retweet and register: {link}
en Send 0.1 ETH and get 0.2 ETH back, only today, official event of {name} {link} #crypto #airdrop
en 🚀 {name} coin is going to x{number}, join our Telegram before the pump {link} #{tag} #altcoin
en Cheap {words} 80% OFF!!! Free shipping, buy now {link} {face}
en Congratulations {name}, you have been selected to win a {money} gift card. Claim here: {link}
en Hot singles near you are waiting, click {link} {face}{face}
en Gain {number} followers in an hour, 100% real and cheap, visit {link} @{handle} #{tag}
es Gana {money} al día desde tu casa, sin experiencia. Escríbeme o entra en {link} #{tag}
es 🎁 SORTEO de {money}: sigue a @{handle}, da RT y regístrate aquí {link}
es Sígueme y te sigo, followback 100% seguro @{handle} #SígueloYTeSigue #{tag} {face}
es Préstamos rápidos hasta {money} sin aval, respuesta en {number} minutos {link}
pt Ganhe {money} por dia sem sair de casa, vagas limitadas! Clique {link} #{tag}
pt SDV sigo de volta todo mundo que seguir @{handle} e curtir {face} #SDV #{tag}
pt 🔥 Promoção só hoje: {words} com 70% de desconto, compre em {link}
id Slot gacor hari ini {name}, bonus new member {money}, daftar sekarang {link} #{tag}
id Jasa tambah followers murah {number} followers cuma {money}, order DM @{handle} {link}
id Pinjaman online cair {number} menit tanpa jaminan, klik {link} {face}
tr Bedava {money} deneme bonusu, hemen üye ol kazan {link} #{tag} #bahis
tr Takip edeni takip ederim, geri dönüş garantili @{handle} #gt #takip {face}
tr Evden çalışarak günde {money} kazan, detaylar burada {link}
ar اربح {money} يوميا من البيت بدون خبرة، سجل الآن {link} #{tag}
ar تابعني واتابعك فورا @{handle} {face} #فولو_باك #{tag}
ar خصم 80% على جميع المنتجات اليوم فقط، اطلب الآن {link} {number}
ja 【拡散希望】フォロー&リツイートで{number}名様に{money}プレゼント🎁 {link} #{tag}
ja スマホだけで月{money}稼げる副業、興味ある方はDMください {link} {face}
ja 相互フォロー100%返します @{handle} #相互フォロー #{tag}
ko 신규 가입 {money} 즉시 지급! 안전한 놀이터 {link} #{tag}
ko 맞팔 100% 해드려요 @{handle} #맞팔 #선팔 {face}
ko 하루 {number}분 투자로 {money} 수익, 지금 문의하세요 {link}
ru Заработок от {money} в день без вложений, пиши в личку или переходи {link} #{tag}
ru Взаимная подписка @{handle}, подпишусь на всех! #взаимныйфолловинг {face}
ru Казино {name} дарит {number} бесплатных вращений за регистрацию {link}
hi घर बैठे रोज {money} कमाएं, अभी जुड़ें {link} #{tag}
hi फॉलो करो फॉलो बैक पाओ @{handle} {face} #FollowBack
fr Gagnez {money} par jour depuis chez vous, inscrivez-vous vite {link} #{tag}
fr 🎁 CONCOURS : suivez @{handle} et RT pour gagner {money} {link}
de Verdiene {money} am Tag von zu Hause, ohne Vorkenntnisse: {link} #{tag}
de Gewinnspiel! Folge @{handle} und gewinne {money}, jetzt anmelden {link} {face}
zh 兼职日结{money}，手机就能做，加微信 {handle} 详情 {link}
zh 互粉互关 @{handle} 秒回 #{tag} {face}
vi Kiếm {money} mỗi ngày tại nhà, không cần vốn, đăng ký ngay {link} #{tag}
vi Vay tiền online {number} phút có tiền, không thế chấp {link}
""")
"""Language -> templates of spam."""

BOTS = _by_language("""\
en Good morning {name}! Wishing you a day full of joy, laughter and good company, from all of us at the \
station.
en Now playing: {name} by {name} on the evening show. Listen live and tell us what you want to hear next!
en Weather update for {name}: cloudy with light rain in the afternoon, {number} degrees, wind from the \
north west, clearing towards the evening.
en Thanks for following, {name}! You are one of {number} new friends we made this week. How did you find us?
es Buenos días {name}, te deseamos un día lleno de alegría y buena compañía de parte de todo el equipo.
es El tiempo en {name}: cielo nublado con lluvia débil por la tarde, {number} grados y viento flojo del \
noroeste.
ja おはようございます、{name}さん。今日も一日元気に過ごしましょう。天気は晴れ、最高気温は{number}度の予想\
です。
ja 只今の曲は{name}の「{name}」でした。リクエストは番組のページからいつでもお待ちしています。
pt Bom dia {name}, desejamos a você um dia cheio de alegria, saúde e boas notícias de toda a nossa equipe.
id Selamat pagi {name}, semoga harimu menyenangkan dan penuh berkah, salam hangat dari kami semua di sini.
""")
"""Language -> templates of automatic accounts: near duplicates of each other, with other names."""

MONEY = ("$500", "$1,000", "$5000", "€250", "1.000 €", "₹5,000", "Rp100.000", "500 TL", "10万円")
MONEY_MORE = ("$50", "£300", "R$ 2.000", "5000 руб", "$9,999", "100 USDT", "0.5 BTC", "₩30,000")

_SLOT = re.compile(r"\{(\w+)\}")
_FILLINGS: dict[str, Callable[[Scene], pa.StringArray]] = {
    "link": Scene.link,
    "handle": lambda scene: scene.pick(scene.handles),
    "tag": Scene.hashtag,
    "name": Scene.hashtag,
    "money": lambda scene: scene.pick(MONEY + MONEY_MORE),
    "number": lambda scene: scene.pick(tuple(str(n) for n in range(2, 1000))),
    "face": Scene.emoji,
    "words": Scene.sentence,
}
"""Slot -> what it is filled with."""


def filled(template: str, scene: Scene) -> pa.StringArray:
    """Returns (N,) string: the template with other slots each time, in words of its language."""
    parts = _SLOT.split(template)
    return together(*(_FILLINGS[part](scene) if k % 2 else part for k, part in enumerate(parts)))
