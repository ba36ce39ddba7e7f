"""JupyterLab and Chromium for tests that sit where the reader sits. All on 127.0.0.1, all stopped at the end.

JupyterLab is used through its commands and through roles and names (ARIA), not through menus and styles of the day: a
click on a menu is lost without a word when the notebook is not ready yet.
"""
import ast
import json
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).resolve().parents[2]
CHROMIUM = os.environ.get("VIRTLAB_CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-sync",
         "--disable-component-update", "--disable-dev-shm-usage"]  # fmt: skip
SETTINGS = {
    "@jupyterlab/apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": False},
    "@jupyterlab/docmanager-extension:plugin": {"autosave": False},
    "@jupyterlab/notebook-extension:tracker": {"windowingMode": "none"},  # cells out of sight stay in the page
}


def pytest_collection_modifyitems(items):
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker("browser")


class LabServer:
    """JupyterLab with settings, kernels and a folder of its own, below ``base``."""

    def __init__(self, base):
        self.root, self.log = base / "work", base / "server.log"
        self.token = secrets.token_hex(16)
        for folder in (self.root, base / "app"):
            folder.mkdir()
        (base / "app" / "overrides.json").write_text(json.dumps(SETTINGS), encoding="utf-8")
        own = {name: str(base / name.lower()) for name in (
            "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "JUPYTERLAB_SETTINGS_DIR",
            "JUPYTERLAB_WORKSPACES_DIR", "IPYTHONDIR",
        )}  # fmt: skip
        env = {**os.environ, **own, "PYTHONPATH": str(ROOT), "JUPYTER_PLATFORM_DIRS": "1"}
        env.pop("VIRTLAB_STRICT", None)  # here a reader sits
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        command = [
            sys.executable, "-m", "jupyter", "lab", "--no-browser", "--allow-root", "--ServerApp.ip=127.0.0.1",
            f"--ServerApp.port={port}", "--ServerApp.port_retries=0", f"--IdentityProvider.token={self.token}",
            f"--ServerApp.root_dir={self.root}", "--ServerApp.terminals_enabled=False",
            "--ServerApp.shutdown_no_activity_timeout=900", f"--LabApp.app_settings_dir={base / 'app'}",
            "--LabApp.news_url=None", "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
            "--LabApp.extension_manager=readonly", "--LabApp.expose_app_in_browser=True",
        ]  # fmt: skip
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, env=env, cwd=base, start_new_session=True)
        try:
            self._wait()
        except BaseException:
            self.stop()
            raise

    def _wait(self, seconds=60):
        end = time.monotonic() + seconds
        while time.monotonic() < end and self.process.poll() is None:
            try:
                urllib.request.urlopen(f"{self.url}/lab?token={self.token}", timeout=5).read()
                return
            except OSError:
                time.sleep(0.05)
        raise RuntimeError("JupyterLab does not answer:\n" + self.log.read_text(encoding="utf-8")[-3000:])

    def api(self, path, method="GET"):
        headers = {"Authorization": f"token {self.token}"}
        request = urllib.request.Request(f"{self.url}/api/{path}", method=method, headers=headers)
        with urllib.request.urlopen(request, timeout=20) as answer:
            body = answer.read()
        return json.loads(body) if body else None

    def stop_kernels(self):
        for kind in ("sessions", "kernels"):
            for one in self.api(kind):
                try:
                    self.api(f"{kind}/{one['id']}", "DELETE")
                except OSError:
                    pass  # gone with its session

    def stop(self):
        """Ends the server and, as they are in its session, all kernels."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGTERM)
            try:
                self.process.wait(15)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()


class Page:
    """A notebook in JupyterLab: open it, run it, look at it."""

    def __init__(self, page, server):
        self.page, self.server = page, server
        self.console, self.strangers = [], []
        page.on("console", lambda m: self.console.append(m.text) if m.type == "error" else None)
        page.on("pageerror", lambda e: self.console.append(f"uncaught: {e}"))
        page.on("request", lambda r: self._note(r.url))
        page.on("websocket", lambda w: self._note(w.url))

    def _note(self, url):
        here = self.server.url.removeprefix("http://")
        if not url.startswith(("data:", "blob:", f"http://{here}/", f"ws://{here}/")):
            self.strangers.append(url)

    def open(self, notebook):
        """Opens a copy of the notebook, and waits until its kernel has answered."""
        shutil.copy(notebook, self.server.root / notebook.name)
        self.page.set_default_timeout(60_000)
        self.page.goto(f"{self.server.url}/lab?reset&token={self.server.token}")
        self.page.wait_for_function("() => window.jupyterapp")
        self.page.set_default_timeout(20_000)
        self.page.evaluate(
            """async path => {
                const app = window.jupyterapp;
                await app.restored;
                const panel = await app.commands.execute('docmanager:open', {path, factory: 'Notebook'});
                await panel.context.ready;
                await panel.sessionContext.ready;
                await panel.sessionContext.session.kernel.info;
                window.opened = panel;
            }""",
            notebook.name,
        )
        return self

    def run_all(self, seconds=180):
        """Runs all cells. Fails when one raises."""
        done = self.page.evaluate(
            """async ms => {
                const app = window.jupyterapp;
                app.shell.activateById(window.opened.id);
                return await Promise.race([app.commands.execute('notebook:run-all-cells'),
                                           new Promise(end => setTimeout(() => end('too slow'), ms))]);
            }""",
            seconds * 1000,
        )
        assert done is True, f"run all cells: {done}; {self.errors()}"
        return self

    def errors(self):
        """What cells raised."""
        return self.page.evaluate(
            """() => window.opened.content.model.sharedModel.cells.flatMap((cell, i) => (cell.outputs || [])
                 .filter(o => o.output_type === 'error').map(o => `cell ${i}: ${o.ename}: ${o.evalue}`))"""
        )

    def kernel(self, expression):
        """The value of an expression in the notebook's kernel; the notebook stays as it is."""
        text = self.page.evaluate(
            """async code => {
                const future = window.opened.sessionContext.session.kernel.requestExecute({
                    code: 'import json as _json', store_history: false,
                    user_expressions: {value: `_json.dumps(${code})`}});
                const {value} = (await future.done).content.user_expressions;
                if (value.status !== 'ok') throw new Error(`${value.ename}: ${value.evalue}`);
                return value.data['text/plain'];
            }""",
            expression,
        )
        return json.loads(ast.literal_eval(text))


