#!/usr/bin/env bash
# Set up all that the workflow needs: the system tools (from Debian or Ubuntu, or from conda) and the pinned Python
# packages in .venv. Says in one message what is missing and how to get it. A second call finds everything done.
# With the arguments "slurm", "r", "chromium" and "debootstrap", also these, which only tests need (from Debian or Ubuntu only).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

readonly LOCK=envs/requirements.lock
readonly VENV=.venv
readonly TOOLS=.tools # a conda environment, where the tools come from one
export PATH="$PWD/$TOOLS/bin:$PATH"

# Program → Debian package. sra-toolkit's loaders make the archives of the toy world.
declare -A PACKAGE=(
    [STAR]=rna-star [samtools]=samtools [prefetch]=sra-toolkit [fastq-dump]=sra-toolkit [vdb-validate]=sra-toolkit
    [sra-stat]=sra-toolkit [vdb-dump]=sra-toolkit [latf-load]=sra-toolkit [sharq]=sra-toolkit
    [general-loader]=sra-toolkit [kar]=sra-toolkit [kdbmeta]=sra-toolkit [align-info]=sra-toolkit
)
HINT=""
export PATH="$PATH:/usr/sbin"
for argument in "$@"; do
    case "$argument" in
    slurm)
        PACKAGE+=([slurmctld]=slurm-wlm [slurmd]=slurm-wlm [sbatch]=slurm-wlm [munged]=munge)
        HINT="$HINT slurm-wlm munge"
        ;;
    r)
        PACKAGE+=([Rscript]=r-base-core)
        HINT="$HINT r-base-core"
        ;;
    chromium)
        PACKAGE+=([chromium]=chromium)
        HINT="$HINT chromium"
        ;;
    debootstrap)
        PACKAGE+=([debootstrap]=debootstrap)
        HINT="$HINT debootstrap"
        ;;
    *)
        echo "set-up: unknown argument $argument; slurm, r, chromium and debootstrap are known" >&2
        exit 2
        ;;
    esac
done
readonly PACKAGE HINT

say() { printf 'set-up: %s\n' "$*" >&2; }

missing_tools() {
    local program
    for program in "${!PACKAGE[@]}"; do
        command -v "$program" >/dev/null || printf '%s\n' "$program"
    done | sort
}

find_python() {
    local candidate
    for candidate in python3.13 python3.12 python3.11 python3.14 python3; do
        if "$candidate" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$candidate"
            return
        fi
    done
    return 1
}

python_version() {
    "$1" -c 'import sys; print(sys.version_info[:2])'
}

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi
}

have_apt() {
    command -v apt-get >/dev/null && { [ "$(id -u)" = 0 ] || sudo -n true 2>/dev/null; }
}

apt_install() {
    say "apt-get install $* (some minutes)"
    { as_root apt-get -q update && as_root env DEBIAN_FRONTEND=noninteractive apt-get -q install -y --no-install-recommends "$@"; } >&2
}

# Say where this system cannot have what is needed, however often it is asked.
too_old() {
    local ID="" VERSION_ID="" PRETTY_NAME=""
    [ ! -r "${OS_RELEASE:=/etc/os-release}" ] || . "$OS_RELEASE"
    case "$ID:${VERSION_ID%%.*}" in
    debian:[1-9] | debian:1[01] | ubuntu:1? | ubuntu:20 | ubuntu:22)
        echo "  $PRETTY_NAME is too old for the first way: its Python or its sra-toolkit lacks what is needed. Take Debian 12 or
  Ubuntu 24.04, or later ones, or one of the other ways." >&2
        ;;
    esac
}

find_conda() {
    local candidate
    for candidate in micromamba mamba conda; do
        if command -v "$candidate" >/dev/null; then
            printf '%s\n' "$candidate"
            return
        fi
    done
    return 1
}

conda_install() {
    local conda=$1 verb
    for file in envs/star.yaml envs/sra_tools.yaml; do
        say "$conda: $file into $TOOLS (some minutes)"
        verb=create
        [ ! -d "$TOOLS/conda-meta" ] || verb=update
        if [ "$conda" = micromamba ]; then
            [ "$verb" = create ] || verb=install
            micromamba "$verb" -y -q -p "$PWD/$TOOLS" -f "$file" >&2
        else
            "$conda" env "$verb" -q -p "$PWD/$TOOLS" -f "$file" >&2
        fi
    done
}

install_tools() {
    local missing packages conda
    missing=$(missing_tools)
    if [ -n "$missing" ] || ! find_python >/dev/null; then
        if have_apt; then
            packages=$(for program in $missing; do printf '%s\n' "${PACKAGE[$program]}"; done | sort -u)
            find_python >/dev/null || packages="$packages python3 python3-venv"
            # shellcheck disable=SC2086
            apt_install $packages || true
        fi
        missing=$(missing_tools)
        if { [ -n "$missing" ] || ! find_python >/dev/null; } && conda=$(find_conda); then
            conda_install "$conda" || true
            hash -r
        fi
    fi
    missing=$(missing_tools)
    find_python >/dev/null || missing="$missing python3(>=3.11,with-venv)"
    if [ -n "$missing" ]; then
        cat >&2 <<MESSAGE
set-up: these programs are missing: $(echo $missing)
  On Debian or Ubuntu, as root:   apt-get install rna-star sra-toolkit samtools python3 python3-venv$HINT
  With conda, mamba, micromamba:  put one of them on PATH and call this again; it uses envs/star.yaml and envs/sra_tools.yaml
  Without root and conda:         micromamba is one program to download, see https://mamba.readthedocs.io
MESSAGE
        too_old
        exit 1
    fi
}

install_python_packages() {
    local python version stamp options=()
    python=$(find_python)
    version=$(python_version "$python")
    stamp="$(sha256sum "$LOCK" | cut -d' ' -f1) $version"
    if [ "$(cat "$VENV/.stamp" 2>/dev/null)" = "$stamp" ] && [ -e "$VENV/bin/activate" ]; then
        return
    fi
    say "Python packages of $LOCK into $VENV (a minute or two)"
    [ "$(python_version "$VENV/bin/python" 2>/dev/null)" = "$version" ] || options=(--clear)
    "$python" -m venv "${options[@]}" "$VENV"
    "$VENV/bin/python" -m pip install -q --disable-pip-version-check --root-user-action=ignore --require-hashes -r "$LOCK" >&2
    printf '%s\n' "$stamp" >"$VENV/.stamp"
}

install_tools
install_python_packages
