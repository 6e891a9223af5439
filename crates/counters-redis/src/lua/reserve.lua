-- Reserves a charge in every budget, or in none.
-- KEYS: the counters. ARGV: tokens, cost, and four limits for each counter.
local tokens, cost = tonumber(ARGV[1]), tonumber(ARGV[2])
local counters = {}
for i, key in ipairs(KEYS) do
  counters[i] = load(key)
  if not counters[i] then return {'missing', number(now)} end
end
for i, counter in ipairs(counters) do
  local limit = exceeded(counter, 2 + (i - 1) * 4, tokens, cost)
  if limit then return {'exceeded', number(now), number(i - 1), limit} end
end
local reply = {'held', number(now)}
for i, counter in ipairs(counters) do
  counter.tokens = counter.tokens + tokens
  counter.minute_tokens = counter.minute_tokens + tokens
  counter.requests = counter.requests + 1
  counter.cost = counter.cost + cost
  store(KEYS[i], counter)
  reply[#reply + 1] = counter.generation
end
return reply
