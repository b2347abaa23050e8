#!/bin/sh
# SPDX-License-Identifier: MIT
# Tests the module with the installed crosh: "make check". CROSH names another one.
set -eu

cd "$(dirname "$0")"
crosh=${CROSH:-crosh}
failed=0

# expect STATUS OUTPUT WORDS...: runs crosh with the words.
expect() {
    status=$1 wanted=$2
    shift 2
    result=0
    output=$("$crosh" --module-dir "${MODULE_DIR:-$PWD}" "$@" 2>&1 </dev/null) || result=$?
    if [ "$result" -eq "$status" ] && [ "$output" = "$wanted" ]; then
        printf 'ok      %s\n' "$*"
        return
    fi
    printf 'FAILED  %s\n  status %s, wanted %s\n  %s\n' "$*" "$result" "$status" "$output"
    failed=1
}

expect 0 'Hello, world!' hello say
expect 0 'Hallo, Welt!' -c 'hello say -l de Welt'
expect 2 'hello say: --language: "es" is none of: en, de, fr
hint: see "help hello say"' hello say --language=es
expect 0 'LANGUAGE  WORD
en        Hello
de        Hallo
fr        Bonjour' hello list
expect 0 '[{"language": "en", "word": "Hello"}, {"language": "de", "word": "Hallo"}, {"language": "fr", "word": "Bonjour"}]' \
    hello list --json
expect 0 3 -c 'hello count 3 2>/dev/null'
expect 2 'hello count: TO: "0" is out of range: 1 to 1000 is allowed
hint: see "help hello count"' hello count 0
# What TAB offers: the candidates of the table and of complete_name(), with their descriptions.
tab=$(printf '\t')
expect 0 "moon${tab}nobody
world${tab}everybody" --complete 'hello say '
expect 0 "--language=de$tab
--language=en$tab
--language=fr$tab" --complete 'hello say --language='
exit "$failed"
