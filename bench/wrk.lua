-- Send each request of a file once (see pushes.py), count the answers by status, stop when all are answered.
-- One thread: wrk.lua -- FILE. wrk sleeps until its time is up, so whoever started it ends it by SIGINT at the word ENOUGH.

local threads = {}

function setup(thread)
  table.insert(threads, thread)
end

function init(args)
  file = assert(io.open(args[1], "rb"))
  codes = {}
  sent, answered, at_end, was_asked = 0, 0, false, false
end

local function tell_when_done()
  if at_end and answered == sent then
    io.write("ENOUGH\n")
    io.flush()
  end
end

function request()
  local length = file:read(8)
  if not length then
    at_end = true
    tell_when_done() -- the last answer may have come before the end was seen
    return ""
  end
  local text = file:read(tonumber(length))
  if not was_asked then -- wrk asks once before it begins, to see whether one request holds several
    was_asked = true
    file:seek("set", 0)
    return text
  end
  sent = sent + 1
  return text
end

function response(status)
  local name = tostring(status)
  codes[name] = (codes[name] or 0) + 1
  answered = answered + 1
  tell_when_done()
end

function done(summary, latency)
  local thread = threads[1]
  local statuses = {}
  for name, count in pairs(thread:get("codes")) do
    table.insert(statuses, string.format('"%s": %d', name, count))
  end
  local e = summary.errors
  io.write(string.format(
    'BENCH {"seconds": %.6f, "p50_ms": %.3f, "p99_ms": %.3f, "sent": %d, "answered": %d, "at_end": %s, "broken": %d, "statuses": {%s}}\n',
    summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3, thread:get("sent"), thread:get("answered"),
    tostring(thread:get("at_end")), e.connect + e.read + e.write + e.timeout, table.concat(statuses, ", ")))
end
