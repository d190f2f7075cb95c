#!/usr/bin/env bash
# precompiled_verify.sh FILE TARGET: is FILE, a library or the .tar.gz of one, for this target, and
# can any system of that kind load it? Says what is wrong with it and ends with 1. GLIBC_MAX is the
# glibc that has to do (2.31).
set -euo pipefail
file=$1 target=$2 glibc_max=${GLIBC_MAX:-2.31}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
wrong=0

complain() { echo "$(basename "$file"): $*" >&2; wrong=1; }

library=$file
if [[ $file = *.tar.gz ]]; then
    library=$work/$(basename "$file" .tar.gz)
    if [[ $(tar -tzf "$file") != "$(basename "$library")" ]]; then
        complain "holds more than the library"
        exit 1
    fi
    tar -xzf "$file" -C "$work"
fi

# What systems of the kind have. A library that needs anything else is not found there.
libraries_of() {
    case $1 in
        *-linux-gnu) echo 'libc|libm|libdl|librt|libpthread|libutil|libgcc_s|ld-linux-[a-z0-9-]+' ;;
        *) echo 'libc|libc\.musl-[a-z0-9_]+' ;;
    esac
}

verify_elf() {
    local machine=AArch64 needed newest found
    if [[ $target = x86_64-* ]]; then machine=X86-64; fi
    if ! readelf -hW "$library" 2>/dev/null | grep -q "Machine:.*$machine"; then
        complain "is not an ELF file for $machine"
        return
    fi
    if ! readelf -dW "$library" | grep -q 'FLAGS_1.*NODELETE'; then
        complain "would be unmapped under running threads: -z nodelete is missing"
    fi
    if ! readelf --dyn-syms -W "$library" | grep -qE 'FUNC +GLOBAL +DEFAULT +[0-9]+ nif_init$'; then
        complain "does not export nif_init"
    fi
    needed=$(readelf -dW "$library" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' |
        grep -vxE "($(libraries_of "$target"))\.so(\.[0-9]+)?" || true)
    if [[ -n $needed ]]; then complain "needs ${needed//$'\n'/ }"; fi
    found=$(readelf -VW "$library" | grep -oE 'GLIBC_[0-9.]+' | sort -Vu | tail -n 1 || true)
    newest=$(printf '%s\n' "${found#GLIBC_}" "$glibc_max" | sort -V | tail -n 1)
    case $target in
        *-musl)
            if [[ -n $found ]]; then
                complain "needs glibc (${found#GLIBC_}), and is for musl"
            fi ;;
        *)
            if [[ -z $found ]]; then complain "is not linked with glibc"; fi
            if [[ $newest != "$glibc_max" ]]; then
                complain "needs glibc $newest; $glibc_max has to do"
            fi ;;
    esac
}

# The head of a 64-bit Mach-O file: magic, kind of processor, its subtype, kind of file (6: dylib).
verify_macho() {
    local kind="0c 00 00 01"
    if [[ $target = x86_64-* ]]; then kind="07 00 00 01"; fi
    case $(od -An -N16 -tx1 "$library") in
        " cf fa ed fe $kind "*" 06 00 00 00") ;;
        *) complain "is not a Mach-O library for $target"; return ;;
    esac
    # No tool that everybody has reads these files: the name stands in the table of symbols.
    if ! grep -qa _nif_init "$library"; then complain "does not have nif_init"; fi
    local line look
    look=$(dirname "${BASH_SOURCE[0]}")/macho.py
    while read -r line; do
        if [[ -n $line ]]; then complain "$line"; fi
    done < <(python3 "$look" "$library" || echo "could not be looked at: see above")
}

case $target in
    *-apple-darwin) verify_macho ;;
    *) verify_elf ;;
esac
exit $wrong
