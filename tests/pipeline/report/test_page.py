"""report.html: everything that report.json says stands on the page, and nothing is fetched."""

import json
import re
from copy import deepcopy
from html.parser import HTMLParser
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.pipeline.report.figures import duration, number, percent, size, width
from sluice.pipeline.report.render import render
from sluice.schemas.report import Report

REPORT: dict[str, Any] = {
    "sluice": "1.2.3",
    "recipe": {"name": "autumn", "fingerprint": "9f2c64e1ab77d03c5e8812fa90b4d771"},
    "posts": {
        "read": 1_000_000,
        "kept": 600_000,
        "rejected": {"too_short": 200_000, "empty_text": 7_000, "toxic_model": 3_000},
        "duplicates": {"exact": 60_000, "near": 40_000, "redelivered": 20_000},
        "malformed": 69_997,
        "errors": 3,
        "by_lang": {"en": 400_000, "ja": 200_000},
        "by_day": {"2026-10-01": 350_000, "unknown": 250_000},
        "by_source": {"mobile": 600_000},
    },
    "filters": [
        {
            "name": "normalize",
            "reason": "empty_text",
            "threshold": None,
            "posts_in": 930_000,
            "posts_out": 923_000,
            "msec": None,
        },
        {
            "name": "min_chars",
            "reason": "too_short",
            "threshold": 15.25,
            "posts_in": 923_000,
            "posts_out": 723_000,
            "msec": 2_769,
        },
    ],
    "documents": 600_000,
    "tokens": {
        "total": 16_000_000,
        "encoded": 15_400_000,
        "end_of_document": 600_000,
        "by_lang": {"en": 10_000_000, "ja": 6_000_000},
        "by_day": {"2026-10-01": 9_000_000, "unknown": 7_000_000},
        "by_source": {"mobile": 16_000_000},
        "bytes_per_token": 4.614,
        "per_post": 26.67,
    },
    "ledger": {"balanced": True, "posts": "1 read = 1 kept", "tokens": "3 made = 3 packed"},
    "vocabulary": {
        "size": 131_072,
        "merges": 130_001,
        "special": 16,
        "reserved": 1_055,
        "languages": {
            "ja": {"weight": 1.0, "share_of_text": 0.4, "share_of_training": 0.375},
            "eo": {"weight": 2.25, "share_of_text": 0.004, "share_of_training": 0.009},
        },
        "use": {"used": 98_765, "unused": 32_307, "used_seldom": 4_321},
        "held_back": {
            "posts": 777,
            "bytes_per_token": 4.4321,
            "tokens_per_word": 1.618,
            "languages": {"eo": {"bytes_per_token": 3.91}},
        },
        "steps": {"train": {"seconds": 61.4, "cpu_seconds": 102.9}},
    },
    "sequences": {
        "length": 8192,
        "in_shards": 1_950,
        "leftover": 3,
        "padding": 1_776,
        "padding_ratio": 0.000111,
        "truncated_tokens": 0,
    },
    "shards": {
        "count": 6,
        "sequences_each": 325,
        "bytes_each": 10_649_600,
        "total_bytes": 63_897_600,
    },
    "training": {"global_batch_sequences": 325, "data_parallel_ranks": 2, "steps": 6},
    "duplicate_clusters": {"17-32": 41, "2": 50_001, "3": 7_003},
    "phases": [
        {
            "name": "clean",
            "seconds": 10.0,
            "cpu_seconds": 16.0,
            "peak_rss_bytes": 812_000_000,
            "posts": 1_000_000,
            "units": 4,
            "units_reused": 1,
        },
        {
            "name": "tokens",
            "seconds": 5.0,
            "cpu_seconds": 4.0,
            "peak_rss_bytes": 413_000_000,
            "posts": 600_000,
            "units": 2,
            "units_reused": -1,
        },
    ],
    "warnings": ["part-3 is damaged"],
}


