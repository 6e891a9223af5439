//! Every fenced block of the pages in `docs/`: run and compared as a reader would, or marked with the reason why not.
//!
//! * `sh` runs in the folder of a server, with its key in `$KEY` and `LIFE_AGENT_KEY` and another key in `$REVIEWER`.
//!   Exported variables stay for the next block of the page. `$ID` is the last id in a response.
//! * `json` and `text` after a block that ran are its output; other JSON must parse.
//! * `yaml` is a policy or a keys file, `env` a part of a `.env`, `python` a program.
//! * `<!-- not run: REASON -->` above a block leaves it out.

use std::path::PathBuf;
use std::process::Command;

use life_agent_groq::testing::{Answer, StandIn};
use serde_json::Value;

use crate::support::snippets::{
    Block, assert_shown, blocks, page, repository, shell_with, valid_policy,
};
use crate::support::{KEY, Setup, TestApp, model_setup};

/// The key of another person.
const REVIEWER: &str = "another-key-of-the-black-box-suite";
/// Pages with a test of their own, which fails for a block that it does not know.
const ELSEWHERE: [&str; 2] = ["cli.md", "policy.md"];

/// The names of the pages.
fn pages() -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(repository().join("docs"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .filter(|name| name.ends_with(".md") && !ELSEWHERE.contains(&name.as_str()))
        .collect();
    names.sort();
    names
}

/// A server as a page assumes it: two keys, and a git tree with a guide that plans may change.
fn setup(name: &str, provider: &StandIn) -> Setup {
    // A model would narrate the turns of the other pages.
    let setup = if name == "model.md" { model_setup(provider) } else { Setup::new() };
    let setup = setup
        .set("API_TOKENS", &format!("reviewer[operator]={REVIEWER}"))
        .file("docs/start.md", "# Start\n\nStart it.\n");
    let policy = setup.folder().join("policy/policy.yaml");
    let text = std::fs::read_to_string(&policy).unwrap();
    let wider = text.replace("allowed_dirs:\n  - plans\n", "allowed_dirs:\n  - plans\n  - docs\n");
    assert_ne!(wider, text, "the shipped policy changed; so must this test");
    std::fs::write(&policy, wider).unwrap();
    let git = "git init -q && git add docs && git -c user.name=a -c user.email=a@b.c commit -qm a";
    let made = Command::new("bash").args(["-c", git]).current_dir(setup.folder()).status();
    assert!(made.unwrap().success());
    setup
}

/// The id that later blocks of a page mean by `$ID`.
fn id(output: &str) -> Option<String> {
    let value: Value = serde_json::from_str(output.trim()).ok()?;
    let id = [&value["error"]["details"]["approval_id"], &value["id"]];
    id.into_iter().find_map(|id| match id {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    })
}

struct Reader<'a> {
    app: &'a TestApp,
    page: &'a str,
    /// The output of the last block that ran, until another heading.
    output: Option<String>,
}

