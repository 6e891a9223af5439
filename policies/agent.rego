# The OPA gate's own rules, used when OPA_ENABLE is on. `data.agent.allow` must be exactly true for a
# request to go on; undefined, any other value and any error deny.
#
# The input is {kind, principal, agent_id, intent, context, targets, action, input, payload,
# policy_hash}; what a kind of request does not have is null, targets an empty list. The modules of
# POLICY_DIR are compiled together, files that end in _test.rego left out, and reloaded with the policy.
package agent

import rego.v1

default allow := false

# Everything the other gates let through may go on, unless a reason below stands against it.
allow if {
	input.kind in {"act", "turn", "plan", "chat"}
	count(reasons) == 0
}

# A plan touches few files, so that a person can review it.
reasons contains "a plan touches more than 20 files" if {
	input.kind == "plan"
	count(input.targets) > 20
}

# Nobody plans changes to what governs the service.
reasons contains "a plan touches the policies" if {
	input.kind == "plan"
	some target in input.targets
	some folder in {"policy/", "policies/"}
	startswith(target, folder)
}

# A key whose name begins with `readonly` may ask and watch, not act.
reasons contains "this key only reads" if {
	startswith(input.principal, "readonly")
}
