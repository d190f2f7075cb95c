#!/usr/bin/env bash
# precompiled_pack.sh LIBRARY FOLDER NAME: makes FOLDER/NAME.tar.gz, which holds the library as NAME
# without debug information, and FOLDER/NAME.debug.tar.gz, which holds that as NAME.debug. The names
# of functions stay in the library, for backtraces. The same library makes the same files.
#
# Apple's linker leaves debug information in the object files; LLVM's dsymutil collects it, and
# without dsymutil there is no second file.
set -euo pipefail
library=$1 folder=$2 name=$3
work=$(mktemp -d "$folder/.pack.XXXXXX")
trap 'rm -rf "$work"' EXIT

# LLVM's knows the files of all systems, and Rust brings it; GNU's those of its own machine.
strip_tool() {
    local sysroot own
    sysroot=$(rustc --print sysroot 2>/dev/null || true)
    for own in "$sysroot"/lib/rustlib/*/bin/rust-objcopy; do
        if [[ -x $own ]]; then LD_LIBRARY_PATH=$sysroot/lib "$own" "$@"; return; fi
    done
    if command -v llvm-objcopy >/dev/null; then llvm-objcopy "$@"; else objcopy "$@"; fi
}

pack() {    # FILE, of the folder `work'
    tar --create --directory="$work" --sort=name --format=ustar --mtime=@0 --owner=0 --group=0 \
        --numeric-owner --mode=u=rwx,go=rx "$1" | gzip -9 --no-name >"$folder/.$1.tar.gz.new"
    mv -f "$folder/.$1.tar.gz.new" "$folder/$1.tar.gz"
}

# The debug information is found by its name (gdb looks beside the library).
pack_elf() {
    strip_tool --only-keep-debug "$library" "$work/$name.debug"
    chmod -x "$work/$name.debug"
    # The link is to a file of this name in this folder.
    (cd "$work" && strip_tool --strip-debug --add-gnu-debuglink="$name.debug" "$library" "$name")
    pack "$name.debug"
}

pack_macho() {
    if command -v dsymutil >/dev/null; then
        dsymutil --flat -o "$work/$name.debug" "$library"
        pack "$name.debug"
    fi
    strip_tool --strip-debug "$library" "$work/$name"
}

library=$(cd "$(dirname "$library")" && pwd)/$(basename "$library")
case $(od -An -N4 -tx1 "$library") in
    " 7f 45 4c 46") pack_elf ;;
    *) pack_macho ;;
esac
pack "$name"
