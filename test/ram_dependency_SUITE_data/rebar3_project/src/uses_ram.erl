-module(uses_ram).
-export([main/0]).

main() ->
    ok = ram:start_cluster([node()]),
    ok = ram:put("k", #{a => 1}),
    #{a := 1} = ram:get("k"),
    undefined = ram:get("other"),
    io:format("got what was put~n").
