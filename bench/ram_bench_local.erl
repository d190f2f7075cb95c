%% What a read from the table of this node costs, beside ets: `make bench-local'. One VM, a cluster
%% of one that reads as the default says, by lease, and the closed loop of `make bench'. The last
%% row proves the path: how many reads were answered in the call, and how many in another way.
%%
%% The two take turns, so often as is said; a ratio is that of medians. A figure that misses its
%% limit is printed beside it and ends nothing.
-module(ram_bench_local).

-export([main/0]).

-define(LIMITS, [{16, 1, p50}, {16, 100, 0.7}, {1024, 100, 1.0}, {term, 100, 1.0}]).
-define(P50_US_MAX, 1.5).
-define(PREPARE_MS, 100).

%% @doc Arguments of the VM: -extra Rounds Seconds Folder.
-spec main() -> no_return().
main() ->
    [Rounds, Seconds, Folder] = init:get_plain_arguments(),
    _ = application:load(ram),
    [ok = application:set_env(ram, Key, Value)
     || {Key, Value} <- [{data_dir, Folder}, {storage, memory}]],
    ok = ram:start_cluster([node()]),
    ok = ram_bench_system:start_local(),
    Rows = [row(Limit, list_to_integer(Rounds), list_to_integer(Seconds)) || Limit <- ?LIMITS],
    #{reads := #{local := Local, waited := Waited, quorum := Quorum}} = ram:status(),
    Path = io_lib:format("~b ~b ~b", [Local, Waited, Quorum]),
    ram_bench_report:table(Rows ++ [{"reads at once, after a wait, by quorum", Path, ""}]),
    ok = ram:stop(),
    halt(0).

row({Value, Workers, Limit}, Rounds, Seconds) ->
    [ok = ram_bench_system:fill(System, Value) || System <- [ram_memory, ets]],
    Measure = fun(System) -> measure(System, Value, Workers, Seconds) end,
    Measured = [{Measure(ram_memory), Measure(ets)} || _ <- lists:seq(1, Rounds)],
    {Rams, Etss} = lists:unzip(Measured),
    {{RamRate, RamP50}, {EtsRate, EtsP50}} = {medians(Rams), medians(Etss)},
    Label = io_lib:format("get, ~p, ~b workers: ram/s, ets/s, p50 us, p50 us, ratio",
                          [Value, Workers]),
    Figures = io_lib:format("~b ~b ~.2f ~.2f ~.2f",
                            [round(RamRate), round(EtsRate), RamP50, EtsP50, RamRate / EtsRate]),
    {Label, Figures, wanted(Limit)}.

wanted(p50) -> io_lib:format("limit: p50 ~.1f", [?P50_US_MAX]);
wanted(Ratio) -> io_lib:format("limit: ratio ~.1f", [Ratio]).

measure(System, Value, Workers, Seconds) ->
    #{counted := Counted, native := Native} =
        ram_bench_worker:run(#{system => System, operation => get, background => none,
                               value => Value, workers => Workers, seconds => Seconds,
                               at_ms => os:system_time(millisecond) + ?PREPARE_MS}),
    Us = fun(Time) -> erlang:convert_time_unit(Time, native, nanosecond) / 1000 end,
    {ram_bench_buckets:total(Counted) * 1.0e6 / Us(Native),
     Us(ram_bench_buckets:percentile(0.5, Counted))}.

medians(Measured) ->
    {Rates, Times} = lists:unzip(Measured),
    {ram_bench_verdict:median(Rates), ram_bench_verdict:median(Times)}.