impl Reader<'_> {
    /// The file that keeps exported variables between blocks.
    fn variables(&self) -> PathBuf {
        self.app.folder().join("../variables.sh")
    }

    fn run(&mut self, block: &Block) {
        let file = self.variables().display().to_string();
        let lines = format!(
            "if [ -e {file} ]; then . {file}; fi\n{}\nexport -p > {file}\n",
            block.text.trim_end()
        );
        let environment = [("KEY", KEY), ("LIFE_AGENT_KEY", KEY), ("REVIEWER", REVIEWER)];
        let output = shell_with(self.app, &environment, &lines);
        if let Some(id) = id(&output) {
            let kept = std::fs::read_to_string(self.variables()).unwrap();
            std::fs::write(self.variables(), format!("{kept}export ID={id}\n")).unwrap();
        }
        self.output = Some(output);
    }

    fn read(&mut self, block: &Block) {
        let page = self.page;
        if block.heading_before {
            self.output = None;
        }
        if let Some(reason) = &block.not_run {
            assert!(reason.len() > 8, "{page}: give the reason why a block is not run");
            self.output = None;
            return;
        }
        match (block.language.as_str(), self.output.take()) {
            ("sh", _) => self.run(block),
            ("json" | "text", Some(output)) => assert_shown(block, &output),
            ("json", None) => {
                let value = serde_json::from_str::<Value>(&block.text);
                value.unwrap_or_else(|error| panic!("{page}: {error}"));
            }
            // A diagram or a text to paste.
            ("text", None) => {}
            ("yaml", _) if block.text.starts_with("keys:") => {
                std::fs::write(self.app.folder().join("shown.yaml"), &block.text).unwrap();
                let listed =
                    shell_with(self.app, &[("KEYS_FILE", "shown.yaml")], "life-agent key list");
                assert!(listed.contains("gpt"), "{page}: {listed}");
            }
            ("yaml", _) => valid_policy(self.app, &block.text),
            ("env", _) => {
                std::fs::write(self.app.folder().join(".env"), &block.text).unwrap();
                let printed = shell_with(self.app, &[], "life-agent config; rm .env");
                for line in block.text.lines() {
                    let name = line.split('=').next().unwrap();
                    let is_read = |line: &&str| line.contains(name) && line.contains(".env");
                    assert!(
                        printed.lines().any(|line| is_read(&line)),
                        "{page}: {name}\n{printed}"
                    );
                }
            }
            ("python", _) => python(self.app, &block.text),
            // A test of the engine's documentation.
            ("rust", _) => assert_eq!(page, "embed.md"),
            // `the_windows_requests_equal_the_first_request` compares them.
            ("powershell" | "bat", _) => assert_eq!(page, "start.md"),
            // `every_query_of_the_page_runs`.
            ("sql", _) => assert_eq!(page, "sql.md"),
            (other, _) => panic!("{page}: this test does not run blocks in `{other}`"),
        }
    }
}

/// Runs a program with OpenAI's client, if it is installed.
fn python(app: &TestApp, program: &str) {
    let Some(python) = std::env::var_os("LIFE_AGENT_PYTHON") else {
        assert!(std::env::var_os("LIFE_AGENT_NEED_OPENAI").is_none(), "LIFE_AGENT_PYTHON is unset");
        eprintln!("left out: OpenAI's Python client is not installed");
        return;
    };
    let program = program.replace("127.0.0.1:8000", &app.addr().to_string());
    let output = Command::new(python).args(["-c", &program]).env("KEY", KEY).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

// The stand-in for a model answers while a block runs.
#[tokio::test(flavor = "multi_thread")]
async fn every_block_of_the_pages_runs_or_says_why_not() {
    let mut ran = 0;
    for name in pages() {
        let blocks = blocks(&page(&format!("docs/{name}")));
        if blocks.is_empty() {
            continue;
        }
        eprintln!("docs/{name}");
        let provider = StandIn::start(vec![Answer::text("A gate.")]).await.unwrap();
        let app = setup(&name, &provider).start().await;
        let mut reader = Reader { app: &app, page: &name, output: None };
        for block in &blocks {
            reader.read(block);
            ran += usize::from(block.not_run.is_none());
        }
    }
    assert!(ran > 50, "{ran}");
}

#[tokio::test]
async fn the_requests_of_the_landing_page_work() {
    let app = Setup::new().start().await;
    let landing = page("docs/index.html");
    let start = landing.split("<h2 id=\"guides\">").next().unwrap();
    let code = start.split("<code>").find(|part| part.starts_with("curl")).unwrap();
    let lines = code.split("</code>").next().unwrap().replace("&amp;", "&").replace("&lt;", "<");
    let answer: Value = serde_json::from_str(&shell_with(&app, &[("KEY", KEY)], &lines)).unwrap();
    assert_eq!(answer["error"]["code"], "tool_denied", "{answer}");
}
