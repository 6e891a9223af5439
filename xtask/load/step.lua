-- For wrk: turns of AGENTS agents in turn. wrk ... -s step.lua URL -- KEY AGENTS
local key, agents, n = "", 1, 0
local threads = 0

function setup(thread)
  threads = threads + 1
  thread:set("offset", threads * 100003)
end

function init(args)
  key, agents, n = args[1], tonumber(args[2]), offset
end

function request()
  n = n + 1
  local body = string.format('{"agent_id":"agent-%d","input":"explore room %d of the keep"}', n % agents, n)
  return wrk.format("POST", "/turn", { ["X-API-Key"] = key, ["Content-Type"] = "application/json" }, body)
end
