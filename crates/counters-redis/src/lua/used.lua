-- The use of budgets: for each counter 1 and its four numbers, or 0 and zeros without a counter.
-- KEYS: the counters.
local reply = {number(now)}
for _, key in ipairs(KEYS) do
  local counter = load(key)
  local amounts = {'0', '0', '0', '0', '0'}
  if counter then
    amounts = {'1', number(counter.tokens), number(counter.minute_tokens), number(counter.requests),
      number(counter.cost)}
  end
  for _, amount in ipairs(amounts) do reply[#reply + 1] = amount end
end
return reply
