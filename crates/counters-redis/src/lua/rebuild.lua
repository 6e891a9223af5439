-- Sets a missing counter.
-- KEYS: the counter. ARGV: generation, last row, time, tokens, requests, cost, tokens of the minute.
if not load(KEYS[1]) then
  store(KEYS[1], roll({
    generation = ARGV[1], upto = tonumber(ARGV[2]), day = period(tonumber(ARGV[3]), DAY),
    minute = period(tonumber(ARGV[3]), MINUTE), tokens = tonumber(ARGV[4]),
    requests = tonumber(ARGV[5]), cost = tonumber(ARGV[6]), minute_tokens = tonumber(ARGV[7]),
  }))
end
return {}
