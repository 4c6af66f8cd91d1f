local function fib(n) if n<2 then return n end return fib(n-1)+fib(n-2) end
print(fib(27))
local s=0 for i=1,2e7 do s=s+i%7 end print(s)
local t={} for i=1,2e5 do t[i]=tostring(i):rep(2) end print(#table.concat(t))
