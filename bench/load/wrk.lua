-- wrk -s wrk.lua URL -- BODY_FILE USERS [NAME=VALUE ...]
-- Sends the file as a POST body with the given headers, each call for the next of USERS end users,
-- and prints one line "RESULT {...}" with what wrk counted.
local ready, turn = {}, 0

function init(args)
  local file = assert(io.open(args[1], "rb"))
  wrk.method = "POST"
  wrk.body = file:read("*a")
  file:close()
  for i = 3, #args do
    local name, value = args[i]:match("^([^=]+)=(.*)$")
    wrk.headers[name] = value
  end
  for user = 1, tonumber(args[2]) do
    wrk.headers["X-End-User-Id"] = string.format("user-%04d", user)
    ready[user] = wrk.format(nil, wrk.path)
  end
end

function request()
  turn = turn % #ready + 1
  return ready[turn]
end

function done(summary, latency, requests)
  local e = summary.errors
  io.write(string.format(
    'RESULT {"calls":%d,"seconds":%.4f,"p50_ms":%.3f,"p99_ms":%.3f,"errors":%d}\n',
    summary.requests, summary.duration / 1e6,
    latency:percentile(50) / 1000, latency:percentile(99) / 1000,
    e.connect + e.read + e.write + e.status + e.timeout))
end
