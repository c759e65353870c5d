-- Plays lines of "METHOD path body" from a file, in random order; arguments: the file, a seed.
local requests, random = {}, math.random

function init(args)
  local json = { ["Content-Type"] = "application/json" }
  for line in io.lines(args[1]) do
    local method, path, body = line:match("^(%S+) (%S+) ?(.*)$")
    if body == "" then
      table.insert(requests, wrk.format(method, path))
    else
      table.insert(requests, wrk.format(method, path, json, body))
    end
  end
  math.randomseed(tonumber(args[2]))
end

function request()
  return requests[random(#requests)]
end

function done(summary, latency)
  local failed = summary.errors
  io.write(string.format(
    '{"answers": %d, "microseconds": %d, "refused": %d, "broken": %d, "p50": %d, "p99": %d}\n',
    summary.requests, summary.duration, failed.status,
    failed.connect + failed.read + failed.write + failed.timeout,
    latency:percentile(50), latency:percentile(99)
  ))
end
