# SPDX-License-Identifier: MIT
# fish completion: all candidates come from crosh's own command table: "crosh --complete LINE".

function __crosh_complete
    set -l words (commandline --current-process --tokenize --cut-at-cursor)
    set -l line (commandline --current-process --cut-at-cursor | string collect)
    command $words[1] --complete (string replace --regex '^\s*\S+\s*' '' -- $line | string collect --allow-empty) 2>/dev/null
end

complete --command crosh --no-files --arguments '(__crosh_complete)'
