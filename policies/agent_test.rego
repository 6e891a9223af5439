# Tests of agent.rego, run by `cargo test -p life-agent-gates` and by `opa test policies`.
package agent_test

import data.agent
import rego.v1

request := {
	"kind": "turn",
	"principal": "ci",
	"agent_id": "hero",
	"intent": "explore",
	"context": null,
	"targets": [],
	"action": null,
	"input": "look around",
	"payload": null,
	"policy_hash": "",
}

plan(targets) := object.union(request, {"kind": "plan", "agent_id": null, "targets": targets})

test_a_turn_is_allowed if agent.allow with input as request

test_a_small_plan_is_allowed if agent.allow with input as plan(["docs/a.md"])

test_a_plan_of_many_files_is_denied if {
	many := [sprintf("docs/%d.md", [i]) | some i, _ in split("a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q,r,s,t,u", ",")]
	not agent.allow with input as plan(many)
}

test_a_plan_about_policies_is_denied if not agent.allow with input as plan(["policies/agent.rego"])

test_a_reading_key_may_not_act if {
	not agent.allow with input as object.union(request, {"principal": "readonly-dashboard"})
}

test_a_tool_call_is_allowed if agent.allow with input as object.union(request, {"kind": "tool"})

test_an_unknown_kind_is_denied if not agent.allow with input as object.union(request, {"kind": "shell"})

test_an_empty_input_is_denied if not agent.allow with input as {}
