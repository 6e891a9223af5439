-- Takes one request out of a bucket (GCRA). Times are microseconds of the server's clock.
-- KEYS: the bucket. ARGV: the time in which one request returns, and the burst.
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local interval, burst = tonumber(ARGV[1]), tonumber(ARGV[2])
local whole = interval * burst
local full_at = math.max(tonumber(redis.call('GET', KEYS[1]) or now), now)
-- A clock that was put back must not refuse for longer than an empty bucket does.
full_at = math.min(full_at, now + whole) + interval
if full_at - whole > now then
  return {0, math.ceil(full_at - whole - now)}
end
redis.call('SET', KEYS[1], string.format('%.0f', full_at), 'PX', math.ceil((full_at - now) / 1000) + 1)
return {1, math.floor((now + whole - full_at) / interval)}
