# The rules of the OPA gate, used if OPA_ENABLE is on. A request passes only if `data.agent.allow` is true;
# undefined, any other value and any error deny.
#
# The input is {kind, principal, agent_id, intent, context, targets, action, input, payload, findings,
# policy_hash}. Fields that a kind of request lacks are null, and targets are an empty list. A tool call
# adds {tool, server, session_id, cwd, arguments, commands, fields}. The modules of POLICY_DIR, except files
# that end in _test.rego, are compiled together and reloaded with the policy.
package agent

import rego.v1

default allow := false

# A request that passed the other gates passes, unless one of the reasons below applies.
allow if {
	input.kind in {"act", "turn", "plan", "chat", "tool"}
	count(reasons) == 0
}

# A plan touches few files, so that a person can review it.
reasons contains "a plan touches more than 20 files" if {
	input.kind == "plan"
	count(input.targets) > 20
}

# No plan changes the policies of the service.
reasons contains "a plan touches the policies" if {
	input.kind == "plan"
	some target in input.targets
	some folder in {"policy/", "policies/"}
	startswith(target, folder)
}

# A key whose name starts with `readonly` may read and not act.
reasons contains "this key only reads" if {
	startswith(input.principal, "readonly")
}
