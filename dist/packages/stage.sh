# Functions of dist/package: compile, check and lay out the files. They use its variables.
# shellcheck shell=bash

required_plugins=(arcsight_cef csv http json qualysguard qualysguard_file sourcefire)

# Compiles the product from an empty directory. The programs contain no path of this machine, so that every machine with the
# same compilers makes the same programs.
compile() {
    local registry=${CARGO_HOME:-$HOME/.cargo}
    rm -rf target/package
    export CARGO_TARGET_DIR=$PWD/target/package CARGO_INCREMENTAL=0
    SCANBRIDGE_COMMIT=${SCANBRIDGE_COMMIT:-$(git log -1 --format='%h of %cs')}
    export SCANBRIDGE_COMMIT
    export RUSTFLAGS="--remap-path-prefix=$registry=/cargo --remap-path-prefix=$PWD=/scanbridge ${RUSTFLAGS:-}"
    export CFLAGS="-ffile-prefix-map=$registry=/cargo -ffile-prefix-map=$PWD=/scanbridge ${CFLAGS:-}"
    cargo build --release --locked -p scanbridge -p scanbridge-service -p scanbridge-http -p scanbridge-qualysguard \
        -p scanbridge-qualysguard-file -p scanbridge-csv -p scanbridge-arcsight-cef -p scanbridge-json -p scanbridge-sourcefire \
        -p scanbridge-man-pages
    case $without in *' kafka '*) ;; *) cargo build --release --locked --manifest-path plugins/kafka/Cargo.toml ;; esac
    unset CARGO_TARGET_DIR RUSTFLAGS CFLAGS
}

# Prints the path of a program or plugin.
find_program() {
    local folder
    for folder in "${programs[@]}"; do
        if [ -f "$folder/$1" ]; then
            printf '%s' "$folder/$1"
            return
        fi
    done
    return 1
}

found() {
    find_program "$1" || fail 66 "$1 is not in ${programs[*]}; build it, or leave a plugin out with --without"
}

# Installs a file. Usage: put MODE SOURCE TARGET
put() {
    install -D -m "$1" "$2" "$3"
}

# Installs a program without debug information, which goes to the place where debuggers search by build ID.
put_program() {
    local source=$1 target=$2 mode=$3 id keep needed
    id=$(readelf -n "$source" 2>/dev/null | awk '/Build ID:/ { print $3; exit }')
    [ -n "$id" ] || fail 65 "$source has no build ID; link it with --build-id"
    needed=$(objdump -T "$source" | grep -o 'GLIBC_2\.[0-9.]*' | sed 's/GLIBC_//' | sort -Vu | tail -n 1)
    if [ "$(printf '%s\n' "$needed" "$max_glibc" | sort -V | tail -n 1)" != "$max_glibc" ]; then
        fail 65 "$source needs glibc $needed, more than $max_glibc; build it on an older system, or set --max-glibc $needed"
    fi
    glibc=$(printf '%s\n' "$needed" "$glibc" | sort -V | tail -n 1)
    keep=$debug/usr/lib/debug/.build-id/${id:0:2}/${id:2}.debug
    mkdir -p "$(dirname "$keep")" "$(dirname "$target")"
    # Also for --without debug: the link in the program has a checksum of this file.
    objcopy --only-keep-debug --compress-debug-sections=zlib "$source" "$keep"
    # The identity section of a plugin is allocated, so it stays.
    objcopy --strip-unneeded --remove-section=.comment --add-gnu-debuglink="$keep" "$source" "$target"
    chmod "$mode" "$target"
    chmod 644 "$keep"
}

stage() {
    stage_programs
    stage_settings_and_units
    stage_documentation
    stage_kafka
    # Everything is as old as the commit.
    local folder
    for folder in "$root" "$debug" "$kafka"; do
        if [ -d "$folder" ]; then find "$folder" -depth -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +; fi
    done
}

stage_programs() {
    local name
    for name in scanbridge scanbridge-service; do
        put_program "$(found "$name")" "$root/usr/bin/$name" 755
    done
    for name in "${required_plugins[@]}"; do
        case $without in *" $name "*) continue ;; esac
        put_program "$(found "libscanbridge_$name.so")" "$root/usr/lib/scanbridge/plugins/libscanbridge_$name.so" 644
    done
    for name in qualys_connector process_multiple; do
        put_program "$(found "$name")" "$root/usr/lib/scanbridge/legacy/$name" 755
        put 755 dist/packages/old-command "$root/usr/bin/$name"
    done
    # The old commands start the host of their own directory.
    ln -s ../../../bin/scanbridge "$root/usr/lib/scanbridge/legacy/scanbridge"
    put 755 dist/legacy/command.pl "$root/usr/share/scanbridge/legacy/command.pl"
}

