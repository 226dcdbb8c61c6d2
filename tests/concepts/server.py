"""A tiny server that speaks OpenAI's chat protocol, for a model that says what the test wants."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Server:
    address: str
    asked: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    failures: int = 0  # requests still to be refused
    status: int = 503
    finish: str = "stop"


@contextmanager
def serving(say: Callable[[str], str]) -> Iterator[Server]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            server.asked.append(body)
            server.keys.append(self.headers["Authorization"])
            assert self.path == "/v1/chat/completions"
            if server.failures:
                server.failures -= 1
                self.reply(server.status, {"error": {"message": "try later", "type": "server"}})
                return
            message = {"role": "assistant", "content": say(body["messages"][0]["content"])}
            choice = {"index": 0, "message": message, "finish_reason": server.finish}
            usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
            content = {"id": "1", "object": "chat.completion", "created": 1, "model": "tiny"}
            self.reply(200, {**content, "choices": [choice], "usage": usage})

        def reply(self, status: int, content: dict[str, Any]) -> None:
            data = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server = Server(f"http://127.0.0.1:{http.server_port}/v1")
    threading.Thread(target=http.serve_forever, daemon=True).start()
    try:
        yield server
    finally:
        http.shutdown()
        http.server_close()
