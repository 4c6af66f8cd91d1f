-- Tables, closures, strings, coroutines.
local n = tonumber(arg[1])
local function sieve(m)
  local t, c = {}, 0
  for i = 2, m do t[i] = true end
  for i = 2, m do
    if t[i] then
      c = c + 1
      for j = i * i, m, i do t[j] = false end
    end
  end
  return c
end
local parts, sum = {}, 0
local gen = coroutine.wrap(function() for i = 1, n do coroutine.yield(i * i % 1009) end end)
for i = 1, n do
  local v = gen()
  sum = sum + v
  if i % 10 == 0 then parts[#parts + 1] = ("%d:%s"):format(v, tostring(sum):reverse()) end
end
local text = table.concat(parts, ",")
print(sieve(n), sum, #text, select(2, text:gsub("%d(%d)", "%1")))
