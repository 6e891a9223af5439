-- Charges a reservation again where a counter was rebuilt from rows before that of the reservation.
-- KEYS: the counters. ARGV: the row, the time of the reservation, tokens, cost, and for each counter its generation
-- at the reservation and four limits.
local row, at, tokens, cost = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local counters, absent = {}, {}
for i, key in ipairs(KEYS) do
  local counter = load(key)
  if not counter then return {'missing', number(now)} end
  counters[i] = counter
  absent[i] = counter.generation ~= ARGV[5 + (i - 1) * 5] and counter.upto < row
    and counter.day == period(at, DAY)
end
for i, counter in ipairs(counters) do
  local limit = absent[i] and exceeded(counter, 5 + (i - 1) * 5, tokens, cost)
  if limit then return {'exceeded', number(now), number(i - 1), limit} end
end
local reply = {'held', number(now)}
for i, counter in ipairs(counters) do
  if absent[i] then
    counter.tokens = counter.tokens + tokens
    counter.requests = counter.requests + 1
    counter.cost = counter.cost + cost
    if counter.minute == period(at, MINUTE) then
      counter.minute_tokens = counter.minute_tokens + tokens
    end
    store(KEYS[i], counter)
  end
  reply[#reply + 1] = counter.generation
end
return reply
