"""The parts of a session with a real client: the stand-in for a model, the service, a repository and an environment."""

import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
INSTALLED = ROOT / "target/clients"
NODE, PYTHON = INSTALLED / "node_modules/.bin", INSTALLED / "python/bin/python"
KEY = "key-of-the-client"
REVIEWER = "key-of-the-reviewer"
# The longest run of one client, in seconds.
LIMIT = 120


@contextlib.contextmanager
def process(command, **options):
    """A process with the first line of its output; it ends with the block."""
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, **options)
    try:
        yield child
    finally:
        child.kill()
        child.wait()


def lines(child, pattern):
    """Reads the output up to a line with the pattern, and returns its first group."""
    for line in child.stdout:
        if found := re.search(pattern, line):
            return found.group(1)
    raise SystemExit(f"{child.args[0]} ended with {child.wait()}")


@contextlib.contextmanager
def service(server, folder, model):
    """The service under the shipped policy, with the stand-in as its provider."""
    shutil.copytree(ROOT / "policy", folder / "policy")
    shutil.copytree(ROOT / "policies", folder / "policies")
    (folder / "plans").mkdir()
    policy = folder / "policy/policy.yaml"
    provider = f"llm:\n  providers: [{{name: stand-in, base_url: 'http://127.0.0.1:{model}', dialect: any}}]\n"
    policy.write_text(re.sub(r"^llm:\n", provider, policy.read_text(), count=1, flags=re.M))
    env = {"PATH": os.environ["PATH"], "PORT": "0", "API_KEY": KEY, "API_TOKENS": f"reviewer[reviewer]={REVIEWER}", "LOG_LEVEL": "ERROR", "LOG_FILE": "-"}
    with process([server], cwd=folder, env=env, stderr=subprocess.DEVNULL) as child:
        yield lines(child, r"(http://127[.\d]*:\d+)"), child


def ask(url, key, body=None):
    """The JSON of a response: of a GET, or of a POST with a body."""
    headers = {"X-API-Key": key, "Content-Type": "application/json"}
    request = urllib.request.Request(url, body and json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=10) as response:
        return json.load(response)


def rows(url):
    page = ask(f"{url}/journal?limit=500", KEY)
    return page.get("rows") or page.get("events")


@contextlib.contextmanager
def model(commands):
    """The stand-in for a provider; yields its port."""
    with process([sys.executable, HERE / "model.py", *commands]) as child:
        yield lines(child, r"^(\d+)$")


def repository(folder):
    (folder / "src").mkdir(parents=True)
    (folder / "README.md").write_text("# Shop\n\nRun `npm install`, then open http://localhost:5173.\n")
    (folder / "src/main.py").write_text("import os\nimport sys\n\nprint(os.getcwd(), sys.argv)\n")
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "init.defaultBranch=main"]
    for command in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "Begin"]):
        subprocess.run(git + command, cwd=folder, check=True)


def environment(url, home):
    """What the clients read: addresses, keys and a home of their own."""
    return {
        "PATH": f"{NODE}:{os.environ['PATH']}", "HOME": str(home), "NODE_PATH": str(INSTALLED / "node_modules"),
        "OPENAI_BASE_URL": f"{url}/v1", "OPENAI_API_KEY": KEY, "OPENAI_MODEL": "m",
        "ANTHROPIC_BASE_URL": url, "ANTHROPIC_AUTH_TOKEN": KEY, "IS_SANDBOX": "1",
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1", "DISABLE_TELEMETRY": "1", "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    }


def run(command, folder, env):
    """Runs a client to its end; returns its status and its output."""
    with tempfile.TemporaryFile("w+") as output:
        client = subprocess.Popen(command, cwd=folder, env=env, stdin=subprocess.DEVNULL, stdout=output,
                                  stderr=subprocess.STDOUT, start_new_session=True)
        try:
            status = client.wait(LIMIT)
        except subprocess.TimeoutExpired:
            status = "too slow"
        # What the client started ends with it.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(client.pid, signal.SIGKILL)
        client.wait()
        output.seek(0)
        return status, output.read()
