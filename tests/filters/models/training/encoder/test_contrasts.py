"""Contrast pairs: the same words in posts of both labels, so that only what a post means tells them apart."""

import re
import tomllib
from collections import Counter, defaultdict
from pathlib import Path

import pytest

from sluice.filters.models.training.encoder import contrasts
from sluice.filters.models.training.encoder.contrasts import (
    KINDS,
    SHARED_SLOTS,
    TEMPLATES,
    contrast_posts,
)

MOST = 160
FILES = [path for kind in KINDS for path in sorted((TEMPLATES / kind).glob("*.toml"))]
IDS = [f"{path.parent.name}-{path.stem}" for path in FILES]


def written(path: Path) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    """Returns the slots and the templates of a file, read in the plainest way."""
    tables = tomllib.loads(path.read_text(encoding="utf-8"))
    slots, posts = (
        {name: text.strip().split("\n") for name, text in tables.get(part, {}).items()}
        for part in ("slots", "posts")
    )
    return slots, posts


@pytest.mark.parametrize("kind", KINDS)
def test_every_language_has_as_many_posts_of_either_label_and_no_post_twice(kind: str) -> None:
    posts = contrast_posts(1, MOST, kind)
    counts = Counter(zip(posts["lang"].to_pylist(), posts["label"].to_pylist(), strict=True))
    languages = {path.stem for path in FILES if path.parent.name == kind}
    assert {lang for lang, _ in counts} == languages
    for lang in languages:
        assert 0 < counts[lang, 0] == counts[lang, 1] <= MOST // 2
    texts = posts["text"].to_pylist()
    assert len(set(texts)) == len(texts)


@pytest.mark.parametrize("kind", KINDS)
def test_posts_are_a_pure_function_of_the_seed(kind: str) -> None:
    assert contrast_posts(1, MOST, kind).equals(contrast_posts(1, MOST, kind))
    assert not contrast_posts(1, MOST, kind).equals(contrast_posts(2, MOST, kind))


@pytest.mark.parametrize("path", FILES, ids=IDS)
def test_every_post_is_a_template_of_its_label_with_its_slots_filled(path: Path) -> None:
    slots, templates = written(path)
    slots = written(SHARED_SLOTS)[0] | slots
    posts = contrast_posts(3, MOST, path.parent.name).to_pylist()
    for name, label in (("bad", 1), ("good", 0)):
        patterns = [as_pattern(template, slots) for template in templates[name]]
        own = {
            post["text"] for post in posts if (post["lang"], post["label"]) == (path.stem, label)
        }
        used = [pattern for pattern in patterns if any(map(pattern.fullmatch, own))]
        assert len(used) == len(patterns)
        assert all(any(pattern.fullmatch(text) for pattern in patterns) for text in own)


def as_pattern(template: str, slots: dict[str, list[str]]) -> re.Pattern[str]:
    """Returns an expression for all ways of filling a template."""
    pieces = re.split(r"\{(\w+)\}", template)
    for i in range(1, len(pieces), 2):
        pieces[i] = "(?:" + "|".join(map(re.escape, slots[pieces[i]])) + ")"
    pieces[::2] = map(re.escape, pieces[::2])
    return re.compile("".join(pieces), re.IGNORECASE)


@pytest.mark.parametrize("path", FILES, ids=IDS)
def test_a_file_has_each_line_once_and_uses_every_slot(path: Path) -> None:
    slots, templates = written(path)
    for values in (*slots.values(), *templates.values()):
        assert all(line == line.strip() != "" for line in values)
        assert max(Counter(values).values()) == 1
    named = set(re.findall(r"\{(\w+)\}", str(templates)))
    assert named - set(written(SHARED_SLOTS)[0]) == set(slots)


@pytest.mark.parametrize("path", FILES, ids=IDS)
def test_what_could_be_a_sign_stands_in_templates_of_both_labels(path: Path) -> None:
    slots, templates = written(path)
    shared = {"group", "vermin", "insult", "goods", "topic", "place", "url", "price", "coin"}
    for slot in shared & ({*slots} | {*written(SHARED_SLOTS)[0]}):
        used = {name: "{" + slot + "}" in text for name, text in joined(templates).items()}
        assert used["bad"] == used["good"] or (slot, used["good"]) == ("topic", True)


def joined(templates: dict[str, list[str]]) -> dict[str, str]:
    """Returns the templates of each label as one text."""
    return {name: "\n".join(lines) for name, lines in templates.items()}


def test_no_language_has_a_post_under_both_labels() -> None:
    for kind in KINDS:
        labels = defaultdict(set)
        for post in contrast_posts(5, 2000, kind).to_pylist():
            labels[post["text"].casefold()].add(post["label"])
        assert [text for text, both in labels.items() if len(both) > 1] == []


def test_an_unknown_kind_is_refused_with_the_closest_one() -> None:
    with pytest.raises(ValueError, match=r"'toxic'; did you mean 'toxicity'\?"):
        contrast_posts(1, MOST, "toxic")


def test_a_slot_that_a_file_lacks_is_refused_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "toxicity").mkdir()
    file = tmp_path / "toxicity" / "en.toml"
    file.write_text('[slots]\nthing = "a lamp"\n[posts]\nbad = "buy {thin}"\ngood = "{thing}"\n')
    monkeypatch.setattr(contrasts, "TEMPLATES", tmp_path)
    with pytest.raises(ValueError, match=r"en\.toml: .* lack 'thin'; did you mean 'thing'\?"):
        contrast_posts(1, MOST)