stage_settings_and_units() {
    local file share=$root/usr/share/scanbridge
    mkdir -p "$root/etc/scanbridge/pipelines"
    mkdir -p -m 700 "$root/etc/scanbridge/credentials"
    for file in InputPlugins/*.yaml; do
        put 640 "$file" "$root/etc/scanbridge/$file"
    done
    for file in dist/systemd/scanbridge.service dist/systemd/scanbridge@.service dist/systemd/scanbridge@.timer; do
        put 644 "$file" "$root/usr/lib/systemd/system/$(basename "$file")"
    done
    put 644 dist/systemd/scanbridge.sysusers "$root/usr/lib/sysusers.d/scanbridge.conf"
    mkdir -p "$share"
    cp -R examples/pipelines examples/reports examples/tests dist/destinations dist/monitoring "$share/"
    mkdir -p "$share/examples"
    mv "$share/pipelines" "$share/reports" "$share/tests" "$share/examples/"
    put 644 dist/packages/service.yaml "$share/examples/service.yaml"
    find "$share" -type f ! -name '*.pl' -exec chmod 644 {} +
}

stage_documentation() {
    local host=$root/usr/bin/scanbridge pages name doc=$root/usr/share/doc/scanbridge
    "$host" completions bash >"$work/completions"
    put 644 "$work/completions" "$root/usr/share/bash-completion/completions/scanbridge"
    "$host" completions zsh >"$work/completions"
    put 644 "$work/completions" "$root/usr/share/zsh/vendor-completions/_scanbridge"
    "$host" completions fish >"$work/completions"
    put 644 "$work/completions" "$root/usr/share/fish/vendor_completions.d/scanbridge.fish"

    pages=$work/pages
    "$(found scanbridge-man-pages)" "$pages" >/dev/null
    gzip -9n "$pages"/*
    for name in 1 5; do
        install -D -m 644 -t "$root/usr/share/man/man$name" "$pages"/*."$name".gz
    done

    mkdir -p "$doc"
    for name in README.md LICENSE-MIT LICENSE-APACHE docs/*.md docs/api.yaml docs/log-schema.json; do
        put 644 "$name" "$doc/$name"
    done
    gzip -9n <CHANGELOG.md >"$doc/changelog.gz"
    put 644 dist/packages/deb/copyright "$doc/copyright"
    local crates=(scanbridge scanbridge-service) plugin
    for plugin in "${required_plugins[@]}"; do
        case $without in *" $plugin "*) ;; *) crates+=("scanbridge-${plugin//_/-}") ;; esac
    done
    list_dependencies scanbridge Cargo.toml "$root" "$doc" "${crates[@]}"
}

# Licenses of the dependencies, and the software bill of materials. Usage: NAME MANIFEST TREE FOLDER CRATE...
list_dependencies() {
    local name=$1 manifest=$2 tree=$3 folder=$4
    shift 4
    python3 dist/packages/dependencies.py --name "$name" --version "$version" --manifest "$manifest" --tree "$tree" \
        --licenses "$folder/THIRD-PARTY-LICENSES.txt" --sbom "$folder/$name.cdx.json" "$@"
    gzip -9n "$folder/THIRD-PARTY-LICENSES.txt"
    chmod 644 "$folder/THIRD-PARTY-LICENSES.txt.gz" "$folder/$name.cdx.json"
}

stage_kafka() {
    local library doc=$kafka/usr/share/doc/scanbridge-kafka
    case $without in *' kafka '*) return ;; esac
    library=$(find_program libscanbridge_kafka.so) || return 0
    put_program "$library" "$kafka/usr/lib/scanbridge/plugins/libscanbridge_kafka.so" 644
    put 644 dist/packages/deb/copyright "$doc/copyright"
    put 644 plugins/kafka/README.md "$doc/README.md"
    cp "$root/usr/share/doc/scanbridge/changelog.gz" "$doc/changelog.gz"
    list_dependencies scanbridge-kafka plugins/kafka/Cargo.toml "$kafka" "$doc" scanbridge-kafka
}