CLASSIFIED: dict[str, Any] = REPORT | {
    "transformers": [
        {
            "name": "tox",
            "labels": ["toxicity", "insult"],
            "posts": 603_000,
            "decided": 30_000,
            "saved": 0.950249,
            "rejected": 3_000,
            "tokens": 700_000,
            "band": {"screen": "toxicity", "low": 0.31, "high": 0.86},
            "agreement": {
                "sampled": 5_000,
                "agreed": 0.982,
                "low": {"kept": 4_700, "rejected": 80},
                "band": {"kept": 190, "rejected": 20},
                "high": {"kept": 10, "rejected": 0},
            },
        }
    ],
    "fairness": [
        {
            "name": "toxicity",
            "threshold": 0.86,
            "posts": 700_000,
            "rejected": 1_400,
            "rate": 0.002,
            "by_lang": {
                "few": {"posts": 9, "rejected": 0, "rate": 0.0},
                "sw": {"posts": 200_000, "rejected": 1_000, "rate": 0.005}
                | {"ratio": 2.5, "even_threshold": 0.91},
                "yo": {"posts": 499_991, "rejected": 400, "rate": 0.0008}
                | {"ratio": 0.4, "even_threshold": 0.74},
            },
        }
    ],
}


def page(report: dict[str, Any]) -> str:
    """The page of what report.json holds."""
    return render(msgspec.convert(report, Report))


class Page(HTMLParser):
    """The page as rows of cells, with every address and the order of its headings."""

    VOID = frozenset({"meta", "link", "br", "img", "input", "hr"})

    def __init__(self, report: dict[str, Any]):
        super().__init__()
        self.html = page(report)
        self.rows: list[list[str]] = []
        self.addresses: list[str] = []
        self.tags: list[str] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(self.html)
        assert self.open == [], "every element that was opened was closed"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag not in self.VOID:
            self.open.append(tag)
        self.addresses += [v or "" for k, v in attrs if k in ("href", "src", "srcset", "action")]
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" in self.open:
            return
        self.text += data
        if {"td", "th"} & set(self.open):
            self.rows[-1][-1] = (self.rows[-1][-1] + data).strip()

    def row(self, name: str) -> list[str]:
        """The cells after the name in the first row that starts with it, empty ones left out."""
        found = next(row for row in self.rows if row and row[0] == name)
        return [cell for cell in found[1:] if cell]


def changed(*path: str, value: Any) -> dict[str, Any]:
    report = deepcopy(REPORT)
    at = report
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = value
    return report


def test_the_funnel_goes_from_read_to_kept_in_the_order_of_the_phases() -> None:
    """Each reason stands once, in order, with its posts, its share and what was left after it."""
    page = Page(REPORT)
    names = [row[0] for row in page.rows]
    first, last = names.index("read"), names.index("kept")
    assert names[first : last + 1] == [
        *("read", "malformed", "errors", "empty_text", "too_short"),
        *("redelivered", "exact duplicate", "near duplicate", "toxic_model", "kept"),
    ]
    assert page.row("too_short") == ["200,000", "20.0 %", "723,000"]
    assert page.row("errors") == ["3", "< 0.1 %", "930,000"]
    assert page.row("kept") == ["600,000", "60.0 %", "600,000"]
    assert "do not add up" not in page.text


def test_a_funnel_that_leaves_other_posts_than_were_kept_says_so() -> None:
    """The page adds up the counts itself and does not take `kept` on trust."""
    page = Page(changed("posts", "kept", value=599_999))
    assert "1 posts are left but not kept: the counts do not add up" in page.text


@pytest.mark.parametrize(("balanced", "mark"), [(True, "It balances"), (False, "It does not")])
def test_the_ledger_has_a_clear_mark(balanced: bool, mark: str) -> None:
    """Both equations are there, and only a ledger that is known to balance is called balanced."""
    page = Page(changed("ledger", "balanced", value=balanced))
    assert mark in page.text
    assert page.text.count("balance") == 1
    for equation in ("1 read = 1 kept", "3 made = 3 packed"):
        assert equation in page.text


def test_what_is_odd_about_input_files_is_with_the_records() -> None:
    """The notes on input files stand below the records' equation, names in them as they are."""
    found = deepcopy(REPORT)
    found["input"] = {"files": 2, "notes": ["1 file without a record: <b>.jsonl"]}
    found["ledger"] = {**REPORT["ledger"], "input": "3 records = 3 with posts"}
    html = render(msgspec.convert(found, Report))
    equation, note = html.index("3 records = 3 with posts"), html.index("&lt;b&gt;.jsonl")
    assert equation < note


def test_filters_have_threshold_counts_and_time() -> None:
    """A filter's row: reason, threshold, in, out, rejected, share of read, time, time a post."""
    page = Page(REPORT)
    assert page.row("min_chars") == [
        *("too_short", "15.25", "923,000", "723,000", "200,000", "20.0 %", "2.8 s", "3.00"),
    ]
    assert page.row("normalize")[1] == "–"