@pytest.fixture(scope="session")
def server(tmp_path_factory, chromium):
    running = LabServer(tmp_path_factory.mktemp("jupyterlab"))
    yield running
    running.stop()


@pytest.fixture(scope="session")
def chromium():
    if CHROMIUM is None or not Path(CHROMIUM).exists():
        pytest.skip("no Chromium: install it (apt-get install chromium), or name one with VIRTLAB_CHROMIUM")
    playwright = pytest.importorskip("playwright.sync_api", reason="no playwright: pip install playwright")
    pytest.importorskip("jupyterlab", reason="no JupyterLab: pip install -e .[lab]")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, headless=True, args=FLAGS, chromium_sandbox=False)
        yield browser
        browser.close()


@pytest.fixture
def notebook_page(server, chromium, tmp_path):
    """A fresh page. Afterwards: a picture of it in the test's folder, no kernel left, and nothing foreign was asked."""
    context = chromium.new_context(viewport={"width": 1280, "height": 1000})
    page = Page(context.new_page(), server)
    yield page
    page.page.screenshot(path=tmp_path / "page.png")
    context.close()
    server.stop_kernels()
    assert not page.strangers, f"asked for something that is not on this computer: {page.strangers}"
    ours = [text for text in page.console if re.search("virtlab|widget|uncaught", text, re.IGNORECASE)]
    assert not ours, f"errors in the browser's console: {ours}"


@pytest.fixture
def write_notebook(tmp_path):
    def write(*cells):
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
        notebook.metadata.kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
        nbformat.write(notebook, tmp_path / "test.ipynb")
        return tmp_path / "test.ipynb"

    return write
