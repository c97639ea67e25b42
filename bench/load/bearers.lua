-- wrk -s bearers.lua URL -- BEARERS_FILE once|over BODY_FILE|- [NAME=VALUE ...]
-- Calls with each line of the file as the bearer in turn, over and over or each of them once, and
-- prints one line "RESULT {...}" with what wrk counted.
local ready, turn, answered, once = {}, 0, 0, false

function init(args)
  if args[3] ~= "-" then
    local file = assert(io.open(args[3], "rb"))
    wrk.method = "POST"
    wrk.body = file:read("*a")
    file:close()
  end
  for i = 4, #args do
    local name, value = args[i]:match("^([^=]+)=(.*)$")
    wrk.headers[name] = value
  end
  for bearer in io.lines(args[1]) do
    wrk.headers["Authorization"] = "Bearer " .. bearer
    ready[#ready + 1] = wrk.format(nil, wrk.path)
  end
  once = args[2] == "once"
end

function response()
  answered = answered + 1
  if once and answered == #ready then wrk.thread:stop() end
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
