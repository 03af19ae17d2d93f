# Functions of dist/package: one for each format. They use its variables and the tree that stage.sh laid out.
# shellcheck shell=bash

maintainer=${SCANBRIDGE_MAINTAINER:-Scanbridge developers <maintainers@scanbridge.invalid>}

has_debug() {
    case $without in *' debug '*) return 1 ;; esac
}

machine() {
    readelf -h "$root/usr/bin/scanbridge" | awk '/Machine:/ { print $NF }' | sed 's/X86-64/x86_64/; s/AArch64/aarch64/'
}

# Debian packages that have the libraries of a tree. Usage: debian_libraries TREE
debian_libraries() {
    local library
    {
        find "$1" -type f -exec sh -c 'head -c 4 "$1" | grep -q ELF' sh {} \; -exec objdump -p {} \; |
            awk '/NEEDED/ { print $2 }' | sort -u
    } | while read -r library; do
        case $library in
            libc.so.6 | libm.so.6 | libdl.so.2 | libpthread.so.0 | librt.so.1 | ld-linux*) printf 'libc6 (>= %s)\n' "$glibc" ;;
            libgcc_s.so.1) printf 'libgcc-s1\n' ;;
            libssl.so.3 | libcrypto.so.3) printf 'libssl3 | libssl3t64\n' ;;
            libz.so.1) printf 'zlib1g\n' ;;
            *) fail 65 "no Debian package is known for the library $library" ;;
        esac
    done | sort -u | paste -sd, | sed 's/,/, /g'
}

# Usage: write_deb NAME TREE COMPRESSION < the fields that differ
write_deb() {
    local name=$1 tree=$work/deb/$1 compression=$3 size architecture
    mkdir -p "$work/deb"
    cp -al "$2" "$tree"
    architecture=$(machine | sed 's/x86_64/amd64/; s/aarch64/arm64/')
    put 644 dist/packages/deb/copyright "$tree/usr/share/doc/$name/copyright"
    printf '%s (%s-%s) unstable; urgency=medium\n\n  * The changes are in changelog.gz of the package scanbridge.\n\n -- %s  %s\n' \
        "$name" "$version" "$revision" "$maintainer" "$(date -R -d "@$SOURCE_DATE_EPOCH")" |
        gzip -9n >"$tree/usr/share/doc/$name/changelog.Debian.gz"
    find "$tree/usr/share/doc" -depth -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
    size=$(find "$tree" -type f -printf '%s\n' | awk '{ sum += int(($1 + 1023) / 1024) } END { print sum }')
    mkdir -p "$tree/DEBIAN"
    {
        printf 'Package: %s\nVersion: %s-%s\nArchitecture: %s\nMaintainer: %s\n' \
            "$name" "$version" "$revision" "$architecture" "$maintainer"
        printf 'Installed-Size: %s\n' "$size"
        cat
    } >"$tree/DEBIAN/control"
    (cd "$tree" && find . -type f ! -path './DEBIAN/*' -printf '%P\0' | sort -z | xargs -0 md5sum) >"$tree/DEBIAN/md5sums"
    if [ -d "$tree/etc" ]; then
        (cd "$tree" && find etc -type f -printf '/%p\n' | sort) >"$tree/DEBIAN/conffiles"
        cp dist/packages/deb/{postinst,prerm,postrm} "$tree/DEBIAN/"
    fi
    find "$tree/DEBIAN" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
    # With several threads, xz writes other bytes.
    DPKG_DEB_THREADS_MAX=1 dpkg-deb --root-owner-group -Z"${compression% *}" -z"${compression#* }" --build "$tree" \
        "$out/${name}_$version-${revision}_$architecture.deb" >/dev/null
}

make_deb() {
    write_deb scanbridge "$root" 'xz 6' <<CONTROL
Depends: $(debian_libraries "$root"), adduser
Recommends: ca-certificates
Suggests: scanbridge-kafka, scanbridge-dbgsym
Section: net
Priority: optional
Description: transfers vulnerability findings from Qualys to other systems
 Scanbridge downloads Qualys reports, or reads them from files, and sends the
 findings to a Defense Center, to ArcSight and other CEF receivers, over HTTP,
 or into CSV tables and JSON. An interrupted run resumes at its checkpoint.
CONTROL
    if [ -d "$kafka" ]; then
        write_deb scanbridge-kafka "$kafka" 'xz 6' <<CONTROL
Depends: scanbridge (>= $version), $(debian_libraries "$kafka")
Section: net
Priority: optional
Description: input and output plugin Kafka of Scanbridge
 Reads and writes topics of Apache Kafka, so that several machines can share
 the work.
CONTROL
    fi
    if ! has_debug; then return; fi
    write_deb scanbridge-dbgsym "$debug" 'gzip 1' <<CONTROL
Section: debug
Priority: optional
Description: debug symbols of Scanbridge
 Line numbers and names of functions for debuggers and backtraces of the
 programs and plugins in the packages scanbridge and scanbridge-kafka with
 the same version. Debuggers find them by build ID.
CONTROL
}

