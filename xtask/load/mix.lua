-- For wrk: one kind of request for AGENTS agents in turn; prints what it measured as one line.
-- wrk ... -s mix.lua URL -- KEY KIND AGENTS PAUSE
-- PAUSE: milliseconds that a caller waits after a refusal.
local key, kind, agents, n = "", "", 1, 0
local refused = 0
local threads = 0

function setup(thread)
  threads = threads + 1
  thread:set("offset", threads * 100003)
end

function init(args)
  key, kind, agents, n = args[1], args[2], tonumber(args[3]), offset
  local pause = tonumber(args[4] or 0)
  if pause > 0 then
    -- Defined only where they are needed: wrk looks at every answer for them.
    response = function(status)
      if status == 503 then refused = refused + 1 end
    end
    delay = function()
      if refused == 0 then return 0 end
      refused = refused - 1
      return pause
    end
  end
end

local bodies = {
  act = '{"agent_id":"agent-%d","action":"explore","payload":{"room":%d}}',
  turn = '{"agent_id":"agent-%d","input":"explore room %d of the keep"}',
  chat = '{"user":"agent-%d","model":"openai/gpt-oss-120b","messages":[{"role":"user","content":"Tell me of room %d. '
    .. string.rep("The lamps along the wall of the keep are lit. ", 22) .. '"}]}',
  check = '{"kind":"turn","agent_id":"agent-%d","input":"explore room %d of the keep"}',
}

function request()
  n = n + 1
  local agent = n % agents
  if kind == "state" then
    return wrk.format("GET", "/state?agent_id=agent-" .. agent, { ["X-API-Key"] = key })
  end
  local headers = { ["X-API-Key"] = key, ["Content-Type"] = "application/json" }
  -- What OpenAI's clients send, and the only thing that other proxies take.
  if kind == "chat" then headers["Authorization"] = "Bearer " .. key end
  local path = kind == "chat" and "/v1/chat/completions" or "/" .. kind
  return wrk.format("POST", path, headers, string.format(bodies[kind], agent, n))
end

function done(summary, latency)
  local errors = summary.errors
  local lost = errors.connect + errors.read + errors.write + errors.timeout
  io.write(string.format("MEASURED %f %f %f %d %d\n", summary.requests / summary.duration * 1e6,
    latency:percentile(50), latency:percentile(99), errors.status, lost))
end