def test_duplicates_and_clusters_are_in_order() -> None:
    """Kinds come as they are found, clusters by size, whatever the order of the keys."""
    page = Page(REPORT)
    names = [row[0] for row in page.rows]
    at = names.index("near")
    assert names[at - 2 : at + 4] == ["redelivered", "exact", "near", "2", "3", "17-32"]
    assert page.row("2") == ["50,001"]


def test_tokens_by_language_day_and_source() -> None:
    """Each table has tokens, share, posts and tokens per post."""
    page = Page(REPORT)
    assert page.row("en") == ["10,000,000", "62.5 %", "400,000", "25.0"]
    assert page.row("2026-10-01") == ["9,000,000", "56.2 %", "350,000", "25.7"]
    assert page.row("mobile") == ["16,000,000", "100.0 %", "600,000", "26.7"]
    assert "4.61" in page.text
    assert "26.7 tokens per post" in page.text


def test_languages_beyond_thirty_are_summed() -> None:
    """The thirty largest are listed and the rest is one row, even a rest of one: the shares still add up."""
    report = deepcopy(REPORT)
    report["tokens"]["by_lang"] = {f"l{k:02d}": 1_000 * (k + 1) for k in range(40)}
    report["posts"]["by_lang"] = {f"l{k:02d}": 10 for k in range(40)}
    page = Page(report)
    listed = [row[0] for row in page.rows if re.fullmatch(r"l\d\d", row[0])]
    assert listed == [f"l{k:02d}" for k in range(39, 9, -1)]
    assert page.row("10 more")[0] == "55,000"
    assert "the first 30 of 40" in page.text
    for tables in (report["tokens"], report["posts"]):
        tables["by_lang"] = dict(list(tables["by_lang"].items())[:31])
    page = Page(report)
    assert page.row("1 more")[0] == "1,000"
    assert "the first 30 of 31" in page.text


@pytest.mark.parametrize(
    ("num_days", "period", "bars"), [(31, "day", 31), (400, "month", 14), (3_000, "year", 9)]
)
def test_many_days_become_months_and_years(num_days: int, period: str, bars: int) -> None:
    """However long the span, the chart has few bars and loses no tokens."""
    from datetime import date, timedelta

    days = [(date(2020, 1, 1) + timedelta(k)).isoformat() for k in range(num_days)]
    page = Page(changed("tokens", "by_day", value=dict.fromkeys(days, 10)))
    drawn = re.findall(r'title="(20[0-9-]*): ([\d,]+) tokens"', page.html)
    assert len(drawn) == bars
    assert sum(int(tokens.replace(",", "")) for _, tokens in drawn) == 10 * num_days
    assert f"By {period}" in page.text


def test_vocabulary_sequences_and_shards() -> None:
    """Entries by kind with the time to make them, and what training gets."""
    page = Page(REPORT)
    assert page.row("reserved") == ["1,055", "0.8 %"]
    assert page.row("train") == ["1 min 01 s", "1 min 43 s"]
    assert page.row("eo") == ["0.4 %", "0.9 %", "2.25", "3.91"]
    for fact in ("98,765", "4,321", "777", "4.432", "1.62"):
        assert f"<dd>{fact}</dd>" in page.html
    for fact in ("8,192", "1,950", "1,776 tokens, 0.0111 %", "10.6 MB", "63.9 MB", "325"):
        assert f"<dd>{fact}</dd>" in page.html


def test_phases_have_speed_and_memory() -> None:
    """A phase's row and the run's: time, CPU time, posts, speeds, memory, reused units."""
    page = Page(REPORT)
    assert page.row("clean") == [
        *("10.0 s", "16.0 s", "1,000,000", "100,000", "62,500", "812.0 MB", "1")
    ]
    assert page.row("tokens")[-1] == "all"
    assert page.row("run") == ["15.0 s", "20.0 s", "1,000,000", "66,667", "50,000", "812.0 MB"]


def test_warnings_stand_above_everything_but_the_title() -> None:
    """A warning is seen before any number."""
    html = Page(REPORT).html
    assert html.index("autumn</h1>") < html.index("part-3 is damaged") < html.index("posts kept")
    assert "warnings" not in re.sub("<style>.*</style>", "", page({}), flags=re.S)