make_rpm() {
    local top=$work/rpm with_kafka=0 with_debug=0
    if [ -d "$kafka" ]; then with_kafka=1; fi
    if has_debug; then with_debug=1; fi
    rpmbuild --quiet -bb --target "$(machine)" \
        --define "_topdir $top" --define "_rpmdir $out" --define '_build_name_fmt %%{NAME}-%%{VERSION}-%%{RELEASE}.%%{ARCH}.rpm' \
        --define "_dbpath $work/rpm-db" --define "scanbridge_version $version" --define "scanbridge_revision $revision" \
        --define "scanbridge_root $root" --define "scanbridge_debug $debug" --define "scanbridge_kafka $kafka" \
        --define "with_kafka $with_kafka" --define "with_debug $with_debug" --define "packager_name $maintainer" \
        --define "scanbridge_day $(date -d "@$SOURCE_DATE_EPOCH" '+%a %b %d %Y')" \
        --define '_buildhost localhost' --define 'use_source_date_epoch_as_buildtime 1' \
        --define 'clamp_mtime_to_source_date_epoch 1' --define 'source_date_epoch_from_changelog 0' \
        --define '_binary_payload w6.gzdio' dist/packages/scanbridge.spec
}

# Usage: write_tar NAME FOLDER
write_tar() {
    tar --sort=name --format=posix --pax-option=exthdr.name=%d/PaxHeaders/%f,delete=atime,delete=ctime \
        --mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 --numeric-owner -C "$work/tar" -cf - "$2" |
        gzip -6n >"$out/$1.tar.gz"
    rm -r "$work/tar"
}

# For machines without these package managers: runs from any directory.
make_tar() {
    local name platform top
    platform=$version-$revision-$(machine)-linux-gnu
    name=scanbridge-$platform
    top=$work/tar/$name
    mkdir -p "$top/bin" "$top/lib/scanbridge"
    cp -P "$root"/usr/bin/scanbridge{,-service} "$root"/usr/lib/scanbridge/legacy/{qualys_connector,process_multiple} "$top/bin/"
    cp -R "$root/usr/lib/scanbridge/plugins" "$top/lib/scanbridge/"
    cp -R "$root/etc/scanbridge/InputPlugins" "$top/"
    # A call without `cd` in front finds the settings, too.
    ln -s ../InputPlugins "$top/bin/InputPlugins"
    for command in qualys_connector process_multiple; do put 755 dist/legacy/command.pl "$top/bin/$command.pl"; done
    cp -R "$root/usr/share/scanbridge/examples" "$root/usr/share/scanbridge/destinations" "$root/usr/share/scanbridge/monitoring" "$top/"
    mkdir -p "$top/share"
    cp -R "$root"/usr/share/{man,bash-completion,zsh,fish} "$top/share/"
    cp -R "$root/usr/share/doc/scanbridge" "$top/share/doc"
    mkdir -p "$top/systemd"
    cp dist/systemd/* "$top/systemd/"
    mv "$top/share/doc/README.md" "$top/share/doc"/LICENSE-* "$top/"
    chmod -R u=rwX,go=rX "$top"
    write_tar "$name" "$name"

    if [ -d "$kafka" ]; then
        # Unpacked over the first one.
        mkdir -p "$top/lib/scanbridge" "$top/share/doc"
        cp -R "$kafka/usr/lib/scanbridge/plugins" "$top/lib/scanbridge/"
        cp -R "$kafka/usr/share/doc/scanbridge-kafka" "$top/share/doc/kafka"
        write_tar "scanbridge-kafka-$platform" "$name"
    fi
    if ! has_debug; then return; fi
    mkdir -p "$work/tar"
    cp -R "$debug/usr/lib/debug" "$work/tar/debug"
    write_tar "scanbridge-debug-$platform" debug
}
