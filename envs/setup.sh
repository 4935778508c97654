#!/usr/bin/env bash
# Set up all that the workflow needs: the system tools (from Debian or Ubuntu, or from conda) and the pinned Python
# packages in .venv. Says in one message what is missing and how to get it. A second call finds everything done.
# With the arguments "slurm", "slurm-accounting" (slurmdbd and MariaDB), "r", "chromium" and "debootstrap", also these,
# which only tests and benchmarks need (from Debian or Ubuntu only).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

readonly LOCK=envs/requirements.lock
readonly VENV=.venv
readonly TOOLS=.tools # a conda environment, where the tools come from one
readonly LOG=.setup.log # what package managers say
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
    slurm-accounting)
        PACKAGE+=([slurmdbd]=slurmdbd [mariadbd]=mariadb-server-core)
        HINT="$HINT slurmdbd mariadb-server-core"
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
        echo "set-up: unknown argument $argument; slurm, slurm-accounting, r, chromium and debootstrap are known" >&2
        exit 2
        ;;
    esac
done
readonly PACKAGE HINT

say() { printf 'set-up: %s\n' "$*" >&2; }

# Run a package manager; what it says goes into a log, whose end is shown where it fails.
quietly() {
    say "$1"
    shift
    "$@" >"$LOG" 2>&1 && return
    say "$1 failed. The end of $PWD/$LOG:"
    tail -n 15 "$LOG" | sed 's/^/  | /' >&2
    return 1
}

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

apt-get-install() {
    as_root apt-get -q update &&
        as_root env DEBIAN_FRONTEND=noninteractive apt-get -q install -y --no-install-recommends "$@"
}

# Print the name of this system where its packages lack what is needed: a newer Python, or sharq of sra-toolkit.
too_old() {
    local ID="" VERSION_ID="" PRETTY_NAME=""
    [ ! -r "${OS_RELEASE:=/etc/os-release}" ] || . "$OS_RELEASE"
    case "$ID:${VERSION_ID%%.*}" in
    debian:[1-9] | debian:1[01] | ubuntu:1? | ubuntu:20 | ubuntu:22) printf '%s\n' "${PRETTY_NAME:-$ID $VERSION_ID}" ;;
    *) return 1 ;;
    esac
}

find_conda() {
    local candidate
    for candidate in micromamba mamba conda; do
        if PATH="$PATH:${HOME:-}/.local/bin" command -v "$candidate"; then
            return
        fi
    done
    return 1
}

conda_install() {
    local conda=$1 verb
    for file in envs/star.yaml envs/sra_tools.yaml; do
        verb=create
        [ ! -d "$TOOLS/conda-meta" ] || verb=update
        if [ "${conda##*/}" = micromamba ]; then
            [ "$verb" = create ] || verb=install
            set -- "$verb" -y -q
        else
            set -- env "$verb" -q
        fi
        quietly "${conda##*/}: the programs of $file into $TOOLS (some minutes)" \
            "$conda" "$@" -p "$PWD/$TOOLS" -f "$file" || return 1
    done
}

install_tools() {
    local missing packages conda old
    missing=$(missing_tools)
    if [ -n "$missing" ] || ! find_python >/dev/null; then
        if old=$(too_old); then
            say "the packages of $old are too old: its Python or its sra-toolkit lacks what is needed."
        elif have_apt; then
            packages=$(for program in $missing; do printf '%s\n' "${PACKAGE[$program]}"; done | sort -u)
            find_python >/dev/null || packages="$packages python3 python3-venv"
            # shellcheck disable=SC2086
            quietly "apt-get install $(echo $packages) (some minutes)" apt-get-install $packages || true
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
        say "these programs are missing: $(echo $missing)"
        if [ -n "${old:-}" ]; then
            echo "  Take Debian 12, Ubuntu 24.04 or later ones, or one of these:" >&2
        else
            echo "  On Debian or Ubuntu, as root:  apt-get install rna-star sra-toolkit samtools python3 python3-venv$HINT" >&2
        fi
        cat >&2 <<'MESSAGE'
  With conda, mamba, micromamba: put one of them on PATH and call this again
                                 (it takes what envs/star.yaml and envs/sra_tools.yaml name)
  Without root and conda:        get micromamba, one program, and call this again:
                                 "${SHELL}" <(curl -L micro.mamba.pm/install.sh)
MESSAGE
        exit 1
    fi
}

make_venv() {
    local python=$1
    shift
    "$python" -m venv "$@" "$VENV" &&
        "$VENV/bin/python" -m pip install -q --disable-pip-version-check --no-input --root-user-action=ignore \
            --require-hashes -r "$LOCK"
}

install_python_packages() {
    local python version stamp options=()
    python=$(find_python)
    version=$(python_version "$python")
    stamp="$(sha256sum "$LOCK" | cut -d' ' -f1) $version"
    if [ "$(cat "$VENV/.stamp" 2>/dev/null)" = "$stamp" ] && [ -e "$VENV/bin/activate" ]; then
        return
    fi
    [ "$(python_version "$VENV/bin/python" 2>/dev/null)" = "$version" ] || options=(--clear)
    if ! quietly "Python packages of $LOCK into $VENV (a minute or two)" make_venv "$python" "${options[@]}"; then
        say "$python $version: pip could not install the packages. Without a network they cannot be had; else take"
        echo "  a Python from 3.11 to 3.14, for which all of them are ready, and call this again." >&2
        exit 1
    fi
    printf '%s\n' "$stamp" >"$VENV/.stamp"
}

install_tools
install_python_packages