def test_nothing_is_fetched_and_nothing_runs() -> None:
    """No script, no import, no address but files of the output folder beside the page."""
    page = Page(REPORT)
    assert not {"script", "link", "img", "iframe", "object"} & set(page.tags)
    assert all(re.fullmatch(r"(\.\./)?[a-z_]+(/|\.json|/[a-z_]+\.json)", a) for a in page.addresses)
    assert "../tokens/" in page.addresses
    assert not re.search(r"https?:|@import|url\(|\son[a-z]+=", page.html)


def test_text_is_escaped() -> None:
    """A name that looks like HTML is shown and not obeyed."""
    report = changed("recipe", "name", value="<script>alert(1)</script>")
    report["warnings"] = ['<b>"bold"</b>']
    report["posts"]["rejected"]["<i>"] = 5
    page = Page(report)
    assert "script" not in page.tags
    assert "b" not in page.tags
    assert "<script>alert(1)</script>" in page.text


def test_the_page_is_the_same_each_time() -> None:
    """The order of the keys of report.json does not change a byte of most of the page."""
    assert page(REPORT) == page(deepcopy(REPORT))
    shuffled = json.loads(json.dumps(REPORT, sort_keys=True))
    for name in ("funnel", "ledger", "duplicates", "tokens", "output", "phases"):
        section = rf'<section id="{name}">.*?</section>'
        first, second = (re.search(section, page(r), re.S) for r in (REPORT, shuffled))
        assert first
        assert second
        assert first[0] == second[0]


paths = [
    (*prefix, key)
    for prefix, table in [((), REPORT), *(((k,), v) for k, v in REPORT.items())]
    if isinstance(table, dict)
    for key in table
]


@given(st.sets(st.sampled_from(paths)))
def test_missing_keys_are_no_error(gone: set[tuple[str, ...]]) -> None:
    """A report that lacks any of its keys, as one of an earlier version may, still renders as valid HTML."""
    report = deepcopy(REPORT)
    for path in gone:
        at: Any = report
        for key in path[:-1]:
            at = at.get(key) or {}
        at.pop(path[-1], None)
    assert Page(report).tags.count("h1") == 1


def test_transformers_say_what_they_saw_and_saved() -> None:
    """A transformer's row, its band, and how far its screen agrees with it."""
    page = Page(CLASSIFIED)
    assert page.row("tox")[:4] == ["603,000", "30,000", "95.0 %", "3,000"]
    assert "toxicity scores from 0.31 to 0.86" in page.text
    assert "5,000 posts scored by both, 98.2 % agreed" in page.text
    assert "of 4,780 below the band the transformer would reject 80" in page.text
    assert "of 10 above it would keep 10" in page.text
    assert "../scores/" in page.addresses
    assert "../scores/" not in Page(REPORT).addresses


def test_fairness_has_the_languages_with_the_most_posts_first() -> None:
    """Rates by language, against that of all, and the threshold that would even them."""
    page = Page(CLASSIFIED)
    names = [row[0] for row in page.rows]
    at = names.index("yo")
    assert names[at : at + 3] == ["yo", "sw", "few"]
    assert page.row("sw") == ["200,000", "0.5 %", "2.5 ×", "0.91"]
    assert page.row("few") == ["9", "0.0 %", "–", "–"]
    assert "0.2 % of 700,000 at 0.86" in page.text


@pytest.mark.parametrize("table", ["phases", "filters", "transformers"])
def test_rows_may_lack_keys(table: str) -> None:
    """A phase or filter of which nothing is known is a row of dashes."""
    page = Page(changed(table, value=[{}, {"name": "half"}]))
    assert set(page.row("half")) <= {"–"}


def test_numbers_are_written_for_people() -> None:
    """Thousands separators, decimal units, and a dash for what is not known."""
    assert [number(n) for n in (0, 1234567, None, True, "x")] == ["0", "1,234,567", *"–––"]
    assert [percent(r) for r in (0, 1e-5, 0.1234, 1, None)] == [
        *("0.0 %", "< 0.1 %", "12.3 %", "100.0 %", "–"),
    ]
    assert [size(n) for n in (999, 1_500, 2_000_000_000, 3e15, None)] == [
        *("999 bytes", "1.5 kB", "2.0 GB", "3,000.0 TB", "–"),
    ]
    assert [duration(s) for s in (0.244, 12.34, 245, 7_390, None)] == [
        *("0.24 s", "12.3 s", "4 min 05 s", "2 h 03 min", "–"),
    ]
    assert [width(r) for r in (None, -1, 0.5, 7)] == ["0.000%", "0.000%", "50.000%", "100.000%"]
