"""A time limit for requests, so that a client that sends slowly cannot hold a connection for ever."""

import asyncio

from uvicorn.protocols.http.h11_impl import H11Protocol

#: Maximum time from the start of a connection, or the end of an answer, to the end of the next request. Seconds.
PATIENCE = 20.0
#: Maximum number of connections; others get 503.
MOST_CONNECTIONS = 200


class ImpatientProtocol(H11Protocol):
    """Closes connections whose request does not arrive in time; answers have no limit."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start waiting for a request."""
        super().connection_made(transport)
        self._deadline = self.loop.call_later(PATIENCE, self._look)
        self._asked = self.loop.time()

    def on_response_complete(self) -> None:
        """Start waiting for the next request."""
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
