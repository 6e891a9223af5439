//! An engine with a gate of its own: `cargo run -p life-agent-engine --example custom_gate`.

use life_agent_engine::domain::governance::command::{Command, Subject, Turn};
use life_agent_engine::domain::governance::gate::{Gate, GateInputs, Reason, Refusal, Verdict};
use life_agent_engine::domain::governance::ids::{AgentId, Principal};
use life_agent_engine::{Config, Engine, RequestContext};
use life_agent_observer_sqlite::Sqlite;

struct NoShouting;

impl Gate for NoShouting {
    fn name(&self) -> &'static str {
        "no_shouting"
    }
    fn check(&self, subject: &Subject<'_>, _: &GateInputs) -> Verdict {
        match subject.command {
            Command::Turn(turn) if turn.input.ends_with("!!!") => {
                Verdict::refuse(Refusal::new(Reason::RuleDeny, "end the sentence with a period"))
            }
            _ => Verdict::pass(),
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = tempfile::tempdir()?;
    let db = Sqlite::at(dir.path().join("agent.db"));
    let engine = Engine::builder(Config::below(dir.path())).gate(NoShouting).open(db).await?;
    let context = RequestContext::new(Principal::new("example"), "request-1".to_owned());
    let turn = Turn { agent: AgentId::new("hero")?, input: "open the gate!!!".to_owned() };
    println!("{:?}", engine.turn(&context, turn).await.map_err(|error| error.to_string()));
    Ok(engine.close().await?)
}
