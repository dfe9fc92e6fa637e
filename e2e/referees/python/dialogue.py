"""How a script talks with the test that started it: one JSON value a line. Its
settings are in the environment."""

import json
import os
import sys

settings = json.loads(os.environ["SETTINGS"])


def report(result):
    print(json.dumps(result), flush=True)


def ask(question):
    """Say what is needed and wait for the answer."""
    report(question)
    line = sys.stdin.readline()
    if not line:
        raise EOFError("no answer to %r" % (question,))
    return json.loads(line)


def refused(what, call):
    """Call what must be refused and return the error."""
    try:
        got = call()
    except Exception as error:  # whatever the library raises
        return error
    raise AssertionError("%s was not refused: %r" % (what, got))
