//! A row of the journal as one line for a person.

use serde_json::Value;

/// Longest summary, in characters.
const MAX_SUMMARY: usize = 200;

/// Number, time, kind, caller, agent and summary of a row.
pub(super) fn line(row: &Value) -> String {
    let text = |name: &str| row[name].as_str().unwrap_or_default();
    let id = row["id"].to_string();
    let (kind, agent) = (text("kind"), row["agent_id"].as_str().unwrap_or("-"));
    format!(
        "{id:>7}  {:.19}  {kind:<18}  {:<12}  {agent:<16}  {}",
        text("ts"),
        text("principal"),
        summary(kind, &row["data"]),
    )
}

/// What was requested and what came of it, on one line.
fn summary(kind: &str, data: &Value) -> String {
    let text = |name: &str| data[name].as_str().unwrap_or_default();
    let parts: Vec<String> = match kind {
        "gate.denied" => {
            vec![verdict(data), request(&data["request"]), text("message").to_owned()]
        }
        "tool.requested" if data["decision"] == "allow" => vec!["allow".to_owned(), request(data)],
        "tool.requested" => {
            vec![format!("{} {}", text("decision"), verdict(data)), request(data)]
        }
        "tool.finished" => {
            let result = if data["is_error"] == true { "failed" } else { "finished" };
            vec![format!("{} {result}", text("tool")), format!("row {}", data["call"])]
        }
        "obs.turn" => vec![text("input").to_owned(), text("response").to_owned()],
        "llm.chat" => {
            let result = [text("message"), text("error"), text("content")];
            let result = result.into_iter().find(|text| !text.is_empty()).unwrap_or_default();
            vec![text("model").to_owned(), question(&data["messages"]), result.to_owned()]
        }
        "approval.requested" => vec![text("summary").to_owned()],
        "approval.decided" | "plan.reviewed" => {
            let subject = if kind == "plan.reviewed" { &data["id"] } else { &data["approval_id"] };
            vec![format!("{} {}", text("decision"), plain(subject)), text("note").to_owned()]
        }
        "approval.used" | "approval.expired" => vec![plain(&data["approval_id"])],
        "plan.created" => {
            let stats = &data["stats"];
            vec![text("id").to_owned(), format!("+{} -{}", stats["added"], stats["removed"])]
        }
        "policy.reload" => vec![text("path").to_owned(), format!("{} rules", data["rule_count"])],
        "policy.rejected" => {
            let faults = data["faults"].as_array().map_or(0, Vec::len);
            vec![text("path").to_owned(), format!("{faults} faults")]
        }
        "auth.failed" => vec![text("peer").to_owned(), format!("{} times", data["count"])],
        "stop.on" | "stop.off" => {
            let name = [text("agent"), text("principal")].concat();
            vec![name, text("reason").to_owned()]
        }
        _ => vec![request(data), text("reason").to_owned()],
    };
    let observed = data["would_deny"].as_array().into_iter().flatten();
    let observed = observed.map(|rule| format!("observed: {}", plain(rule)));
    let parts = parts.into_iter().chain(observed);
    let parts: Vec<_> = parts.map(|part| one_line(&part)).filter(|p| !p.is_empty()).collect();
    shortened(&parts.join("; "))
}

/// The gate and the rule that decided.
fn verdict(data: &Value) -> String {
    let text = |name: &str| data[name].as_str().unwrap_or_default();
    match text("rule") {
        "" => text("reason").to_owned(),
        rule => format!("{}/{rule}", text("gate")),
    }
}

/// The request in a row: a tool with what it would do, an action, or a text.
fn request(data: &Value) -> String {
    let text = |name: &str| data[name].as_str().filter(|text| !text.is_empty());
    if let Some(tool) = text("tool") {
        let given = &data["arguments"];
        let names = ["command", "file_path", "path", "url"];
        let main = names.iter().find_map(|name| given[*name].as_str());
        return format!("{tool}: {}", main.map_or_else(|| given.to_string(), str::to_owned));
    }
    if let Some(action) = text("action") {
        let payload = &data["payload"];
        let is_empty = payload.as_object().is_none_or(serde_json::Map::is_empty);
        return if is_empty { action.to_owned() } else { format!("{action} {payload}") };
    }
    let texts = text("input").or_else(|| text("intent"));
    texts.map_or_else(|| question(&data["messages"]), str::to_owned)
}

/// The last message of a person.
fn question(messages: &Value) -> String {
    let messages = messages.as_array().map_or(&[][..], Vec::as_slice);
    let asked = messages.iter().rfind(|message| message["role"] == "user");
    asked.map(|message| plain(&message["content"])).unwrap_or_default()
}

fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(MAX_SUMMARY) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_row_is_one_line_that_states_request_and_result() {
        for (kind, data, expected) in [
            ("obs.act", json!({"action": "rest", "payload": {}}), "rest"),
            ("obs.act", json!({"action": "rest", "would_deny": ["r"]}), "rest; observed: r"),
            ("obs.act", json!({"action": "pay", "payload": {"n": 1}}), "pay {\"n\":1}"),
            ("obs.turn", json!({"input": "go\n on", "response": "Gone."}), "go on; Gone."),
            (
                "tool.requested",
                json!({"decision": "ask", "gate": "command", "rule": "publish", "tool": "Bash",
                    "arguments": {"command": "git push"}}),
                "ask command/publish; Bash: git push",
            ),
            (
                "gate.denied",
                json!({"gate": "risk", "rule": "r", "message": "m", "request": {"input": "i"}}),
                "risk/r; i; m",
            ),
            ("kill_switch.on", json!({"reason": "drill"}), "drill"),
            ("stop.on", json!({"on": true, "agent": "a", "reason": "x"}), "a; x"),
            ("service.started", json!({"version": "1"}), ""),
            (
                "llm.chat",
                json!({"model": "m", "messages": [{"role": "user", "content": "q"}], "content": "a"}),
                "m; q; a",
            ),
        ] {
            assert_eq!(summary(kind, &data), expected, "{kind}");
        }
        let long = summary("obs.act", &json!({"action": "ä".repeat(300)}));
        assert_eq!(long.chars().count(), MAX_SUMMARY + 1);
        let row = json!({"id": 7, "ts": "2026-11-22T20:51:10.000000Z", "kind": "obs.act",
            "agent_id": null, "principal": "gpt", "data": {"action": "rest"}});
        assert!(line(&row).starts_with("      7  2026-11-22T20:51:10  obs.act"), "{}", line(&row));
    }
}
