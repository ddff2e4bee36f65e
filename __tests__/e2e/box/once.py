"""A request that is sent twice is done once.

The SDKs send a request again whose answer is late or lost, under the same invocation id, and AWS mostly answers with what
was made the first time. moto makes a second thing, of which nobody knows and which nobody destroys: on a busy machine a
second instance, for whose boot the deploy then waits.
"""

import threading
from concurrent.futures import Future

from werkzeug.test import run_wsgi_app

UNCHANGING = {"GET", "HEAD"}


def once(application):
    """Wraps a WSGI application."""
    lock = threading.Lock()
    answers = {}

    def answer_of(request, environ):
        with lock:
            is_first = request not in answers
            answer = answers.setdefault(request, Future())
        if not is_first:
            print(f"sent again: {environ['REQUEST_METHOD']} {environ['PATH_INFO']} {request}", flush=True)
            # An answer before the end of the request would cut the connection.
            environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            return answer.result()
        try:
            body, status, headers = run_wsgi_app(application, environ, buffered=True)
            given = (b"".join(body), status, headers)
        except BaseException as error:
            del answers[request]
            answer.set_exception(error)
            raise
        # A fault of the server's is what SDKs try again for.
        if status.startswith("5"):
            del answers[request]
        answer.set_result(given)
        return given

    def answer(environ, start_response):
        request = environ.get("HTTP_AMZ_SDK_INVOCATION_ID")
        if request is None or environ["REQUEST_METHOD"] in UNCHANGING:
            return application(environ, start_response)
        body, status, headers = answer_of(request, environ)
        start_response(status, headers.to_wsgi_list())
        return [body]

    return answer
