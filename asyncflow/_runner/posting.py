"""An HTTP POST by httpx. `webhooks` alone imports it, and only to send the first one: it costs."""

from typing import Final

import httpx

from asyncflow._runner.webhooks import PostError

TOO_MANY, SERVER_ERROR = 429, 500
OK: Final = range(200, 300)


class Poster:
    """Keeps what all requests share. It waits without a limit: whoever asks has one."""

    def __init__(self) -> None:
        """Read the certificates of authorities, which blocks."""
        self._client = httpx.AsyncClient(timeout=None)

    async def post(self, url: str, body: bytes) -> None:
        """Return once a server has taken it; what the answer says is not read.

        Raises:
            PostError: it has not.
        """
        headers = {"Content-Type": "application/json"}
        try:
            async with self._client.stream("POST", url, content=body, headers=headers) as answer:
                status = answer.status_code
        except httpx.TransportError as error:
            text = f"{type(error).__name__}: {error}"
            raise PostError(text, fleeting=True) from error
        except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
            text = f"{type(error).__name__}: {error}"
            raise PostError(text, fleeting=False) from error
        if status not in OK:
            text = f"HTTP status {status}"
            raise PostError(text, fleeting=status == TOO_MANY or status >= SERVER_ERROR)

    async def close(self) -> None:
        """Close its connections."""
        await self._client.aclose()
