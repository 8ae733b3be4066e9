
# Completes `cargo multiarch` like cargo-multiarch, and everything else with cargo's previous completion function.
_cargo_multiarch_in_cargo() {
    local at=1
    while [[ ${COMP_WORDS[at]} == [+-]* ]]; do ((at += 1)); done
    if [[ ${COMP_WORDS[at]} == multiarch ]] && ((COMP_CWORD > at)); then
        local -a words=(cargo-multiarch "${COMP_WORDS[@]:at+1}")
        local cword=$((COMP_CWORD - at))
        local -a COMP_WORDS=("${words[@]}")
        local COMP_CWORD=$cword
        _cargo_multiarch cargo-multiarch "$2" "${words[cword-1]}"
        return
    fi
    if [[ -z ${_cargo_multiarch_before-} ]]; then
        # bash-completion loads cargo's own completion only when it is first needed.
        complete -r cargo
        { _comp_load cargo || _completion_loader cargo; } >/dev/null 2>&1
        _cargo_multiarch_take_cargo
    fi
    [[ -z ${_cargo_multiarch_before-} ]] || "$_cargo_multiarch_before" "$@"
}

_cargo_multiarch_take_cargo() {
    if [[ $(complete -p cargo 2>/dev/null) =~ \ -F\ ([^ ]+) && ${BASH_REMATCH[1]} != _cargo_multiarch_in_cargo ]]; then
        _cargo_multiarch_before=${BASH_REMATCH[1]}
    fi
    complete -F _cargo_multiarch_in_cargo -o bashdefault -o default cargo
}
_cargo_multiarch_take_cargo
