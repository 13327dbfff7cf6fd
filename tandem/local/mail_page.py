"""The page of caught mails, and beside it the gate results of each run.

A mail is not trusted: its HTML runs no script, loads nothing, and is kept in a frame.
"""

from __future__ import annotations

import re
from functools import lru_cache, partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import quote, urlsplit

from jinja2 import Environment, FileSystemLoader

from tandem import pages
from tandem.local import mailbox
from tandem.local.mailbox import Mail
from tandem.settings import Settings

_SHOWN = 200
_PICTURES = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp"})
"""Served as what they are; everything else, SVG too, is a download."""
_OWN_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-src 'self'; base-uri 'none';"
    " form-action 'none'"
)
_MAIL_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data: {origin}; base-uri 'none'; form-action 'none';"
    " sandbox allow-popups allow-popups-to-escape-sandbox"
)
_CONTENT_ID = re.compile(r"""cid:([^"'\s)>]+)""", re.IGNORECASE)


@lru_cache(maxsize=1)
def _pages() -> Environment:
    return Environment(loader=FileSystemLoader(Path(__file__).with_name("pages")), autoescape=True)


def page_server(settings: Settings) -> ThreadingHTTPServer:
    """The web server of the mails, bound and ready for ``serve_forever``."""
    handler = partial(
        _Handler, settings, mailbox.folder(settings), frozenset({settings.host, "127.0.0.1", "localhost"})
    )
    return ThreadingHTTPServer((settings.host, settings.mail_page_port), handler)


def show_pictures(mail: Mail) -> str:
    """The mail's HTML with references to its own pictures (``cid:``) turned into addresses on this page."""
    numbers = {part.content_id: part.number for part in mail.parts if part.content_id}

    def address(found: re.Match[str]) -> str:
        number = numbers.get(found[1])
        return found[0] if number is None else f"/mail/{mail.name}/part/{number}"

    return _CONTENT_ID.sub(address, mail.html)


class _Handler(BaseHTTPRequestHandler):
    server_version = "tandem"
    sys_version = ""

    def __init__(self, settings: Settings, folder: Path, hosts: frozenset[str], *arguments: object) -> None:
        self._settings = settings
        self._folder = folder
        self._hosts = hosts
        super().__init__(*arguments)  # type: ignore[arg-type]  # socketserver passes request, address, server

    def do_GET(self) -> None:
        """Serve the list, a mail, or a part of one."""
        host = urlsplit(f"//{self.headers.get('Host', '')}").hostname
        if host not in self._hosts:  # a foreign name for this address is a page that wants to read the mails
            self._answer(HTTPStatus.FORBIDDEN, "text/plain", b"ask for 127.0.0.1")
            return
        for pattern, serve in self._ROUTES:
            if found := pattern.fullmatch(urlsplit(self.path).path):
                serve(self, *found.groups())
                return
        self._not_found()

    def _list(self) -> None:
        self._page("mails.html", mails=mailbox.mails(self._folder, _SHOWN), shown=_SHOWN)

    def _mail(self, name: str) -> None:
        if mail := mailbox.find(self._folder, name):
            self._page("mail.html", mail=mail)
        else:
            self._not_found()

    def _html(self, name: str) -> None:
        if mail := mailbox.find(self._folder, name):
            body = f'<base target="_blank">{show_pictures(mail)}'.encode()
            policy = _MAIL_POLICY.format(origin=f"http://{self.headers['Host']}")
            self._answer(HTTPStatus.OK, "text/html; charset=utf-8", body, {"Content-Security-Policy": policy})
        else:
            self._not_found()

    def _part(self, name: str, number: str) -> None:
        mail = mailbox.find(self._folder, name)
        part = next((part for part in mail.parts if part.number == int(number)), None) if mail else None
        if part is None:
            self._not_found()
        elif part.content_type in _PICTURES:
            self._answer(HTTPStatus.OK, part.content_type, part.content)
        else:
            self._download(part.file_name, part.content)

    def _raw(self, name: str) -> None:
        if mail := mailbox.find(self._folder, name):
            self._download(f"{name}.eml", mail.path.read_bytes())
        else:
            self._not_found()

    def _kept(self, kind: str, name: str) -> None:
        try:
            body = pages.file(self._settings, pages.Kind(kind), name).read_bytes()
        except (OSError, ValueError):
            self._not_found()
        else:
            self._answer(HTTPStatus.OK, "text/html; charset=utf-8", body, {"Content-Security-Policy": _OWN_POLICY})

    def _page(self, template: str, **values: object) -> None:
        body = _pages().get_template(template).render(**values).encode()
        self._answer(HTTPStatus.OK, "text/html; charset=utf-8", body, {"Content-Security-Policy": _OWN_POLICY})

    def _download(self, file_name: str, content: bytes) -> None:
        disposition = {"Content-Disposition": f"attachment; filename*=UTF-8''{quote(file_name)}"}
        self._answer(HTTPStatus.OK, "application/octet-stream", content, disposition)

    def _not_found(self) -> None:
        self._answer(HTTPStatus.NOT_FOUND, "text/plain", b"there is no such page")

    def _answer(self, status: HTTPStatus, kind: str, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {
            "Content-Type": kind,
            "Content-Length": str(len(body)),
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
            "Cache-Control": "no-store",
            **(headers or {}),
        }.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    _ROUTES = (
        (re.compile(r"/"), _list),
        (re.compile(rf"/({'|'.join(pages.Kind)})/([^/]+)"), _kept),
        (re.compile(r"/mail/([0-9a-f-]+)"), _mail),
        (re.compile(r"/mail/([0-9a-f-]+)/html"), _html),
        (re.compile(r"/mail/([0-9a-f-]+)/part/(\d{1,4})"), _part),
        (re.compile(r"/mail/([0-9a-f-]+)/raw"), _raw),
    )
