"""Runs real clients through the service, against a stand-in for a model provider.

Usage: run.py [--server PROGRAM] [CLIENT...]   Without names, all clients run; `--list` lists them.

Each client completes a session of five steps under the shipped policy: it reads the README, lists and reads the
sources, writes a file and asks git for the status. The model's part is scripted (`model.py`); everything else is real.
The pinned packages are installed into `target/clients`.
"""

import argparse
import contextlib
import filecmp
import json
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time

import rig
from rig import HERE, INSTALLED, KEY, NODE, PYTHON, ROOT

STEPS = ["cat README.md", "ls src", "cat src/main.py", "printf 'note\\n' > notes.txt", "git status --short"]


def session(name):
    file = HERE / "sessions" / name
    return (["node"] if name.endswith("mjs") else [PYTHON]) + [file]


def codex(url, home):
    (home / ".codex").mkdir()
    provider = f'name = "life-agent"\nbase_url = "{url}/v1"\nenv_key = "OPENAI_API_KEY"\nwire_api = "responses"\n'
    text = f'model = "m"\nmodel_provider = "life-agent"\n[model_providers.life-agent]\n{provider}'
    (home / ".codex/config.toml").write_text(text)
    return [NODE / "codex", "exec", "--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox", "look around"]


def opencode(url, home):
    (home / ".config/opencode").mkdir(parents=True)
    options = {"baseURL": f"{url}/v1", "apiKey": KEY}
    provider = {"npm": "@ai-sdk/openai-compatible", "name": "life-agent", "options": options, "models": {"m": {"name": "m"}}}
    config = {"provider": {"life-agent": provider}, "model": "life-agent/m", "autoupdate": False, "share": "disabled"}
    (home / ".config/opencode/opencode.json").write_text(json.dumps(config))
    return [NODE / "opencode", "run", "look around"]


def claude(_url, _home):
    return [NODE / "claude", "-p", "look around", "--model", "claude-m", "--dangerously-skip-permissions"]


def qwen(_url, _home):
    return [NODE / "qwen", "-y", "--auth-type", "openai", "-p", "look around"]


def fixed(name):
    return lambda _url, _home: session(name)


# The package that names the version, and the command.
CLIENTS = {
    "claude-code": ("@anthropic-ai/claude-code", claude),
    "codex": ("@openai/codex", codex),
    "opencode": ("opencode-ai", opencode),
    "qwen-code": ("@qwen-code/qwen-code", qwen),
    "openai-node": ("openai", fixed("openai_node.mjs")),
    "ai-sdk": ("ai", fixed("ai_sdk.mjs")),
    "openai-python": ("openai", fixed("openai_chat.py")),
    "openai-python-responses": ("openai", fixed("openai_responses.py")),
    "anthropic-python": ("anthropic", fixed("anthropic_messages.py")),
    "groq-python": ("groq", fixed("groq_chat.py")),
    "langchain": ("langchain-openai", fixed("langchain_chat.py")),
    "litellm": ("litellm", fixed("litellm_chat.py")),
    "pydantic-ai": ("pydantic-ai-slim", fixed("pydantic_agent.py")),
    "openai-agents": ("openai-agents", fixed("openai_agent.py")),
}


def in_python(name):
    return CLIENTS[name][1](None, None)[0] == PYTHON if name not in ("codex", "opencode") else False


def version(name):
    package = CLIENTS[name][0]
    if in_python(name):
        pins = (HERE / "requirements.txt").read_text()
        return re.search(rf"^{re.escape(package)}(?:\[\w+\])?==(\S+)", pins, re.M).group(1)
    return json.loads((HERE / "package.json").read_text())["dependencies"][package]


def install(names):
    """Installs the packages of the clients in their pinned versions, unless they are installed already."""
    INSTALLED.mkdir(parents=True, exist_ok=True)
    if any(not in_python(name) for name in names):
        pins = json.loads((HERE / "package.json").read_text())["dependencies"]
        wanted = {CLIENTS[name][0] for name in names if not in_python(name)}
        wanted |= {"@ai-sdk/openai-compatible", "zod"} if "ai-sdk" in names else set()
        missing = [f"{package}@{pins[package]}" for package in sorted(wanted) if installed(package) != pins[package]]
        if missing:
            # Without a lock file: `npm ci` fails on the packages of other platforms, which some clients list.
            npm = ["npm", "install", "--no-package-lock", "--no-audit", "--no-fund", "--silent", *missing]
            subprocess.run(npm, cwd=INSTALLED, check=True)
    pins = HERE / "requirements.txt"
    copied = INSTALLED / pins.name
    if any(in_python(name) for name in names) and not (copied.exists() and filecmp.cmp(pins, copied, shallow=False)):
        subprocess.run([sys.executable, "-m", "venv", INSTALLED / "python"], check=True)
        subprocess.run([PYTHON, "-m", "pip", "install", "--quiet", "-r", pins], check=True)
        shutil.copy(pins, copied)


def installed(package):
    file = INSTALLED / "node_modules" / package / "package.json"
    return json.loads(file.read_text())["version"] if file.exists() else None


def five_steps(name, server):
    """Runs one client; returns what went wrong."""
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        folder = pathlib.Path(folder)
        home, repo = folder / "home", folder / "repo"
        home.mkdir()
        (folder / "service").mkdir()
        rig.repository(repo)
        port = stack.enter_context(rig.model(STEPS))
        url, _ = stack.enter_context(rig.service(server, folder / "service", port))
        command = CLIENTS[name][1](url, home)
        # Modules of Node.js are looked up from the script's folder.
        if command[0] == "node":
            script = INSTALLED / command[1].name
            shutil.copy(command[1], script)
            command = ["node", script]
        status, text = rig.run(command, repo, rig.environment(url, home))
        recorded = rig.rows(url)
        denied = [row["data"] for row in recorded if row["kind"] == "gate.denied"]
        answered = [row for row in recorded if row["kind"] == "llm.chat" and row["data"].get("outcome") == "answered"]
        note = repo / "notes.txt"
        faults = []
        if status != 0 or "All done." not in text:
            faults.append(f"ended with {status}: {text[-800:]}")
        if not note.exists() or note.read_text() != "note\n":
            faults.append("did not write the file")
        if denied:
            faults.append(f"refused: {denied}")
        if len(answered) < len(STEPS) + 1:
            faults.append(f"only {len(answered)} responses are recorded")
        return faults


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--server", default=ROOT / "target/debug/life-agent", type=pathlib.Path)
    parser.add_argument("--list", action="store_true")
    parser.add_argument("clients", nargs="*", metavar="CLIENT")
    asked = parser.parse_args()
    if unknown := set(asked.clients) - set(CLIENTS):
        parser.error(f"unknown clients: {', '.join(sorted(unknown))}; `--list` lists them")
    names = asked.clients or list(CLIENTS)
    if asked.list:
        return print(*names, sep="\n")
    install(names)
    failed = False
    for name in names:
        begun = time.monotonic()
        faults = five_steps(name, asked.server.resolve())
        failed |= bool(faults)
        verdict = "FAIL" if faults else "pass"
        print(f"{verdict} {name} {version(name)} ({time.monotonic() - begun:.0f} s)", *faults, sep="\n    ", flush=True)
    sys.exit(failed)


if __name__ == "__main__":
    main()
