#!/usr/bin/env bash
# The documentation as a site, in _build/docs/site: the pages of this repository and a page for each
# module that users call, made by mdBook. Every link is checked; a broken one ends this with 1.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/env.sh"

version=0.5.4
tools=$root/target/tools
work=$root/_build/docs
modules=(ram ram_mnesia ram_error)

# From the registry of Rust, which takes some minutes, once. What it offers beside making books and
# their search is left out.
mdbook=$tools/mdbook-$version/bin/mdbook
if ! [[ -x $mdbook ]]; then
    if [[ $(mdbook --version 2>/dev/null) = "mdbook v$version" ]]; then
        mdbook=$(command -v mdbook)
    else
        echo "docs: building mdbook $version, which takes some minutes"
        cargo install --quiet --locked --no-default-features --features search \
            --root "$tools/mdbook-$version" "mdbook@$version" || {
            echo "docs: missing: cargo install --locked mdbook@$version" >&2
            exit 1
        }
    fi
fi

# A page has the place that it has in the repository, so that links hold in both. Only the first one
# is called index.
if ! erl -noinput -eval 'halt(case code:which(edoc) of non_existing -> 1; _ -> 0 end)'; then
    echo "docs: missing: EDoc (Debian: erlang-edoc)" >&2
    exit 1
fi
rm -rf "$work"
mkdir -p "$work/src"
cp ./*.md "$work/src/"
cp -r docs "$work/src/docs"
mv "$work/src/docs/book.toml" "$work/src/docs/theme" "$work/"
mv "$work/src/README.md" "$work/src/index.md"
find "$work/src" -name '*.md' -exec sed -i 's|\(](\(\.\./\)*\)README\.md|\1index.md|g' {} +

escript scripts/docs_of_modules.escript "$work/src/docs/reference" "${modules[@]}"
{
    # From the folder docs to the one above it.
    sed -e 's|](|](docs/|' -e 's|](docs/\.\./|](|' "$work/src/docs/SUMMARY.md"
    printf '\n# Modules\n\n'
    for module in "${modules[@]}"; do
        echo "- [$module](docs/reference/module-$module.md)"
    done
} >"$work/src/SUMMARY.md"
rm "$work/src/docs/SUMMARY.md"

"$mdbook" build "$work"
escript scripts/links.escript "$work/site"
echo "docs: $work/site/index.html"
