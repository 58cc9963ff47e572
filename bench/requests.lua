-- Sends the signed events of a file once each: one a line, path, signature and body with tabs between them.
-- Ends early rather than send one again. Prints what came of it as one line of JSON.
local thread_of_main
local requests = {}
sent = 0

function setup(thread)
  thread_of_main = thread
end

function init(arguments)
  for line in io.lines(arguments[1]) do
    local path, signature, body = line:match("^([^\t]*)\t([^\t]*)\t(.*)$")
    local headers = { ["Content-Type"] = "application/json", ["X-Whapi-Signature"] = signature }
    requests[#requests + 1] = wrk.format("POST", path, headers, body)
  end
end

function request()
  sent = sent + 1
  if sent >= #requests then
    wrk.thread:stop()
  end
  return requests[math.min(sent, #requests)]
end

function done(summary, latency)
  local errors = summary.errors
  print(string.format(
    '{"sent":%d,"requests":%d,"seconds":%f,"failed":%d,"p50_ms":%f,"p99_ms":%f,"p999_ms":%f}',
    thread_of_main:get("sent"), summary.requests, summary.duration / 1e6,
    errors.connect + errors.read + errors.write + errors.status + errors.timeout,
    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3, latency:percentile(99.9) / 1e3))
end
