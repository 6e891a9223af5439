-- For wrk: one kind of request for AGENTS agents in turn; prints what it measured as one line.
-- wrk ... -s mix.lua URL -- KEY KIND AGENTS PAUSE
-- PAUSE: milliseconds that a caller waits after a refusal.
-- Texts are drawn from words, for what a search costs depends on what it has read before: always the same text
-- says nothing about others.
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

local words = {}
for word in ([[the a of and to in is on that with for it as are this be by from or at was which has more than not
  can when after before into over lamps wall keep tower river harbour boats market stone bridge garden winter road letter
  clock window index chapter table branch release parser field journal row agent limit cache thread reader request
  answer version error default option number value length buffer module crate builds checks keeps moves reads
  waits shows holds follows returns opens closes adds removes renames documents explains green quiet narrow early late
  large small empty useful missing second older faster und der die das nicht mit auf eine Fehler Zeile]]):gmatch("%S+") do
  words[#words + 1] = word
end

-- So many texts of so many words, the same ones in every run.
local function texts(many, long)
  math.randomseed(long)
  local all = {}
  for text = 1, many do
    local picked = {}
    for word = 1, long do picked[word] = words[math.random(#words)] end
    all[text] = table.concat(picked, " ")
  end
  return all
end

local lines, pages = texts(1024, 8), texts(256, 180)
local bodies = {
  act = '{"agent_id":"agent-%d","action":"explore","payload":{"room":%d}}',
  turn = '{"agent_id":"agent-%d","input":"explore room %d: %s"}',
  chat = '{"user":"agent-%d","model":"openai/gpt-oss-120b","messages":[{"role":"user","content":"Tell me of room %d. %s."}]}',
  check = '{"kind":"turn","agent_id":"agent-%d","input":"explore room %d: %s"}',
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
  local text = kind == "chat" and pages[n % #pages + 1] or lines[n % #lines + 1]
  return wrk.format("POST", path, headers, string.format(bodies[kind], agent, n, text))
end

function done(summary, latency)
  local errors = summary.errors
  local lost = errors.connect + errors.read + errors.write + errors.timeout
  io.write(string.format("MEASURED %f %f %f %d %d\n", summary.requests / summary.duration * 1e6,
    latency:percentile(50), latency:percentile(99), errors.status, lost))
end
