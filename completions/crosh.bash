# bash completion for crosh                                     -*- shell-script -*-
# shellcheck shell=bash
# SPDX-License-Identifier: MIT
# All candidates come from crosh's own command table: "crosh --complete LINE".

_crosh() {
    local line=${COMP_LINE:0:COMP_POINT} word=${COMP_WORDS[COMP_CWORD]} head='' before
    local -i i=COMP_CWORD
    local text _description

    # What of the word stands before the cursor.
    while [[ $line != *"$word" ]]; do
        word=${word%?}
    done
    # readline replaces what follows the last "=" or ":" only; the head of the whole word stays.
    if [[ $word == [=:] ]]; then
        head=$word
        word=
    fi
    while ((i > 1)); do
        before=${COMP_WORDS[i - 1]}
        [[ $line == *"$before$head$word" ]] || break
        head=$before$head
        i+=-1
    done
    line=${line#*"${COMP_WORDS[0]}"}

    COMPREPLY=()
    while IFS=$'\t' read -r text _description; do
        text=${text#"$head"}
        # Inside quotes readline wants the text as it is.
        case $word in
        [\'\"]*) ;;
        \~*) printf -v text '~%q' "${text#\~}" ;;
        *) [[ -z $text ]] || printf -v text %q "$text" ;;
        esac
        COMPREPLY+=("$text")
    done < <("${COMP_WORDS[0]/#\~\//$HOME/}" --complete "$line" 2>/dev/null)
    if [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *[/=] ]]; then
        compopt -o nospace
    fi
}

complete -F _crosh crosh
