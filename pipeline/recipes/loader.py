"""A recipe from its TOML file, with settings applied, and errors that name the key and the closest match."""

import os
import re
import tomllib
from collections.abc import Mapping
from datetime import date
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any, get_args

import msgspec

from sluice.filters.base import Filter
from sluice.filters.lists.spec import MAX_LISTS
from sluice.filters.origin import Claims, claims
from sluice.filters.plugins import SHIPPED, find, union_of, wrong_spec
from sluice.pipeline.recipes.schema import Classifier, Recipe
from sluice.schemas.errors import FilterError, RecipeError, did_you_mean
from sluice.schemas.payloads.known_formats import FORMATS

_SHIPPED = resources.files("sluice.pipeline.recipes")


def shipped_recipes() -> list[str]:
    """Returns the names of the recipes in the package."""
    return sorted(f.name[:-5] for f in _SHIPPED.iterdir() if f.name.endswith(".toml"))


def load(
    recipe: str | os.PathLike[str] | Recipe,
    *,
    sets: tuple[str, ...] = (),
    overrides: Mapping[str, Any] | None = None,
) -> Recipe:
    """Returns a recipe with settings applied.

    Args:
        recipe: the path of a TOML file, the name of a shipped recipe, or a recipe.
        sets: KEY=VALUE, the value as TOML, as `--set` takes them.
        overrides: key -> value, as `{"filters.spam.max_spam": 0.9}`; None stands for the key's default.

    Raises:
        RecipeError: the file is missing or not TOML, or a key is unknown or its value out of range;
            the message names the key's path.
    """
    settings = [(f"--set {text}", *_parsed(text)) for text in sets]
    for key, value in _checked(overrides).items():
        settings.append((f"overrides[{key!r}]", key, value))
    if isinstance(recipe, Recipe) and not settings:
        return recipe
    where = recipe.name if isinstance(recipe, Recipe) else os.fspath(recipe)
    if where in shipped_recipes() and not settings:
        return _shipped(where)
    tree = plain(recipe) if isinstance(recipe, Recipe) else _read(where)
    for said, key, value in settings:
        _apply(tree, key, value, said=said)
    return decode(tree, where=where)


@lru_cache(maxsize=8)
def _shipped(name: str) -> Recipe:
    """Returns a shipped recipe; decoded once in a process."""
    return decode(_read(name), where=name)


def plain(recipe: Recipe) -> dict[str, Any]:
    """Returns the tree of a recipe, defaults included, as TOML would give it; what is None is left out."""
    tree: dict[str, Any] = _without_none(msgspec.to_builtins(recipe, builtin_types=(date,)))
    return tree


def _without_none(node: Any) -> Any:
    if isinstance(node, dict):
        return {key: _without_none(value) for key, value in node.items() if value is not None}
    return [_without_none(value) for value in node] if isinstance(node, list | tuple) else node


