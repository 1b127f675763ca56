"""How long Chromium takes to open the page of a long recording.

    opening.py HEAPTIDE RECORDING      exits with 1 if the bound is broken
"""

import json
import os
import re
import subprocess
import sys
import tempfile
import time
import urllib.request

MIB = 1 << 20
SECONDS = 2.0
FLAGS = """--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking
--disable-component-update --disable-sync""".split()
# From the start of the navigation until all lines can be sorted and filtered, and until the frame after that is drawn.
ASK = """
const done = arguments[0];
const look = () => document.querySelector(".lines[data-ready]")
  ? requestAnimationFrame(() => setTimeout(() => done([
      performance.getEntriesByType("navigation")[0].domContentLoadedEventEnd,
      performance.getEntriesByName("heaptide-lines")[0].startTime,
      performance.now(),
      document.querySelector(".lines [role=status]").textContent])))
  : setTimeout(look, 5);
look();
"""


def main(heaptide, recording):
    with tempfile.TemporaryDirectory() as folder:
        page = f"{folder}/page.html"
        start = time.monotonic()
        subprocess.run([heaptide, "report", recording, "--format", "html", "-o", page], check=True)
        print(f"report html of many lines {time.monotonic() - start:6.2f} s, a page of {os.path.getsize(page) / MIB:.1f} MiB")
        best = min(opened(page) for _ in range(3))
    parsed, ready, drawn, told = best
    verdict = "" if drawn < SECONDS * 1000 else f"   more than {SECONDS} s"
    print(f"opening it in Chromium    {drawn / 1000:6.2f} s, of which {parsed / 1000:.2f} s until it can be read, "
          f"and {ready / 1000:.2f} s until {told} can be sorted{verdict}")
    return 1 if verdict else 0


def opened(page):
    """Opens a page in a new browser; milliseconds until it can be read, is complete, and is drawn."""
    with tempfile.TemporaryDirectory() as profile:
        driver = subprocess.Popen(["chromedriver", "--port=0"], stdout=subprocess.PIPE, text=True)
        try:
            port = next(filter(None, (re.search(r"successfully on port (\d+)", line) for line in driver.stdout)))[1]
            options = {"args": [*FLAGS, f"--user-data-dir={profile}"]}
            wanted = {"alwaysMatch": {"goog:chromeOptions": options, "timeouts": {"script": 120_000}}}
            base = f"http://127.0.0.1:{port}/session"
            base += "/" + call("POST", base, {"capabilities": wanted})["sessionId"]
            call("POST", base + "/url", {"url": f"file://{page}"})
            answer = call("POST", base + "/execute/async", {"script": ASK, "args": []})
            call("DELETE", base)
            return answer
        finally:
            driver.kill()
            driver.wait()


def call(method, address, body=None):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(address, data, {"Content-Type": "application/json"}, method=method)
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)["value"]


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
