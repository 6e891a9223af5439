"""The examples that guard tools of LangChain and the OpenAI Agents SDK, run against the service.

Usage: guards.py [--server PROGRAM]   Installs the packages into target/clients/guards.

Each example calls a harmless command, one that the policy denies and one that it asks a person about. Only the first may
run, and every call must be on the record.
"""

import argparse
import os
import pathlib
import re
import subprocess
import sys
import tempfile

import rig
from rig import KEY, ROOT

PACKAGES = ["langchain-core==1.8.3", "openai-agents==0.24.0"]
EXAMPLES = ["guarded_langchain.py", "guarded_openai_agents.py"]
PYTHON = rig.INSTALLED / "guards/bin/python"


def install():
    if not PYTHON.exists():
        subprocess.run([sys.executable, "-m", "venv", rig.INSTALLED / "guards"], check=True)
    subprocess.run([PYTHON, "-m", "pip", "install", "--quiet", *PACKAGES], check=True)


def run(example, server):
    """Runs an example; returns faults."""
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        (folder / "home").mkdir()
        (folder / "service").mkdir()
        with rig.service(server, folder / "service", 9) as (url, child):
            env = {"PATH": os.environ["PATH"], "HOME": str(folder / "home"), "LIFE_AGENT_URL": url, "LIFE_AGENT_KEY": KEY}
            command = [PYTHON, ROOT / "docs/examples" / example]
            done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=rig.LIMIT)
            rows = rig.rows(url)
            child.terminate()
            child.wait()
            away = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=rig.LIMIT)
    text, faults = done.stdout, []
    if not re.search(r"'echo hello': hello", text):
        faults.append("the harmless command did not run")
    if "'cat ~/.ssh/id_rsa': refused" not in text:
        faults.append("the denied command is not reported as refused")
    if not re.search(r"'git push --force origin main': refused.*/ui#/approvals/\d+", text):
        faults.append("the refusal of the third command does not show where to approve it")
    decisions = [row["data"]["decision"] for row in rows if row["kind"] == "tool.requested"]
    if decisions != ["allow", "deny", "ask"]:
        faults.append(f"the decisions on the record are {decisions}")
    if sum(row["kind"] == "tool.finished" for row in rows) != 1:
        faults.append("the result of the harmless command is not on the record")
    if away.stdout.count("refused: no decision") != 3:
        faults.append(f"without the service, a call runs: {away.stdout}{away.stderr[-800:]}")
    return faults + ([f"{text}{done.stderr[-800:]}"] if faults else [])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--server", default=ROOT / "target/debug/life-agent", type=pathlib.Path)
    server, failed = parser.parse_args().server.resolve(), False
    install()
    for example in EXAMPLES:
        faults = run(example, server)
        print(f"{example}: {'ok' if not faults else 'FAIL'}", *faults, sep="\n    ")
        failed |= bool(faults)
    sys.exit(failed)


if __name__ == "__main__":
    main()
