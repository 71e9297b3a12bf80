"""A real nginx between the page and the site, configured as people have it."""

from __future__ import annotations

import shutil
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from ssl import CERT_NONE, create_default_context
from urllib.parse import urlsplit

from tests.chaos.patience import scaled

from ..ports import free_port

__all__ = ["NGINX", "nginx"]

NGINX = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")

_HOST = "proxy_set_header Host $http_host;"
_UPGRADE = """
    proxy_http_version 1.1;
    proxy_set_header Upgrade $http_upgrade;
    proxy_set_header Connection "upgrade";
"""
_HOLD = """
    proxy_ignore_headers X-Accel-Buffering;
    proxy_buffer_size 1m;
    proxy_buffers 8 1m;
    proxy_busy_buffers_size 2m;
"""
_PASS = "proxy_pass http://SITE;"
_LOCATIONS = {
    # As `proxy_pass` alone does it: no upgrade, HTTP/1.0 upstream, the host lost.
    "plain": f"location / {{ {_PASS} }}",
    "upgrading": f"location / {{ {_PASS} {_HOST} {_UPGRADE} }}",
    # Not even asked not to: whatever holds responses back until they end, or a buffer is full.
    "holding": f"location / {{ {_PASS} {_HOST} {_HOLD} }}",
    "prefix": f"""
        location /app/ {{ proxy_pass http://SITE/; {_HOST} {_UPGRADE} }}
        location /static/ {{ {_PASS} {_HOST} }}""",
    "http2": f"location / {{ {_PASS} {_HOST} }}",
}
_CONFIGURATION = """
worker_processes 1;
daemon off;
pid {directory}/nginx.pid;
error_log stderr warn;
events {{}}
http {{
    types {{ text/html html; }}
    access_log off;
    gzip on;
    gzip_proxied any;
    gzip_types *;
    gzip_min_length 1;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    server {{
        listen 127.0.0.1:{port}{listen};
        {locations}
    }}
}}
"""
_SECURE = " ssl http2;\n        ssl_certificate {0}/cert.pem;\n        ssl_certificate_key {0}/key.pem"


@contextmanager
def nginx(site: str, kind: str, directory: Path) -> Iterator[str]:
    """Yield the address of a proxy of this kind in front of ``site``."""
    assert NGINX
    port, listen = free_port(), ""
    if kind == "http2":
        _certificate(directory)
        listen = _SECURE.format(directory)
    configuration = directory / "nginx.conf"
    configuration.write_text(
        _CONFIGURATION.format(
            directory=directory,
            port=port,
            listen=listen,
            locations=_LOCATIONS[kind].replace("SITE", urlsplit(site).netloc),
        )
    )
    log = directory / "nginx.log"
    with log.open("w") as out:
        command = [NGINX, "-p", str(directory), "-c", str(configuration), "-e", "stderr"]
        process = subprocess.Popen(command, stdout=out, stderr=out)
    url = f"{'https' if kind == 'http2' else 'http'}://127.0.0.1:{port}"
    try:
        _wait_for(url, process, log)
        yield url
    finally:
        process.terminate()
        process.wait()


def _certificate(directory: Path) -> None:
    names = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    keys = ["-newkey", "rsa:2048", "-nodes", "-keyout", "key.pem", "-out", "cert.pem", "-days", "2"]
    command = ["openssl", "req", "-x509", *keys, *names]
    subprocess.run(command, cwd=directory, check=True, capture_output=True)


def _wait_for(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    context = create_default_context()
    context.check_hostname, context.verify_mode = False, CERT_NONE
    end = time.monotonic() + scaled(20)
    while time.monotonic() < end and process.poll() is None:
        try:
            urllib.request.urlopen(url, timeout=5, context=context).close()
            return
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(0.05)  # a server that is not there yet has no event to wait for
    raise RuntimeError(f"nginx did not start:\n{log.read_text()}")