def _checked(overrides: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """Returns the overrides; raises RecipeError where they are no mapping, as those of 0.2 were."""
    if overrides is None or isinstance(overrides, Mapping):
        return overrides or {}
    raise RecipeError(
        f'overrides must map keys to values, as {{"filters.spam.max_spam": 0.9}}, '
        f"got {type(overrides).__name__}"
    )


def decode(tree: dict[str, Any], *, where: str) -> Recipe:
    """Returns the recipe that a decoded TOML tree holds; raises RecipeError naming the key."""
    claimed = claims()
    kinds = _filter_kinds(tree, claimed, where=where)
    try:
        recipe = _convert(tree, kinds)
    except msgspec.ValidationError as error:
        raise RecipeError(f"{where}: {_explain(str(error), tree, kinds, claimed)}") from None
    for i, spec in enumerate(recipe.filters):
        wrong = None if type(spec) in SHIPPED.values() else wrong_spec(spec)
        if wrong:
            raise RecipeError(f"{where}: $.filters[{i}] ({spec.name}): {wrong}")
    names = [f.name for f in recipe.filters]
    twice = sorted({n for n in names if names.count(n) > 1})
    if twice:
        raise RecipeError(
            f"{where}: $.filters: {twice[0]!r} is there twice; one filter, one threshold"
        )
    wrong = _wrong_list(recipe) or _wrong_source(recipe)
    if wrong is not None:
        raise RecipeError(f"{where}: {wrong}")
    called = [each.name for each in recipe.decontamination.sets]
    for i, name in enumerate(called):
        if name in called[:i]:
            raise RecipeError(
                f"{where}: $.decontamination.sets[{i}].name: {name!r} is there twice; set another name"
            )
    for i, model in enumerate(recipe.transformers):
        _check_transformer(recipe, model, where=f"{where}: $.transformers[{i}]")
    idle = recipe.workers.without_effect(
        transformers=bool(recipe.transformers),
        history=recipe.dedup.history is not None,
        conversations=recipe.tokens.documents == "conversations",
        sets=bool(recipe.decontamination.sets),
    )
    if idle is not None:
        raise RecipeError(f"{where}: $.workers.{idle}: the recipe has no phase that would use it")
    return recipe


def _wrong_list(recipe: Recipe) -> str | None:
    """Returns what is wrong with the lists of a recipe beside each other and its input, or None."""
    if len(recipe.lists) > MAX_LISTS:
        return f"$.lists: there are {len(recipe.lists)}; a recipe has {MAX_LISTS} at most: put files together"
    called = [spec.name for spec in recipe.lists]
    platforms = {of.platform for of in FORMATS.values()}
    for i, spec in enumerate(recipe.lists):
        if spec.name in called[:i]:
            return f"$.lists[{i}].name: {spec.name!r} is there twice; set another name"
        for name in spec.platforms if "platform" not in recipe.input.columns else ():
            if name not in platforms:
                return f"$.lists[{i}].platforms: no payload is of {name!r}{did_you_mean(name, platforms)}"
    return None


def _wrong_source(recipe: Recipe) -> str | None:
    """Returns what is wrong with the notes on sources beside each other, or None."""
    called = [note.name for note in recipe.sources]
    for i, name in enumerate(called):
        if name in called[:i]:
            return f"$.sources[{i}].name: {name!r} is there twice; set another name"
    if len({bool(note.values) for note in recipe.sources}) > 1:
        return "$.sources: some are by values and some by files or platforms: a post would have two"
    return None


def _filter_kinds(tree: dict[str, Any], claimed: Claims, *, where: str) -> dict[str, type[Filter]]:
    """Returns the filters that a recipe may have: all of ours, and those of others that it names.

    Raises:
        RecipeError: a filter that it names is claimed more than once, or cannot be loaded.
    """
    kinds, entries = dict(SHIPPED), tree.get("filters")
    for i, entry in enumerate(entries if isinstance(entries, list) else []):
        name = entry.get("filter") if isinstance(entry, dict) else None
        try:
            kind = find(name, claimed) if isinstance(name, str) else None
        except FilterError as error:
            raise RecipeError(f"{where}: $.filters[{i}].filter: {error}") from error
        if kind is not None:
            kinds[str(name)] = kind
    return kinds


def _convert(tree: dict[str, Any], kinds: dict[str, type[Filter]]) -> Recipe:
    """Returns the recipe; its filters are decoded apart where some are of other distributions."""
    others = [kind for name, kind in kinds.items() if name not in SHIPPED]
    if not others:
        return msgspec.convert(tree, Recipe)
    spec: Any = union_of(others)
    table: Any = msgspec.defstruct("Filters", [("filters", tuple[spec, ...])])
    filters = msgspec.convert({"filters": tree["filters"]}, table).filters
    recipe = msgspec.convert({**tree, "filters": []}, Recipe)
    return msgspec.structs.replace(recipe, filters=filters)


def _check_transformer(recipe: Recipe, model: Classifier, *, where: str) -> None:
    """Raises RecipeError where the name cannot be a file's or is there twice, or the screen is none."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", model.prefix):
        raise RecipeError(
            f"{where}.name: {model.prefix!r} must be letters, digits, - and _: it names files and columns"
        )
    if [m.prefix for m in recipe.transformers].count(model.prefix) > 1:
        raise RecipeError(f"{where}.name: {model.prefix!r} is there twice; set another name")
    screens = [f.name for f in recipe.filters if f.screen]
    if model.screen is not None and model.screen not in screens:
        hint = did_you_mean(model.screen, screens)
        raise RecipeError(
            f"{where}.screen: the recipe has no filter {model.screen!r} that runs a model{hint}"
        )


def _read(name_or_path: str) -> dict[str, Any]:
    path = Path(name_or_path)
    if path.suffix == ".toml" or os.sep in name_or_path:
        try:
            text = path.read_text("utf-8")
        except FileNotFoundError:
            near = [p.name for p in path.parent.glob("*.toml")] if path.parent.is_dir() else []
            hint = did_you_mean(path.name, near) if near else ""
            raise RecipeError(f"{path}: no such recipe file{hint}") from None
        except (OSError, UnicodeDecodeError) as error:
            raise RecipeError(f"{path}: cannot be read: {error}") from None
    elif name_or_path in shipped_recipes():
        text = (_SHIPPED / f"{name_or_path}.toml").read_text("utf-8")
    else:
        hint = did_you_mean(name_or_path, shipped_recipes())
        raise RecipeError(
            f"{name_or_path}: no shipped recipe has this name (a path ends in .toml){hint}"
        )
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise RecipeError(f"{name_or_path}: not TOML: {error}") from None


def _parsed(setting: str) -> tuple[str, Any]:
    """Returns the key and the value of KEY=VALUE."""
    key, equals, value = setting.partition("=")
    if not equals or not key.strip():
        raise RecipeError(
            f"--set {setting}: must be KEY=VALUE, for example --set dedup.threshold=0.7"
        )
    return key.strip(), _value(value.strip())


def _apply(tree: dict[str, Any], key: str, value: Any, *, said: str) -> None:
    """Sets one dotted key, or takes it away where the value is None; a filter is found by its name."""
    *parents, last = key.split(".")
    node: Any = tree
    for depth, name in enumerate(parents):
        node = _child(node, name, f"{said}: " + ".".join(parents[: depth + 1]))
    if not isinstance(node, dict):
        raise RecipeError(f"{said}: {'.'.join(parents)} holds no keys")
    if value is None:
        node.pop(last, None)
    else:
        node[last] = _without_none(value)


def _child(node: Any, name: str, where: str) -> Any:
    if isinstance(node, list):
        if name.isdigit() and int(name) < len(node):
            return node[int(name)]
        names = [_name_of(entry) for entry in node]
        places = [k for k, other in enumerate(names) if other == name]
        if len(places) == 1:
            return node[places[0]]
        table = where.split()[-1].partition(".")[0]
        if places:
            listed = ", ".join(f"{table}.{k}" for k in places)
            raise RecipeError(f"{where}: is there {len(places)} times; use its place: {listed}")
        hint = did_you_mean(name, names)
        raise RecipeError(f"{where}: the recipe has no such {table[:-1]}{hint}")
    if not isinstance(node, dict):
        raise RecipeError(f"{where}: holds no keys")
    return node.setdefault(name, {})


def _name_of(entry: Any) -> str:
    """Returns what a filter or a transformer is called; "" for what is no table."""
    if not isinstance(entry, dict):
        return ""
    model = str(entry.get("model", "")).rpartition("/")[2]
    return str(entry.get("filter") or entry.get("name") or model)


def _value(text: str) -> Any:
    """Returns the TOML value of a text; what is not TOML is a plain string."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _explain(
    message: str, tree: dict[str, Any], kinds: dict[str, type[Filter]], claimed: Claims
) -> str:
    """Turns msgspec's message into `path: what is wrong; did you mean`."""
    text, _, path = message.rpartition(" - at `")
    path = path.rstrip("`") if text else "$"
    text = text or message
    unknown = re.search(r"unknown field `([^`]+)`", text)
    if unknown:
        key = unknown.group(1)
        return f"{path}.{key}: unknown key{did_you_mean(key, _known_keys(path, tree, kinds))}"
    invalid = re.search(r"Invalid value '([^']+)'", text)
    if invalid and path.endswith(".filter"):
        hint = did_you_mean(invalid.group(1), {*kinds, *claimed})
        return f"{path}: no filter {invalid.group(1)!r}{hint}"
    choice = re.search(r"Invalid enum value '([^']+)'", text)
    if choice:
        names = [name for name in get_args(_type_at(path, tree, kinds)) if isinstance(name, str)]
        return f"{path}: must be one of {', '.join(names)}, got {choice.group(1)!r}"
    if "RFC3339 encoded date" in text:
        return f"{path}: must be a day, YYYY-MM-DD"
    return f"{path}{_entry_name(path, tree)}: {text[0].lower()}{text[1:]}"


