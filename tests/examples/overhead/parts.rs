//! A provider that responds immediately, and the release server in a temporary folder.

use std::io::{BufRead, BufReader as Lines};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::json;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::Failure;

/// The server's key.
pub(crate) const KEY: &str = "a-key-for-measurements";

/// Harmless text of this length in bytes.
pub(crate) fn words(length: usize) -> String {
    let text = "The keeper opens the gate at dawn and counts the carts that pass. ";
    text.chars().cycle().take(length).collect()
}

/// A provider with kept-alive connections that gives every request the same response of 1 KB.
pub(crate) struct Provider {
    pub(crate) base_url: String,
    task: JoinHandle<()>,
}

impl Provider {
    pub(crate) async fn start() -> Result<Self, Failure> {
        let body = json!({
            "id": "chatcmpl-1", "object": "chat.completion", "created": 1_795_000_000,
            "model": "openai/gpt-oss-120b",
            "choices": [{"index": 0, "message": {"role": "assistant", "content": words(1024)},
                         "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 250, "completion_tokens": 250, "total_tokens": 500},
        });
        let body = body.to_string();
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        let answer: &'static str = Box::leak((head + &body).into_boxed_str());
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let base_url = format!("http://{}/v1", listener.local_addr()?);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                // The connection ends when its client disconnects.
                tokio::spawn(async move { serve(stream, answer).await.ok() });
            }
        });
        Ok(Self { base_url, task })
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(stream: TcpStream, answer: &str) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut stream = BufReader::new(stream);
    loop {
        let (mut length, mut line) = (0, String::new());
        loop {
            line.clear();
            if stream.read_line(&mut line).await? == 0 {
                return Ok(());
            }
            let line = line.trim_end().to_ascii_lowercase();
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse().unwrap_or(0);
            }
            if line.is_empty() {
                break;
            }
        }
        stream.read_exact(&mut vec![0; length]).await?;
        stream.write_all(answer.as_bytes()).await?;
    }
}

/// The release server; it ends when dropped.
pub(crate) struct Server {
    child: Child,
    pub(crate) addr: SocketAddr,
    _folder: TempDir,
}

impl Server {
    /// With the shipped policy, the journal on the disk, and this provider.
    pub(crate) fn start(provider: &str) -> Result<Self, Failure> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let built = || root.join("target/release/life-agent");
        let binary = std::env::var_os("LIFE_AGENT_BIN").map_or_else(built, PathBuf::from);
        let binary = binary
            .canonicalize()
            .map_err(|_| "build it: `cargo build --release -p life-agent-server`")?;
        let folder = tempfile::tempdir()?;
        std::fs::create_dir(folder.path().join("plans"))?;
        let settings = [
            ("PORT", "0"),
            ("API_KEY", KEY),
            ("RATE_LIMIT_RPS", "0"),
            ("GROQ_API_KEY", "a-key-of-the-provider"),
            ("GROQ_BASE_URL", provider),
        ];
        let mut command = Command::new(binary);
        command.env_clear().envs(settings).env("POLICY_PATH", root.join("policy/policy.yaml"));
        command.current_dir(folder.path()).stdout(Stdio::piped());
        let mut child = command.spawn()?;
        let stdout = child.stdout.take().ok_or("no output")?;
        let mut line = String::new();
        Lines::new(stdout).read_line(&mut line)?;
        let addr = line.trim().rsplit('/').next().and_then(|addr| addr.parse().ok());
        match addr {
            Some(addr) => Ok(Self { child, addr, _folder: folder }),
            None => {
                let _ = child.kill();
                let _ = child.wait();
                Err(format!("the server says no address but `{}`", line.trim()).into())
            }
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
