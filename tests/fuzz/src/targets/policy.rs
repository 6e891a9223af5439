//! Loading of policies and Rego modules: it ends within its budget, with a result or with faults.

use std::time::Duration;

use life_agent_gates::opa::{Module, OpaPolicy};
use life_agent_policy::globs;
use life_agent_policy::snapshot::compile;

use super::built_in::AnyDir;
use super::{Target, ensure};

pub(crate) const POLICY: Target =
    Target { name: "policy", pieces: POLICY_PIECES, run: policy, bound: Duration::from_secs(2) };
pub(crate) const REGO: Target =
    Target { name: "rego", pieces: REGO_PIECES, run: rego, bound: Duration::from_secs(2) };

/// Longest text given to the readers. The service reads no longer files of these kinds.
const MAX_TEXT: usize = 256 * 1024;

const POLICY_PIECES: &[&str] = &[
    "version: '1'\n",
    "allowed_dirs: [plans]\n",
    "deny_globs: ['**/*.env', 'secret']\n",
    "rules:\n",
    "- id: a\n",
    "  match: {",
    "kinds: [act]",
    "actions: ['^deploy$']",
    "inputs: ['",
    "(?i)a+",
    "(a|b)*",
    "a{1,64}",
    "\\w{18}x",
    "(?=x)",
    "(?!y)",
    "(?<=z)",
    "\\1",
    "[^a]",
    ".*",
    "'}\n",
    "}\n",
    "  effect: deny\n",
    "effect: ask",
    "risk: {categories: {secrets: observe}}\n",
    "risk:\n  patterns:\n",
    "  - {id: p, category: secrets, pattern: '",
    "tools:\n  entries:\n",
    "commands:\n",
    "  destroy: deny\n",
    "llm: {model: m}\n",
    "mcp: {servers: {a: {url: 'http://h'}}}\n",
    "&a ",
    "*a",
    "<<: *a\n",
    "[",
    "]",
    "{",
    "}",
    ",",
    ":",
    "- ",
    "\n",
    "  ",
    "\t",
    "'",
    "\"",
    "#",
    "---\n",
    "...\n",
    "!!str ",
    "? ",
    "|\n",
    ">\n",
    "1e3",
    "0x10",
    "yes",
    "~",
    "null",
    "é",
    "\0",
    "\u{feff}",
    "[[[[[[[[[[[[[[[[",
    "{a: {a: {a: {a: {a: ",
    "max_diff_lines: 400\n",
];

const REGO_PIECES: &[&str] = &[
    "package agent\n",
    "import rego.v1\n",
    "default allow := false\n",
    "allow := true\n",
    "allow if ",
    "{\n",
    "}\n",
    "a if b\n",
    "b if a\n",
    "input.kind == \"act\"",
    "input.payload[_]",
    "some x in ",
    "every x in ",
    "not ",
    "x := ",
    "[",
    "]",
    "{",
    "}",
    "(",
    ")",
    "[[[[[[[[",
    "]]]]]]]]",
    "{\"a\": ",
    "count(",
    "sprintf(\"%d\", [",
    "regex.match(\"",
    "units.parse(\"",
    "1E9999",
    "http.send(",
    "walk(",
    "with input as ",
    "numbers.range(1, ",
    "1000000000",
    ")",
    "\"",
    "`",
    "\\",
    "#",
    "\n",
    " ",
    ";",
    ",",
    ":",
    "|",
    "&",
    "+",
    "-",
    "*",
    "/",
    "%",
    "==",
    ":=",
    "=",
    "_",
    "data.agent.allow",
    "f(x) := f(x)\n",
    "x[y] if y := x\n",
    "else := ",
    "é",
    "\0",
    "0",
    "1.5",
    "glob.match(\"*\", [], ",
    "{x | x := ",
    "object.get(",
    "concat(\",\", ",
    "array.concat(",
    "yaml.unmarshal(\"",
    "&a [*a,*a]",
];

fn policy(bytes: &[u8]) -> Result<(), String> {
    let text = text(bytes);
    if let Err(faults) = compile(&text, &AnyDir) {
        ensure(!faults.is_empty(), || "is refused without a fault".to_owned())?;
        ensure(faults.len() <= 101, || format!("has {} faults", faults.len()))?;
    }
    for line in text.lines().take(20) {
        if let Ok(found) = globs::compile(line) {
            let _ = globs::set(found);
        }
    }
    Ok(())
}

fn rego(bytes: &[u8]) -> Result<(), String> {
    let module = Module { name: "agent.rego".to_owned(), text: text(bytes) };
    match OpaPolicy::compile(&[module]) {
        Ok(policy) => {
            let _ = policy
                .decide(serde_json::json!({"kind": "act", "payload": {"x": ["1E999999999"]}}));
            Ok(())
        }
        Err(faults) => ensure(!faults.is_empty(), || "is refused without a fault".to_owned()),
    }
}

fn text(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    text[..text.floor_char_boundary(MAX_TEXT)].to_owned()
}
