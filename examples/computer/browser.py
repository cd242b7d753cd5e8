"""A real Chromium without a window, and what a model can do with it: ``Computer.do(action)``.

Chromium is told everything over its DevTools protocol, JSON over a WebSocket on this machine.
Needs the package websockets. ``CHROMIUM`` may say which program it is, ``CHROMIUM_FLAGS`` what
else it is started with (``--no-sandbox`` where a container forbids sandboxes).
"""

import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import ExitStack, contextmanager
from pathlib import Path

from websockets.sync.client import connect

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
FLAGS = (
    "--headless",
    "--remote-debugging-port=0",
    "--no-first-run",
    "--no-default-browser-check",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-extensions",
    "--disable-quic",
    "--disable-gpu",
    "--disable-smooth-scrolling",
    "--password-store=basic",
    "--use-mock-keychain",
)
START_SECONDS_MAX = 30
ANSWER_SECONDS_MAX = 15
WAIT_SECONDS = 0.5

BUTTONS = {  # the API's names: DevTools' names, and the bit that says it is held
    "left": ("left", 1),
    "right": ("right", 2),
    "wheel": ("middle", 4),
    "back": ("back", 8),
    "forward": ("forward", 16),
}
MODIFIERS = {"ALT": 1, "CTRL": 2, "META": 4, "SHIFT": 8}
SAME = {  # models write these in many ways
    "CONTROL": "CTRL",
    "OPTION": "ALT",
    "CMD": "META",
    "COMMAND": "META",
    "SUPER": "META",
    "WIN": "META",
    "RETURN": "ENTER",
    "ESCAPE": "ESC",
    "DEL": "DELETE",
    "INS": "INSERT",
    "UP": "ARROWUP",
    "DOWN": "ARROWDOWN",
    "LEFT": "ARROWLEFT",
    "RIGHT": "ARROWRIGHT",
    "PAGE_UP": "PAGEUP",
    "PAGE_DOWN": "PAGEDOWN",
    " ": "SPACE",
}
KEYS = {  # key, code, number, the text it writes
    "ALT": ("Alt", "AltLeft", 18, ""),
    "CTRL": ("Control", "ControlLeft", 17, ""),
    "META": ("Meta", "MetaLeft", 91, ""),
    "SHIFT": ("Shift", "ShiftLeft", 16, ""),
    "ENTER": ("Enter", "Enter", 13, "\r"),
    "TAB": ("Tab", "Tab", 9, ""),
    "ESC": ("Escape", "Escape", 27, ""),
    "SPACE": (" ", "Space", 32, " "),
    "BACKSPACE": ("Backspace", "Backspace", 8, ""),
    "DELETE": ("Delete", "Delete", 46, ""),
    "INSERT": ("Insert", "Insert", 45, ""),
    "HOME": ("Home", "Home", 36, ""),
    "END": ("End", "End", 35, ""),
    "PAGEUP": ("PageUp", "PageUp", 33, ""),
    "PAGEDOWN": ("PageDown", "PageDown", 34, ""),
    "ARROWLEFT": ("ArrowLeft", "ArrowLeft", 37, ""),
    "ARROWUP": ("ArrowUp", "ArrowUp", 38, ""),
    "ARROWRIGHT": ("ArrowRight", "ArrowRight", 39, ""),
    "ARROWDOWN": ("ArrowDown", "ArrowDown", 40, ""),
    **{f"F{n}": (f"F{n}", f"F{n}", 111 + n, "") for n in range(1, 13)},
}


def program():
    """The path of a Chromium on this machine, or None."""
    found = (shutil.which(name) for name in (os.environ.get("CHROMIUM"), *NAMES) if name)
    return next((path for path in found if path), None)


