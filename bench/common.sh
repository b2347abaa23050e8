# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034
# Sourced by the benchmarks that run in the lab host: the options they share, and medians.

# usage: the comment at the head of the benchmark, and the end.
usage() {
    sed -n '3,/^set /s/^# \{0,1\}//p' "$0" >&2
    exit 2
}

# read_options NAME... -- [ARGUMENT]...: sets $build, $prefix, $image, $repetitions and $clock from
# --build, --prefix, --image, --repetitions and --wall among the arguments, and $NAME from --NAME,
# each of which the benchmark has set to its default. $lab becomes the command that runs a script
# in the lab host but for its time limit and files.
read_options() {
    local own=' build prefix image repetitions '
    build='' prefix='' clock=--icount
    image=${XDG_DATA_HOME:-$HOME/.local/share}/crosh/images/micro
    while [ "$1" != -- ]; do
        own="$own$1 "
        shift
    done
    shift
    while [ $# -gt 0 ]; do
        [ "$1" != "${1#--}" ] || usage
        case $own in
        *" ${1#--} "*)
            [ $# -ge 2 ] || usage
            printf -v "${1#--}" %s "$2"
            shift 2
            ;;
        *)
            [ "$1" = --wall ] || usage
            clock=''
            shift
            ;;
        esac
    done
    : "${build:?--build DIR is needed}"
    # What runs in the lab host knows it by the same path, from another directory.
    build=$(cd "$build" && pwd)
    prefix=${prefix:-$build/prefix}
    crosh_vm=$prefix/libexec/crosh/crosh-vm
    lab=("$top/tests/lab/lab" run --image "$image" --prefix "$prefix")
    [ -z "$clock" ] || lab+=("$clock")
}

# in_lab LABEL ARGUMENT...: what the lab prints for one candidate, once that has come to its end.
# Where time counts instructions it stands still now and then: a run that takes longer than $patience
# seconds of this machine's is made anew, three times in all, and that is said.
patience=${patience:-300}
in_lab() {
    local label=$1 run output
    shift
    for run in 1 2 3; do
        if output=$("${lab[@]}" --timeout "$patience" "$@" </dev/null); then
            printf '%s\n' "$output"
            return
        fi
        echo "$label: run $run of at most 3 did not come to its end" >&2
    done
}

# need PROGRAM...: the end when one is not built.
need() {
    for program in "$@"; do
        [ -x "$program" ] || { echo "${0##*/}: $program is not built" >&2 && exit 1; }
    done
}

# For awk: median("3 1 2") is 2.
median='
function median(list,    values, n, i, j, t) {
    n = split(list, values, " ")
    for (i = 2; i <= n; i++)
        for (j = i; j > 1 && values[j - 1] + 0 > values[j] + 0; j--) {
            t = values[j]; values[j] = values[j - 1]; values[j - 1] = t
        }
    return n % 2 ? values[(n + 1) / 2] : (values[n / 2] + values[n / 2 + 1]) / 2
}
'
