# Sourced by scripts/bench, scripts/test and scripts/lock: finds Python and the system programs, and makes .venv.
# Everything it says goes to stderr; stdout belongs to the command that follows.
# shellcheck shell=bash

root=$(cd -- "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")/.." && pwd -P)
venv=$root/.venv
constraints=scripts/constraints.txt
pins=scripts/pins-
# Debian gives ordinary users no sbin, where bird, mosquitto and nft live.
export PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"

# program:package. Without one of the first, no run; without one of the second, some tests are skipped.
# shellcheck disable=SC2034 # read by the scripts that source this
run_programs="ip:iproute2 nft:nftables iperf3:iperf3 bird:bird2 mosquitto:mosquitto"
# shellcheck disable=SC2034
test_programs="ping:iputils-ping pdftotext:poppler-utils tcpdump:tcpdump modprobe:kmod tshark:tshark chromium:chromium
kubectl:kubernetes-client prometheus:prometheus"

say() { printf 'podbench: %s\n' "$*" >&2; }

fail() {
    say "$@"
    exit 2
}

# A network's hiccup or a busy index is over after a moment. Args: command ...
three_times() {
    local try
    for try in 1 2 3; do
        "$@" && return
        [ "$try" = 3 ] || { say "that failed: trying again" && sleep 5; }
    done
    return 1
}

