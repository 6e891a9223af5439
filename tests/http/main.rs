//! Black-box tests over HTTP against the real server.
//!
//! Every test starts the binary in a separate folder and on a separate port (`support::TestApp`), so tests run
//! concurrently without interference. The modules are named after the endpoints. A test that needs another
//! policy, profile or setting contains it in full.
//!
//! `LIFE_AGENT_CORPUS`, `LIFE_AGENT_KILL_ROUNDS` and `LIFE_AGENT_PROPERTY_CASES` make some of the tests larger; see
//! `corpus`, `kill_9` and `judged_is_sent`. `LIFE_AGENT_BIN=FILE` tests that binary instead of building one.
//! `LIFE_AGENT_NEED_OPENAI=1` fails without OpenAI's Python client; see `completions`.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on fails where it stands"
)]

mod access;
mod act;
mod actions;
mod activity;
mod approval_kinds;
mod approvals;
mod audit;
mod auth;
mod bounds;
mod browser;
mod budgets;
mod chain_decides;
mod check;
mod clocks;
mod command_line;
mod commit_in_doubt;
mod compact_record;
mod completions;
mod container;
mod corpus;
mod doc_names;
mod doc_pages;
mod errors;
mod events;
mod fallback;
mod first_ten_minutes;
mod full_disk;
mod gone_readers;
mod grafana;
mod health;
mod hooks;
mod idempotency;
mod import;
mod init_and_demo;
mod instances;
mod journal;
mod judged_is_sent;
mod jwt;
mod kill_9;
mod kill_9_gateways;
mod kill_switch;
mod limits;
mod llm;
mod llm_stream;
mod logs;
mod manners;
mod mcp;
mod mcp_approvals;
mod mcp_gateway;
mod memory;
mod metrics;
mod model_proxy;
mod no_effect;
mod oidc;
mod opa;
mod openapi;
mod overload;
mod plan;
mod plan_drafts;
mod plan_life;
mod policy;
mod policy_page;
mod postgres;
mod predecessor;
mod protected_resource;
mod provider;
mod queue;
mod redaction;
mod redis;
mod replay;
mod restart;
mod retention;
mod search;
mod settings;
mod shutdown;
mod site;
mod sql_page;
mod state;
mod stops;
mod support;
mod tool;
mod traces;
mod translation;
mod turn;
mod turn_llm;
mod turn_llm_busy;
mod turn_llm_faults;
mod turn_llm_policy;
mod turn_llm_replay;
mod turn_llm_stream;
mod webhook;
mod workflows;
mod wrap;
