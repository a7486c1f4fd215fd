"""How long a connection may take to ask: whoever sends a request letter by letter would hold it for ever otherwise."""

import asyncio

from uvicorn.protocols.http.h11_impl import H11Protocol

#: Seconds from the beginning of a connection, or the end of an answer, to the end of the next request.
PATIENCE = 20.0
#: Connections at once; further ones are told to come back (503).
MOST_CONNECTIONS = 200


class ImpatientProtocol(H11Protocol):
    """Closes connections whose request is not there in time; answers take as long as they take."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a request."""
        super().connection_made(transport)
        self._deadline = self.loop.call_later(PATIENCE, self._look)
        self._asked = self.loop.time()

    def on_response_complete(self) -> None:
        """Begin to wait for the next one."""
        self._asked = self.loop.time()
        super().on_response_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop waiting."""
        self._deadline.cancel()
        super().connection_lost(exc)

    def _look(self) -> None:
        is_asking = self.cycle is None or self.cycle.response_complete or self.cycle.more_body
        left = PATIENCE - (self.loop.time() - self._asked)
        if is_asking and left <= 0:
            self.transport.close()
            return
        self._deadline = self.loop.call_later(max(left, PATIENCE / 4), self._look)
