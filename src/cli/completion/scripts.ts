/**
 * The scripts that teach bash, zsh and fish to ask `flt completion words`.
 *
 * Idea. Each hands over the words up to the cursor, and reads lines back: a candidate, a tab, what it is; a first line ":files" says
 * that the shell may offer files, too. Whatever goes wrong there is no candidate, and nothing is printed.
 *
 * @module
 */
export const SHELLS = ["bash", "zsh", "fish"] as const;
export type Shell = (typeof SHELLS)[number];

/** The first line of an answer, where files may be offered. */
export const FILES_LINE = ":files";

/**
 * bash breaks words at "=" and ":", too, and wants back only what comes after the last of them: the words are put together
 * again from the line, and the answers cut.
 */
const BASH = String.raw`# Completion of flt for bash, made by: flt completion bash
_flt() {
  local rest=\${COMP_LINE:0:COMP_POINT} trimmed chunk joined reply index line files=
  local -a words=()
  for ((index = 0; index <= COMP_CWORD; index++)); do
    trimmed=\${rest#"\${rest%%[![:space:]]*}"}
    chunk=\${COMP_WORDS[index]}
    if ((index == COMP_CWORD)); then chunk=$trimmed; fi
    if ((index > 0)) && [[ $trimmed == "$rest" ]]; then
      words[\${#words[@]}-1]+=$chunk
    else
      words+=("$chunk")
    fi
    rest=\${trimmed#"$chunk"}
  done
  for index in "\${!words[@]}"; do
    # Takes backslashes away as the shell would.
    IFS= read words[index] <<<"\${words[index]}"
  done
  if [[ $chunk == [=:]* ]]; then chunk=\${chunk#[=:]}; fi
  joined=\${words[\${#words[@]}-1]}
  IFS= read chunk <<<"$chunk"
  COMPREPLY=()
  while IFS= read -r line; do
    if [[ $line == :files ]]; then files=1; continue; fi
    reply=\${line%%$'\t'*}
    COMPREPLY+=("\${reply:\${#joined}-\${#chunk}}")
  done < <("\${words[0]/#\~/$HOME}" completion words -- "\${words[@]:1}" 2>/dev/null)
  if [[ $files ]]; then
    compopt -o filenames 2>/dev/null
    while IFS= read -r line; do COMPREPLY+=("$line"); done < <(compgen -f -- "$chunk")
  else
    for index in "\${!COMPREPLY[@]}"; do
      if [[ \${COMPREPLY[index]} == *= ]]; then
        compopt -o nospace 2>/dev/null
      else
        printf -v "COMPREPLY[index]" %q "\${COMPREPLY[index]}"
      fi
    done
  fi
}
complete -F _flt flt fltctl fleetctl
`.replaceAll("\\$", "$");

const ZSH = String.raw`#compdef flt fltctl fleetctl
# Completion of flt for zsh, made by: flt completion zsh
_flt() {
  local line value
  local -a answer values attached
  integer files=0
  answer=("\${(@f)$(\${(Q)words[1]} completion words -- "\${(@Q)words[2,CURRENT-1]}" "\${(Q)PREFIX}" 2>/dev/null)}")
  for line in $answer; do
    if [[ $line == :files ]]; then files=1; continue; fi
    value=\${line%%$'\t'*}
    # To _describe a backslash and a colon mean something.
    line="\${\${value//\\/\\\\}//:/\\:}:\${line#*$'\t'}"
    if [[ $value == *= ]]; then attached+=("$line"); else values+=("$line"); fi
  done
  (( \${#values} )) && _describe -V -t values value values
  (( \${#attached} )) && _describe -V -t options option attached -S ''
  (( files )) && _files
  return 0
}
if [[ \${funcstack[1]} == _flt ]]; then
  _flt "$@"
else
  compdef _flt flt fltctl fleetctl
fi
`.replaceAll("\\$", "$");

const FISH = String.raw`# Completion of flt for fish, made by: flt completion fish
function __flt_complete
    set -l words (commandline -opc)
    set -l current (commandline -ct)
    for line in ($words[1] completion words -- $words[2..-1] "$current" 2>/dev/null)
        if test "$line" = :files
            __fish_complete_path "$current"
        else
            printf '%s\n' $line
        end
    end
end
for name in flt fltctl fleetctl
    complete -c $name -f -a '(__flt_complete)'
end
`;

export const SCRIPTS: Readonly<Record<Shell, string>> = { bash: BASH, zsh: ZSH, fish: FISH };