class Chromium:
    """One browser with one page of ``width`` times ``height`` pixels; ends with the block."""

    def __init__(self, url, width=640, height=480):
        self.width, self.height = width, height
        self._url = url
        self._numbers = itertools.count(1)

    def __enter__(self):
        path = program()
        if path is None:
            raise SystemExit("No Chromium on this machine: install it, or set CHROMIUM.")
        with ExitStack() as stack:
            options = {"prefix": "computer-", "ignore_cleanup_errors": True}
            folder = stack.enter_context(tempfile.TemporaryDirectory(**options))
            process = stack.enter_context(started(path, folder))
            link = connect(page_of(process, folder), max_size=None, proxy=None)
            self._link = stack.enter_context(link)
            self.tell(
                "Emulation.setDeviceMetricsOverride",
                width=self.width,
                height=self.height,
                deviceScaleFactor=1,
                mobile=False,
            )
            self.open(self._url)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_):
        self._stack.close()

    def open(self, url):
        """Show the page at this URL."""
        self.tell("Page.navigate", url=url)
        self.until("document.readyState === 'complete' && location.href !== 'about:blank'")

    def tell(self, method, **parameters):
        """Send one command of the protocol; returns its result."""
        number = next(self._numbers)
        self._link.send(json.dumps({"id": number, "method": method, "params": parameters}))
        until = time.monotonic() + ANSWER_SECONDS_MAX
        while True:
            said = json.loads(self._link.recv(timeout=max(until - time.monotonic(), 0)))
            if said.get("id") == number:
                break
        if "error" in said:
            raise RuntimeError(f"{method}: {said['error']['message']}")
        return said["result"]

    def value(self, expression):
        """What a JavaScript expression gives; a promise is waited for."""
        found = self.tell(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        if "exceptionDetails" in found:
            raise RuntimeError(f"{expression}: {found['exceptionDetails']['text']}")
        return found["result"].get("value")

    def until(self, expression):
        """Wait until it is true."""
        until = time.monotonic() + ANSWER_SECONDS_MAX
        while not self.value(expression):
            if time.monotonic() > until:
                raise TimeoutError(expression)
            time.sleep(0.02)


@contextmanager
def started(path, folder):
    """A Chromium, whose files are in ``folder``: many processes, which end with the block."""
    more = os.environ.get("CHROMIUM_FLAGS", "").split()
    flags = [*FLAGS, f"--user-data-dir={folder}", *more]
    if sys.platform == "linux" and os.geteuid() == 0:
        flags.append("--no-sandbox")  # which cannot be set up by root
    process = subprocess.Popen(
        [path, *flags, "about:blank"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=os.name == "posix",
    )
    try:
        yield process
    finally:
        if os.name == "posix":
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
        process.wait()


def page_of(process, folder):
    """The address of the WebSocket of its page, once it is there."""
    told = Path(folder, "DevToolsActivePort")
    until = time.monotonic() + START_SECONDS_MAX
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    while True:
        lines = told.read_text().splitlines() if told.exists() else []
        if len(lines) == 2:
            with direct.open(f"http://127.0.0.1:{lines[0]}/json/list") as answer:
                pages = [one for one in json.load(answer) if one["type"] == "page"]
            if pages:
                return pages[0]["webSocketDebuggerUrl"]
        if process.poll() is not None or time.monotonic() > until:
            raise SystemExit("Chromium did not start.")
        time.sleep(0.02)


class Computer:
    """The screen, the mouse and the keyboard of a Chromium's page."""

    def __init__(self, chromium):
        self._chromium = chromium

    def do(self, action):
        """Perform one action of a ``computer_call``: the dictionary as the API has it."""
        what = {name: value for name, value in action.items() if value is not None}
        getattr(self, f"_{what.pop('type')}")(**what)

    def screenshot(self):
        """The screen as it is now, as a data URL of a PNG image."""
        self._chromium.value(  # what has been done is drawn in the frame after the next
            "new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"
        )
        return f"data:image/png;base64,{self._chromium.tell('Page.captureScreenshot')['data']}"

    # One method per type of action, with the action's fields.

    def _screenshot(self):
        pass  # there is one after every call

    def _wait(self):
        time.sleep(WAIT_SECONDS)

    def _move(self, x, y, keys=()):
        self._mouse("mouseMoved", x, y, held=self._hold(keys))
        self._let_go(keys)

    def _click(self, x, y, button="left", keys=()):
        self._press(x, y, button, 1, keys)

    def _double_click(self, x, y, keys=()):
        self._press(x, y, "left", 2, keys)

    def _drag(self, path, keys=()):
        held = self._hold(keys)
        first, *rest = ((point["x"], point["y"]) for point in path)
        self._mouse("mouseMoved", *first, held=held)
        self._mouse("mousePressed", *first, "left", held, clickCount=1)
        for x, y in rest:
            self._mouse("mouseMoved", x, y, "left", held)
        self._mouse("mouseReleased", *(rest or [first])[-1], "left", held, clickCount=1)
        self._let_go(keys)

    def _scroll(self, x, y, scroll_x=0, scroll_y=0, keys=()):
        held = self._hold(keys)
        self._mouse("mouseWheel", x, y, held=held, deltaX=scroll_x, deltaY=scroll_y)
        self._let_go(keys)

    def _type(self, text):
        for number, line in enumerate(text.split("\n")):
            if number:
                self._keypress(["ENTER"])
            if line:
                self._chromium.tell("Input.insertText", text=line)

    def _keypress(self, keys):
        self._let_go(keys, self._hold(keys))

    def _press(self, x, y, button, times, keys):
        held = self._hold(keys)
        self._mouse("mouseMoved", x, y, held=held)
        for number in range(1, times + 1):
            self._mouse("mousePressed", x, y, button, held, clickCount=number)
            self._mouse("mouseReleased", x, y, button, held, clickCount=number)
        self._let_go(keys)

    def _mouse(self, kind, x, y, button=None, held=0, **more):
        name, bit = BUTTONS[button] if button else ("none", 0)
        self._chromium.tell(
            "Input.dispatchMouseEvent",
            type=kind,
            x=x,
            y=y,
            button=name,
            buttons=0 if kind == "mouseReleased" else bit,
            modifiers=held,
            **more,
        )

    def _hold(self, keys):
        """Press these keys; returns the modifiers among them."""
        held = 0
        for name in map(name_of, keys):
            held |= MODIFIERS.get(name, 0)
            key, code, number, text = key_of(name)
            if held & ~MODIFIERS["SHIFT"]:
                text = ""  # CTRL+A writes nothing
            self._key("keyDown" if text else "rawKeyDown", key, code, number, held, text)
        return held

    def _let_go(self, keys, held=None):
        names = [name_of(one) for one in keys]
        if held is None:
            held = sum({MODIFIERS.get(name, 0) for name in names})
        for name in reversed(names):
            held &= ~MODIFIERS.get(name, 0)
            key, code, number, _ = key_of(name)
            self._key("keyUp", key, code, number, held, "")

    def _key(self, kind, key, code, number, held, text):
        self._chromium.tell(
            "Input.dispatchKeyEvent",
            type=kind,
            key=key,
            code=code,
            windowsVirtualKeyCode=number,
            modifiers=held,
            text=text,
        )


def name_of(key):
    name = key.upper() if len(key) > 1 else key
    return SAME.get(name, name)


def key_of(name):
    """(key, code, number, text) of a key: one of ``KEYS``, or the character it writes."""
    if name in KEYS:
        return KEYS[name]
    if len(name) != 1:
        raise ValueError(f"there is no key called {name!r}")
    upper = name.upper()
    code = f"Key{upper}" if upper.isalpha() else f"Digit{upper}" if upper.isdigit() else ""
    return name, code, ord(upper) if upper.isascii() else 0, name
