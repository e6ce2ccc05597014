"""OHIF and the DICOMweb of an Orthanc on one origin: what a browser opens beside the node.

    python orthanc/viewer.py --ohif .peers/ohif --orthanc http://127.0.0.1:8042 --port 8043

It listens on loopback alone: who reaches it reads the whole PACS. For a department put a web
server with logins before Orthanc that does the same three things: serve OHIF, serve
`orthanc/ohif/`, hand `/dicom-web` and `/wado` on.
"""

import argparse
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

SETTINGS: Final = Path(__file__).with_name("ohif")
CONNECT_S: Final = 5.0
ANSWER_S: Final = 120.0
"""A large series' metadata takes Orthanc long."""

NOT_HANDED_ON: Final = frozenset(
    {
        "connection", "content-length", "host", "keep-alive", "proxy-authenticate",
        "proxy-authorization", "te", "trailer", "transfer-encoding", "upgrade",
    }
)  # fmt: skip
"""Of the connection, not of the message (RFC 9110 Section 7.6.1)."""

POLICY: Final = "; ".join(
    (
        "default-src 'self'",
        # OHIF's page has two scripts in it, and its reader of segmentations compiles a third.
        "script-src 'self' 'unsafe-inline' 'unsafe-eval'",
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' blob: data:",
        "font-src 'self' data:",
        "connect-src 'self' blob: data:",
        "worker-src 'self' blob:",
        "object-src 'none'",
        "frame-ancestors 'none'",
    )
)
"""The browser itself refuses every request to another host."""


class Viewer(StaticFiles):
    """The files of OHIF; a path that names none is a page of it, which its script draws."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        """Return a file, or the one page."""
        try:
            response = await super().get_response(path, scope)
        except HTTPException as error:
            if error.status_code != 404 or Path(path).suffix:
                raise
            response = await super().get_response("index.html", scope)
        response.headers["Content-Security-Policy"] = POLICY
        return response


async def settings(_: Request) -> Response:
    """Return the settings of OHIF in the place of those that it comes with."""
    return FileResponse(SETTINGS / "app-config.js", media_type="text/javascript")


def repaired(query: str) -> str:
    """Return a query as Orthanc's DICOMweb reads it.

    OHIF writes the comma of a list as ``%2C``; the plugin (1.7 and 1.20 were tried) takes the
    whole list for one name then, and leaves out every attribute that was asked for.

    Parameters
    ----------
    query : str
        As it came, percent-encoded.

    Returns
    -------
    str
    """
    return query.replace("%2C", ",").replace("%2c", ",")


async def hand_on(request: Request) -> Response:
    """Ask Orthanc what was asked here, and hand its answer on as it comes."""
    client: httpx.AsyncClient = request.app.state.orthanc
    query = repaired(request.url.query)
    headers = {name: value for name, value in request.headers.items() if name not in NOT_HANDED_ON}
    # Orthanc writes the addresses of bulk data with it, so that they lead here.
    headers["forwarded"] = f"host={request.url.netloc};proto={request.url.scheme}"
    target = request.url.path + (f"?{query}" if query else "")
    asked = client.build_request(request.method, target, headers=headers)
    try:
        answer = await client.send(asked, stream=True)
    except httpx.HTTPError as error:
        return PlainTextResponse(
            f"Orthanc at {client.base_url} does not answer ({type(error).__name__}).\n",
            status_code=502,
        )
    return StreamingResponse(
        answer.aiter_raw(),
        answer.status_code,
        {name: value for name, value in answer.headers.items() if name not in NOT_HANDED_ON},
        background=BackgroundTask(answer.aclose),
    )


def application(ohif: Path, orthanc: str) -> Starlette:
    """Return the viewer.

    Parameters
    ----------
    ohif : Path
        Folder of OHIF's prebuilt files.
    orthanc : str
        Address of Orthanc's HTTP server, ``http://127.0.0.1:8042``.
    """

    @asynccontextmanager
    async def connected(app: Starlette) -> AsyncIterator[None]:
        async with httpx.AsyncClient(
            base_url=orthanc,
            timeout=httpx.Timeout(ANSWER_S, connect=CONNECT_S),
            # None is kept: Orthanc ends those that rest, sometimes just as one is used again.
            limits=httpx.Limits(max_keepalive_connections=0),
            headers={"connection": "close"},
            trust_env=False,
        ) as client:
            app.state.orthanc = client
            yield

    return Starlette(
        routes=[
            Route("/dicom-web/{path:path}", hand_on),
            Route("/wado", hand_on),
            Route("/app-config.js", settings),
            Mount("/radnet", StaticFiles(directory=SETTINGS)),
            Mount("/", Viewer(directory=ohif, html=True)),
        ],
        # A page elsewhere that gives its name our address would read the PACS (DNS rebinding).
        middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=["127.0.0.1", "localhost"])],
        lifespan=connected,
    )


def main() -> None:
    """Serve until it is interrupted."""
    parser = argparse.ArgumentParser(description="Serve OHIF beside an Orthanc, on loopback.")
    parser.add_argument("--ohif", type=Path, required=True, help="folder of OHIF's files")
    parser.add_argument("--orthanc", default="http://127.0.0.1:8042", help="Orthanc's address")
    parser.add_argument("--port", type=int, default=8043, help="where to listen; default 8043")
    chosen = parser.parse_args()
    if not (chosen.ohif / "index.html").is_file():
        parser.error(f"no OHIF in {chosen.ohif}: run 'make peers'")
    uvicorn.run(
        application(chosen.ohif, chosen.orthanc),
        host="127.0.0.1",
        port=chosen.port,
        log_level="warning",
        access_log=False,  # paths of DICOMweb name studies and hold what was searched for
    )


if __name__ == "__main__":
    main()
