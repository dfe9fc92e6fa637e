"""A pytest fixture that starts mockauth0 on a free port."""

import os
import re
import shutil
import subprocess
import threading

import pytest
import requests


class Mock:
    """A running tenant."""

    def __init__(self, issuer):
        self.issuer = issuer

    def control(self, method, path, body=None):
        """Calls the control API under /_mock/."""
        response = requests.request(method, f"{self.issuer}_mock/{path}", json=body)
        response.raise_for_status()
        return response.json()

    def requests(self, **filters):
        """The journal, oldest first."""
        return requests.get(f"{self.issuer}_mock/requests", filters).json()["requests"]


@pytest.fixture(scope="session")
def process():
    if not shutil.which("mockauth0"):
        pytest.exit("mockauth0 is not on the PATH; in a clone, make build puts it into bin", returncode=1)
    env = {name: value for name, value in os.environ.items() if not name.startswith("MOCKAUTH0_")}
    env["MOCKAUTH0_LISTEN"] = "127.0.0.1:0"
    # It ends with its standard input, so also when pytest is killed.
    with subprocess.Popen(
        ["mockauth0", "serve", "--until-eof"],
        env=env, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as tenant:
        for line in tenant.stderr:
            if found := re.search(r"issuer (http://\S+),", line):
                threading.Thread(target=tenant.stderr.read, daemon=True).start()  # a full pipe would block it
                yield Mock(found.group(1))
                break
        else:
            pytest.fail("mockauth0 does not start")
        tenant.stdin.close()


@pytest.fixture
def mock(process):
    process.control("POST", "reset", {})
    return process
