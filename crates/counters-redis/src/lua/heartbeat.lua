-- Renews an instance and returns all live ones. Times are milliseconds of the server's clock.
-- KEYS: the instances. ARGV: the instance, and the time after which a silent one is dead.
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local lease = tonumber(ARGV[2])
redis.call('ZADD', KEYS[1], now, ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - lease)
-- Left by a clock that was put back.
redis.call('ZREMRANGEBYSCORE', KEYS[1], now + lease, '+inf')
redis.call('PEXPIRE', KEYS[1], lease)
return redis.call('ZRANGE', KEYS[1], 0, 255)
