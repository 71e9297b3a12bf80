#!/bin/sh
# The tests on another Debian, so with another Python, and the newest Django that we allow, in a folder that is
# thrown away afterwards. As root, on a Debian or Ubuntu machine:
#
#     sh tests/debian.sh FOLDER                    sets FOLDER up, the first time, and runs all tests there
#     sh tests/debian.sh FOLDER tests/transports/test_http.py arguments go to pytest
#     SUITE=sid sh tests/debian.sh FOLDER          Python 3.14; without it Debian 13 (trixie), Python 3.13
#     DJANGO='Django~=6.0.0' sh tests/debian.sh …  another Django
#
# FOLDER lies outside the repository. What runs there is the work tree as it is, tracked files only.
set -eu

SUITE="${SUITE:-trixie}"
DJANGO="${DJANGO:-Django~=6.1.0}"
PACKAGES="python3-venv ca-certificates redis-server curl procps chromium fonts-dejavu-core"
PACKAGES="$PACKAGES g++ python3-dev"  # some packages have no wheel for the newest Python yet
FOLDER="$(realpath -m "${1:?expected a folder, for example /var/tmp/trixie}")"
shift
cd "$(dirname "$0")/.."
case "$FOLDER" in "$PWD" | "$PWD"/*) echo "expected a folder outside of $PWD, got $FOLDER" >&2; exit 2 ;; esac

if [ ! -e "$FOLDER/.base" ]; then
    command -v debootstrap >/dev/null || { apt-get update -qq && apt-get install -y -qq debootstrap; }
    debootstrap --variant=minbase "$SUITE" "$FOLDER"
    echo "$SUITE" >"$FOLDER/.base"
fi
[ "$(cat "$FOLDER/.base")" = "$SUITE" ] || { echo "expected $SUITE in $FOLDER, found $(cat "$FOLDER/.base")" >&2; exit 2; }

# Names and certificates are the machine's: it may have authorities of its own.
cp /etc/resolv.conf /etc/hosts "$FOLDER/etc/"
if [ -d /usr/local/share/ca-certificates ]; then
    cp -r /usr/local/share/ca-certificates "$FOLDER/usr/local/share/"
fi

if [ ! -e "$FOLDER/.packages" ]; then
    chroot "$FOLDER" apt-get -o Acquire::Check-Valid-Until=false update -qq  # a mirror may be some weeks old
    # shellcheck disable=SC2086  # several packages
    chroot "$FOLDER" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $PACKAGES
    touch "$FOLDER/.packages"
fi

rm -rf "$FOLDER/src"
mkdir -p "$FOLDER/src"
git ls-files -z | tar --create --null --files-from=- --ignore-failed-read | tar --extract --directory "$FOLDER/src"

# Mounts of a name space of their own, which end with the shell.
FOLDER="$FOLDER" DJANGO="$DJANGO" exec unshare --mount sh -euc '
mount --bind /proc "$FOLDER/proc"
mount --rbind /dev "$FOLDER/dev"  # with its pts and shm
exec chroot "$FOLDER" /usr/bin/env -i PATH=/venv/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 \
    PIP_CERT=/etc/ssl/certs/ca-certificates.crt NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt \
    PIP_DISABLE_PIP_VERSION_CHECK=1 DJANGO="$DJANGO" sh -euc "
    cd /src
    update-ca-certificates >/dev/null 2>&1
    [ -e /venv/whole ] || { rm -rf /venv; python3 -m venv /venv; }
    rm -f /venv/whole  # until all is installed: an interrupted call begins anew
    { grep -hv -e ^-r -e ^Django== requirements.txt tests/requirements.txt; echo \"\$DJANGO\"; } >/venv/requirements.txt
    python -m pip install --quiet -r /venv/requirements.txt
    python -m pip install --quiet --no-deps --editable .
    touch /venv/whole
    python -c \"import sys, django; print(\\\"Python\\\", sys.version.split()[0], \\\"Django\\\", django.__version__)\"
    [ \$# -gt 0 ] || exec python -m tests.all
    exec python -m pytest \"\$@\"
" pytest "$@"
' sh "$@"