# Waits for the lock on a folder, but not for ever. Args: descriptor, folder, seconds
lock_folder() {
    local fd pid holders=''
    flock -n "$1" && return
    say "another set-up is going on: waiting for it, at most $3 s"
    flock -w "$3" "$1" && return
    for fd in /proc/[0-9]*/fd/*; do
        pid=${fd#/proc/} pid=${pid%%/*}
        [ "$pid" = "$$" ] || [ "$pid" = "$BASHPID" ] || [ ! "$fd" -ef "$2" ] ||
            holders="$holders, $pid ($(tr '\0' ' ' 2>/dev/null <"/proc/$pid/cmdline" | cut -c1-60))"
    done
    fail "the lock on $2 was not free after $3 s; processes that may hold it: ${holders#, }." \
        "End what should not be running, then call this again"
}

# Prints the packages whose programs are missing. Args: program:package ...
missing_packages() {
    local pair
    for pair in "$@"; do
        command -v "${pair%%:*}" >/dev/null || printf '%s ' "${pair##*:}"
    done
}

# True if this interpreter is new enough. Args: interpreter
is_python() {
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1
}

# Prints the interpreter .venv is made from, or nothing. PODBENCH_PYTHON overrules the search.
# An interpreter inside somebody's home comes last: another user could not run a .venv made from it.
find_python() {
    local name path last=''
    if [ -n "${PODBENCH_PYTHON:-}" ]; then
        is_python "$PODBENCH_PYTHON" || fail "PODBENCH_PYTHON=$PODBENCH_PYTHON is not a Python >= 3.11"
        realpath -s -- "$(command -v "$PODBENCH_PYTHON")"
        return
    fi
    for name in python3.13 python3.12 python3.11 python3; do
        while read -r path; do
            is_python "$path" || continue
            case $path in
            /root/* | /home/* | "${HOME:-/root}"/*) last=${last:-$path} ;;
            *)
                printf '%s\n' "$path"
                return
                ;;
            esac
        done < <(type -ap "$name")
    done
    if [ -n "$last" ]; then printf '%s\n' "$last"; fi
}

# Prints the packages that give a Python with venv. Args: the interpreter found, or nothing
python_packages() {
    local name version
    if [ -n "$1" ]; then
        "$1" -c 'import ensurepip, venv' >/dev/null 2>&1 && return
        case $(readlink -f "$1") in
        /usr/bin/python3.*) version=$("$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])') ;;
        *) fail "$1 has no venv module: set PODBENCH_PYTHON to a complete Python >= 3.11" ;;
        esac
        if [ "$(readlink -f /usr/bin/python3)" = "/usr/bin/python$version" ]; then
            printf 'python3-venv '
        else
            printf 'python%s-venv ' "$version"
        fi
        return
    fi
    for name in python3 python3.12 python3.11; do
        version=$(LC_ALL=C apt-cache policy "$name" 2>/dev/null | awk '$1 == "Candidate:" { print $2 }') || true
        if [ -n "$version" ] && dpkg --compare-versions "$version" ge 3.11; then
            printf '%s %s-venv ' "$name" "$name"
            return
        fi
    done
    # Nothing is known before the first `apt-get update`; on the releases we support this is the name.
    printf 'python3 python3-venv '
}

# True if apt knows where to get a package. Args: package
is_available() {
    lists_are_missing ||
        LC_ALL=C apt-cache policy "$1" | awk '$1 == "Candidate:" && $2 != "(none)" { found = 1 } END { exit !found }'
}

lists_are_missing() { ! compgen -G '/var/lib/apt/lists/*_Packages*' >/dev/null; }

# Prints the one line that installs packages. Args: packages
apt_line() {
    local sudo=''
    ! command -v sudo >/dev/null || sudo='sudo '
    ! lists_are_missing || printf '%sapt-get update && ' "$sudo"
    printf '%sapt-get install --no-install-recommends -y %s\n' "$sudo" "${*}"
}

policy=/usr/sbin/policy-rc.d
policy_mark='# Temporary, by podbench scripts/setup.sh'

# Keeps dpkg from starting the services of what it installs. One that is there already is left alone;
# ours lets everything through once this process is gone, so a kill leaves a machine that works as before.
forbid_services() {
    if grep -qs "$policy_mark" "$policy"; then rm -f "$policy"; fi
    (
        set -C
        printf '#!/bin/sh\n%s: services must not start by being installed.\nkill -0 %s 2>/dev/null && exit 101\nexit 0\n' \
            "$policy_mark" "$$" >"$policy"
    ) 2>/dev/null || return 0
    chmod 755 "$policy"
}

allow_services() {
    if grep -qs "$policy_mark" "$policy"; then rm -f "$policy"; fi
}

# Runs apt-get. DPkg::Lock::Timeout does not hold for the locks on lists and archives, which a new machine's
# own updates take: those are waited for here. Args: apt-get's
apt_get() {
    local words until=$((SECONDS + 300))
    local options=(-o DPkg::Lock::Timeout=300 -o Acquire::Retries=3 -o Dpkg::Use-Pty=0
        -o Dpkg::Options::=--force-confold -qq)
    while ! { words=$(LC_ALL=C apt-get "${options[@]}" "$@" 2>&1 >&3 3>&- 8<&-); } 3>&2; do
        printf '%s\n' "$words" >&2
        [[ $words == *"Could not get lock"* && $SECONDS -lt $until ]] || return 1
        say "waiting for the lock"
        sleep 5
    done
    [ -z "$words" ] || printf '%s\n' "$words" >&2
}

# Installs packages as root, without starting or enabling what they bring. Args: packages
apt_install() {
    local unit status=0
    export DEBIAN_FRONTEND=noninteractive
    say "installing with apt-get: $*"
    exec 8</var/lib/dpkg
    lock_folder 8 /var/lib/dpkg 900 # two checkouts set up at once share one policy-rc.d
    trap allow_services EXIT
    trap 'exit 130' INT TERM HUP
    forbid_services
    if lists_are_missing; then apt_get update || true; fi
    if ! apt_get install --no-install-recommends -y "$@"; then
        # Lists may be older than the archive they describe.
        apt_get update || true
        apt_get install --no-install-recommends -y "$@" || status=$?
    fi
    # Installing also marks a service to start at the next boot. Only those installed just now are unmarked.
    if command -v systemctl >/dev/null; then
        for unit in "$@"; do
            case $unit in
            bird2) systemctl --root=/ --quiet disable bird.service >&2 || true ;;
            mosquitto) systemctl --root=/ --quiet disable mosquitto.service >&2 || true ;;
            prometheus) systemctl --root=/ --quiet disable prometheus.service >&2 || true ;;
            esac
        done
    fi
    allow_services
    trap - EXIT INT TERM HUP
    exec 8<&-
    return "$status"
}

# Sees to the system packages. Args: packages that are missing
ensure_packages() {
    [ $# -gt 0 ] || return 0
    if ! command -v apt-get >/dev/null; then
        fail "this is not Debian or Ubuntu; install what gives these programs, then call this again:" \
            "python >= 3.11 with venv, iproute2 (ip), nftables (nft), iperf3, BIRD 2 (bird), mosquitto. Missing here: $*"
    fi
    if [ "$(id -u)" != 0 ]; then
        say "system packages are missing. Run this once, then call this again:"
        apt_line "$@" >&2
        exit 2
    fi
    apt_install "$@" || fail "apt-get could not install $*. See its words above; by hand: $(apt_line "$@")"
}

# What a stamp must say for .venv to be up to date.
venv_key() {
    { cat "$root/pyproject.toml" "$root/$constraints" "$root/scripts/setup.sh" && cat "$root/$pins"*.txt && printf '%s\n' "$root" &&
        readlink -f "$venv/bin/python"; } | sha256sum | cut -c1-64
}

# True if .venv holds the packages of this set (harness or test), complete and of these pins. Args: set
venv_is_current() {
    local stamp=''
    [ -x "$venv/bin/python" ] && [ -r "$venv/.podbench-$1" ] || return 1
    read -r stamp <"$venv/.podbench-$1" || return 1
    [ "$stamp" = "$(venv_key)" ]
}

# Makes an empty .venv. The mark says `not finished` to whoever comes after a kill. Args: interpreter
make_venv() {
    say "making .venv with $1 ($("$1" -V))"
    rm -rf -- "$venv"
    mkdir -- "$venv"
    : >"$venv/.podbench-unfinished"
    "$1" -m venv "$venv" >&2 || fail "$1 could not make a virtual environment in $venv (see above)"
}

# Installs from the pins into .venv, each file by its hash. Args: extras
pip_install() {
    local pip=("$venv/bin/python" -m pip install -qq --no-input --disable-pip-version-check --progress-bar off)
    # The build backend comes from the same pins as the rest, so no isolated build that would fetch another. What is
    # built here is this checkout alone; all that it needs is there by then.
    (cd -- "$root" && PIP_USER=0 "${pip[@]}" --require-hashes --only-binary :all: -r "$pins${1##*,}.txt" >&2 &&
        PIP_USER=0 "${pip[@]}" --no-deps --no-build-isolation --editable . >&2)
}

drop_unfinished() { [ ! -e "$venv/.podbench-unfinished" ] || rm -rf -- "$venv"; }

# Brings .venv to the pins. Args: set (harness or test), extras, interpreter
fill_venv() {
    local started=$SECONDS key
    trap drop_unfinished EXIT
    trap 'exit 130' INT TERM HUP
    if [ -e "$venv/.podbench-unfinished" ] || ! is_python "$venv/bin/python" ||
        ! "$venv/bin/python" -m pip --version >/dev/null 2>&1; then
        make_venv "$3"
    fi
    rm -f -- "$venv"/.podbench-harness "$venv"/.podbench-test
    say "installing Python packages ($2) into .venv: about a minute"
    three_times pip_install "$2" || fail "pip could not install the packages named in pyproject.toml (its words are above)." \
        "It needs to reach a package index: check the network, a proxy (HTTPS_PROXY) or pip's own configuration; then call this again."
    key=$(venv_key)
    [ "$1" = harness ] || printf '%s\n' "$key" >"$venv/.podbench-harness"
    printf '%s\n' "$key" >"$venv/.podbench-$1"
    rm -f -- "$venv/.podbench-unfinished"
    trap - EXIT INT TERM HUP
    say "Python packages are ready after $((SECONDS - started)) s"
}

# Sees to the Python packages, one set-up of this checkout at a time. Args: set, extras, interpreter
ensure_venv() {
    if [ ! -w "$root" ] || { [ -e "$venv" ] && [ ! -w "$venv" ]; }; then
        fail "$venv is missing or out of date, and this user may not write there:" \
            "call scripts/bench once as the owner of the checkout ($(stat -c %U "$root")), or clone it anew"
    fi
    exec 9<"$root" # the folder itself is what is locked: no lock file to leave behind
    lock_folder 9 "$root" 900
    venv_is_current "$1" || fill_venv "$@"
    exec 9<&-
}

# The whole set-up. Args: set (harness or test), extras, program:package ...
setup() {
    local python='' need=''
    if ! venv_is_current "$1"; then
        python=$(find_python)
        need=$(python_packages "$python")
        # shellcheck disable=SC2046,SC2086 # package names have no spaces
        ensure_packages $(missing_packages "${@:3}") $need
        [ -n "$python" ] || python=$(find_python)
        [ -n "$python" ] || fail "no Python >= 3.11 here: install one and set PODBENCH_PYTHON to it"
        ensure_venv "$1" "$2" "$python"
    elif [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        # Everybody else hears from the command itself what it lacks.
        # shellcheck disable=SC2046
        ensure_packages $(missing_packages "${@:3}")
    fi
}
