
# Completes `cargo multiarch` in the same way as `cargo-multiarch`.
function __fish_cargo_multiarch_words
    set -l words (commandline -opc)
    # Skip `cargo`, `+toolchain` and flags.
    set -l at 2
    while string match -qr '^[+-]' -- "$words[$at]"
        set at (math $at + 1)
    end
    test "$words[$at]" = multiarch; or return 1
    set -e words[1..$at]
    string join \n -- $words
    return 0
end

function __fish_cargo_multiarch_in_cargo
    set -l words (string escape -- (__fish_cargo_multiarch_words))
    complete -C (string join ' ' -- cargo-multiarch $words (commandline -ct))
end

complete -c cargo -n '__fish_cargo_multiarch_words >/dev/null' -f -a '(__fish_cargo_multiarch_in_cargo)'
