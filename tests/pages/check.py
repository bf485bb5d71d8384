#!/usr/bin/env python3
"""Looks at pages in headless Chromium, at desktop and phone width, light and dark. For developers: needs Chromium and what run.sh installs.

    check.py [--shots FOLDER] [--wait SECONDS] [--expect TEXT]... URL|FILE...

Fails on a script error, a complaint of the console (a violated content security policy is one), a dialog, a request to anywhere but the page's own
server (a file: anything but itself), a page wider than its window, text of --expect that is not shown, and on what axe-core finds. The
browser is driven by its DevTools protocol over one WebSocket."""
import argparse
import base64
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request

import websocket

SIZES = {"desktop": (1280, 900, False), "phone": (390, 844, True)}
SCHEMES = ("light", "dark")
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


def axe_source():
    import axe_playwright_python
    return (pathlib.Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text(encoding="utf-8")


class Browser:
    def __init__(self, folder):
        command = ["chromium", "--headless=new", "--remote-debugging-port=0", "--remote-allow-origins=*", f"--user-data-dir={folder}",
                   "--no-first-run", "--disable-gpu", "--disable-background-networking", "--mute-audio", "about:blank"]
        if os.geteuid() == 0:
            command.insert(1, "--no-sandbox")
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        port = pathlib.Path(folder, "DevToolsActivePort")
        until = time.time() + 30
        while not port.exists() or not port.read_text().strip():
            if self.process.poll() is not None or time.time() > until:
                sys.exit("check.py: chromium did not start")
            time.sleep(0.1)
        self.port = port.read_text().split()[0]

    def open(self):
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}/json/new?about:blank", method="PUT")
        return Tab(json.load(urllib.request.urlopen(request)))

    def close(self):
        self.process.terminate()
        self.process.wait()


class Tab:
    def __init__(self, target):
        self.socket = websocket.create_connection(target["webSocketDebuggerUrl"], timeout=60)
        self.number = 0
        self.events = []

    def receive(self, until):
        self.socket.settimeout(max(0.01, until - time.time()))
        try:
            message = json.loads(self.socket.recv())
        except websocket.WebSocketTimeoutException:
            return None
        if "method" in message:
            self.events.append(message)
            if message["method"] == "Page.javascriptDialogOpening":
                self.number += 1
                self.socket.send(json.dumps({"id": self.number, "method": "Page.handleJavaScriptDialog", "params": {"accept": False}}))
        return message

    def call(self, method, **params):
        self.number += 1
        wanted = self.number
        self.socket.send(json.dumps({"id": wanted, "method": method, "params": params}))
        until = time.time() + 60
        while time.time() < until:
            message = self.receive(until)
            if message and message.get("id") == wanted:
                if "error" in message:
                    raise RuntimeError(f"{method}: {message['error']}")
                return message["result"]
        raise RuntimeError(f"{method}: no answer")

    def evaluate(self, expression):
        result = self.call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in result:
            raise RuntimeError(result["exceptionDetails"].get("exception", {}).get("description", "an exception"))
        return result["result"].get("value")

    def wait(self, seconds):
        until = time.time() + seconds
        while time.time() < until:
            self.receive(until)

    def close(self):
        self.call("Page.close")
        self.socket.close()


def complaints(events, url):
    own = urllib.parse.urlsplit(url)
    for event in events:
        params = event["params"]
        if event["method"] == "Runtime.exceptionThrown":
            details = params["exceptionDetails"]
            yield "script error: " + details.get("exception", {}).get("description", details.get("text", ""))
        elif event["method"] == "Runtime.consoleAPICalled" and params["type"] in ("error", "assert"):
            yield "console: " + " ".join(str(a.get("value", a.get("description", ""))) for a in params["args"])
        elif event["method"] == "Log.entryAdded" and params["entry"]["level"] == "error":
            yield f"browser: {params['entry']['text']} {params['entry'].get('url', '')}"
        elif event["method"] == "Page.javascriptDialogOpening":
            yield "a dialog was opened: " + params["message"]
        elif event["method"] == "Network.requestWillBeSent":
            asked = urllib.parse.urlsplit(params["request"]["url"])
            inside = asked.scheme in ("data", "blob") or (asked.scheme, asked.netloc) == (own.scheme, own.netloc) and \
                (own.scheme != "file" or asked.path == own.path)
            if not inside:
                yield "outside request: " + params["request"]["url"]


def look(browser, url, size, scheme, options, axe):
    width, height, mobile = SIZES[size]
    tab = browser.open()
    for domain in ("Page", "Runtime", "Log", "Network"):
        tab.call(domain + ".enable")
    tab.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=mobile)
    tab.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
    tab.call("Page.navigate", url=url)
    tab.wait(options.wait)
    tab.evaluate("document.querySelectorAll('details').forEach(d => { d.open = true; })")
    tab.wait(1)
    problems = []
    wide = tab.evaluate("document.documentElement.scrollWidth - innerWidth")
    if wide > 0:
        problems.append(f"the page is {wide} pixels wider than its window")
    text = tab.evaluate("document.body.innerText")
    problems += [f"not shown: {wanted!r}" for wanted in options.expect if wanted not in text]
    if options.shots:
        shot = tab.call("Page.captureScreenshot", format="png", captureBeyondViewport=True,
                        clip={"x": 0, "y": 0, "width": width, "height": tab.evaluate("document.documentElement.scrollHeight"), "scale": 1})
        name = pathlib.Path(options.shots, f"{options.name}-{size}-{scheme}.png")
        name.write_bytes(base64.b64decode(shot["data"]))
    tab.evaluate(axe + ";0")
    found = tab.evaluate(f"axe.run(document, {{runOnly: {json.dumps(TAGS)}}}).then(r => r.violations)")
    for rule in found:
        for node in rule["nodes"]:
            problems.append(f"axe {rule['id']} ({rule['impact']}): {rule['help']}: {node['html'][:160]} {node.get('failureSummary', '')[:200]!r}")
    problems += complaints(tab.events, url)
    tab.close()
    return problems


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--shots", help="folder for a picture of each look")
    parser.add_argument("--name", default="page", help="what the pictures' names begin with")
    parser.add_argument("--wait", type=float, default=2.5, help="seconds after which a page has drawn itself")
    parser.add_argument("--expect", action="append", default=[], help="text that must be seen")
    parser.add_argument("pages", nargs="+")
    options = parser.parse_args()
    axe, failed = axe_source(), 0
    if options.shots:
        os.makedirs(options.shots, exist_ok=True)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        browser = Browser(folder)
        try:
            for page in options.pages:
                url = page if "://" in page else pathlib.Path(page).resolve().as_uri()
                for size in SIZES:
                    for scheme in SCHEMES:
                        problems = look(browser, url, size, scheme, options, axe)
                        failed += len(problems)
                        print(f"{page} {size} {scheme}: {'well' if not problems else ''}", flush=True)
                        for problem in dict.fromkeys(problems):
                            print("    " + problem)
        finally:
            browser.close()
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
