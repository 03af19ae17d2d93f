#!/bin/sh
# Starts the program of the same name without `.pl`. Works as ./NAME.pl, `sh NAME.pl` and `perl NAME.pl`: Perl starts the
# interpreter of the first line when that line does not name perl (perlrun(1)).
file=$0
while [ -h "$file" ]; do
    target=$(readlink -- "$file") || break
    case $target in /*) file=$target ;; *) file=$(dirname -- "$file")/$target ;; esac
done
case $file in
    *.pl) ;;
    *) echo "$file: the name of this script must end in .pl, else it would start itself" >&2; exit 64 ;;
esac
# With CDPATH, `cd` could go elsewhere.
unset CDPATH
folder=$(cd -- "$(dirname -- "$file")" && pwd) || exit 66
name=$(basename -- "$file" .pl)
# The second place, after the working directory, for InputPlugins/ and the client certificate.
SCANBRIDGE_LEGACY_HOME=$folder
export SCANBRIDGE_LEGACY_HOME
for program in "$folder/$name" "$folder/../bin/$name"; do
    if [ -f "$program" ] && [ -x "$program" ]; then exec "$program" "$@"; fi
done
exec "$name" "$@"