def _entry_name(path: str, tree: dict[str, Any]) -> str:
    """Returns " (spam)" for the path of a table in a list, which has a number; else nothing."""
    place = re.fullmatch(r"\$\.(sources|lists|filters|transformers)\[(\d+)\]", path)
    return f" ({_name_of(tree[place[1]][int(place[2])])})" if place else ""


def _known_keys(path: str, tree: dict[str, Any], kinds: dict[str, type[Filter]]) -> list[str]:
    """Returns the keys that the table at `path` may hold."""
    node = _type_at(path, tree, kinds)
    fields_of = [f.name for f in msgspec.structs.fields(node)] if isinstance(node, type) else []
    return [*fields_of, "filter"] if node in kinds.values() else fields_of


def _type_at(path: str, tree: dict[str, Any], kinds: dict[str, type[Filter]]) -> Any:
    """Returns the type that the recipe declares at `path`."""
    node: Any = Recipe
    at: Any = tree
    for name, index in re.findall(r"\.(\w+)|\[(\d+|\.\.\.)\]", path):
        if name:
            is_struct = isinstance(node, type) and issubclass(node, msgspec.Struct)
            fields = {f.name: f.type for f in msgspec.structs.fields(node)} if is_struct else {}
            node, at = fields.get(name), at.get(name) if isinstance(at, dict) else None
        elif isinstance(at, list) and index.isdigit():
            at = at[int(index)]
            kind = kinds.get(str(at.get("filter"))) if isinstance(at, dict) else None
            node = kind or get_args(node)[0]
    return node
