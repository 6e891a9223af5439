-- Shared by the scripts of budgets. Times are milliseconds of the server's clock, money is nanodollars.
-- A counter belongs to one run of the server: what another run left behind may be an old copy, so it counts as missing.
local DAY, MINUTE, MAX = 86400000, 60000, 9007199254740991
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local run = string.match(redis.call('INFO', 'server'), 'run_id:(%w+)')

local function number(n)
  return string.format('%.0f', math.max(0, math.min(n, MAX)))
end

local function period(time, length)
  return math.floor(time / length)
end

local function roll(counter)
  if period(now, DAY) > counter.day then
    counter.day, counter.tokens, counter.requests, counter.cost = period(now, DAY), 0, 0, 0
  end
  if period(now, MINUTE) > counter.minute then
    counter.minute, counter.minute_tokens = period(now, MINUTE), 0
  end
  return counter
end

local function load(key)
  local found = redis.call('HMGET', key, 'run', 'generation', 'upto', 'day', 'minute',
    'tokens', 'requests', 'cost', 'minute_tokens')
  if not run or found[1] ~= run or not found[9] then
    return nil
  end
  return roll({
    generation = found[2], upto = tonumber(found[3]), day = tonumber(found[4]),
    minute = tonumber(found[5]), tokens = tonumber(found[6]), requests = tonumber(found[7]),
    cost = tonumber(found[8]), minute_tokens = tonumber(found[9]),
  })
end

local function store(key, counter)
  redis.call('HSET', key, 'run', run, 'generation', counter.generation, 'upto', number(counter.upto),
    'day', number(counter.day), 'minute', number(counter.minute), 'tokens', number(counter.tokens),
    'requests', number(counter.requests), 'cost', number(counter.cost),
    'minute_tokens', number(counter.minute_tokens))
  redis.call('PEXPIRE', key, 2 * DAY)
end

-- The first limit that a charge would exceed. The limits follow `from` in ARGV; -1 is none.
local function exceeded(counter, from, tokens, cost)
  local function over(limit, used, more)
    limit = tonumber(limit)
    return limit >= 0 and used + more > limit
  end
  if over(ARGV[from + 1], counter.requests, 1) then return 'requests' end
  if over(ARGV[from + 2], counter.tokens, tokens) then return 'tokens' end
  if over(ARGV[from + 3], counter.cost, cost) then return 'cost' end
  if over(ARGV[from + 4], counter.minute_tokens, tokens) then return 'minute' end
  return nil
end
