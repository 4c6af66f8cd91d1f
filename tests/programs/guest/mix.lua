local function fib(n) if n < 2 then return n end return fib(n - 1) + fib(n - 2) end
print(fib(18))
local t = {}
for i = 1, 2000 do t[i] = (i * 7919) % 2003 end
table.sort(t)
print(t[1], t[1000], t[2000], #t)
print(string.format("%.14g %a %d", math.sin(1) + math.pi, 0.1, 1 << 40))
print(("hello world"):gsub("o", "0"))
local co = coroutine.wrap(function() for i = 1, 3 do coroutine.yield(i * i) end end)
print(co(), co(), co())
print(pcall(error, { code = 1 }), 7 // 2, -7 // 2, -7 % 3, 2 ^ 0.5, math.tointeger(3.0))
print(utf8.char(228, 8364, 128512), #utf8.char(128512))
