-- Replaces a reservation by the real use, in each counter that includes the reservation and not the settlement.
-- KEYS: the counters. ARGV: the row of the reservation, that of the settlement, the time of the reservation, its
-- tokens and cost, the real tokens and cost, whether the call was not made, and the generations.
local reserved, settled, at = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local tokens, cost = tonumber(ARGV[6]) - tonumber(ARGV[4]), tonumber(ARGV[7]) - tonumber(ARGV[5])
for i, key in ipairs(KEYS) do
  local counter = load(key)
  if counter and (counter.generation == ARGV[8 + i]
      or reserved <= counter.upto and counter.upto < settled) then
    if counter.day == period(at, DAY) then
      counter.tokens = counter.tokens + tokens
      counter.cost = counter.cost + cost
      if ARGV[8] == '1' then counter.requests = counter.requests - 1 end
    end
    if counter.minute == period(at, MINUTE) then
      counter.minute_tokens = counter.minute_tokens + tokens
    end
    store(key, counter)
  end
end
return {}
