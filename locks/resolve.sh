#!/bin/sh
# pyproject.toml -> one lock a group of packages, each without what the locks before it hold. uv resolves all groups
# together first, so that no group takes a version that a later one excludes. Pins stay unless --upgrade is given.
set -eu
cd "$(dirname "$0")/.."
everything=$(mktemp)
trap 'rm -f "$everything"' EXIT

# resolve OUTPUT ARGUMENT ...: uv repeats [tool.uv] environments at every package; "Linux only" is what remains.
resolve() {
    output=$1
    shift
    uv pip compile --quiet --universal --python-version 3.11 --no-header --no-annotate --output-file "$output" "$@"
    sed -E "/darwin/ s/ ; [^\\]*( \\\\)?$/\1/; s/ ; .*linux[^\\]*/ ; sys_platform == 'linux'/" "$output" > "$output.new"
    mv "$output.new" "$output"
}

held() { sed -nE 's/^([a-z0-9.-]+)==.*/--no-emit-package \1/p' "$@"; }

sed -nE 's/^([a-z0-9.-]+==[^ ]+).*/\1/p' locks/*.lock > "$everything"
resolve "$everything" --all-extras "$@" pyproject.toml

# No hashes here: the builds of torch for CPUs and for CUDA have different ones.
echo torch | resolve locks/torch.lock --constraint "$everything" -
earlier=locks/torch.lock
for group in compute report operations export tools cluster; do
    extra=$([ "$group" = compute ] || echo "--extra $group")
    # shellcheck disable=SC2046,SC2086 # options, one word each
    resolve "locks/$group.lock" --generate-hashes --constraint "$everything" $extra $(held $earlier) pyproject.toml
    earlier="$earlier locks/$group.lock"
done
