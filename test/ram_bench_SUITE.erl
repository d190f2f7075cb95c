%% That the benchmark would notice: its percentiles, its medians, and its refusal of short cuts.
-module(ram_bench_SUITE).

-include_lib("stdlib/include/assert.hrl").

-export([all/0, suite/0, init_per_testcase/2, end_per_testcase/2]).
-export([percentiles_are_within_one_percent_of_those_of_the_sorted_samples/1,
         latencies_beyond_the_last_bucket_are_counted_in_it/1,
         the_whole_path_is_accepted/1,
         a_short_cut_is_refused/1,
         a_figure_is_the_median_of_its_rounds/1,
         what_is_called_is_answered_by_ram_and_by_ets/1,
         a_table_of_many_entries_is_measured/1,
         watches_are_measured_and_what_was_lost_is_said/1,
         keys_that_expire_are_measured/1,
         locks_are_measured/1,
         names_are_measured_while_a_node_is_killed/1,
         a_figure_beyond_its_limit_is_named/1]).
-export([called/2, put_while_it_sleeps/1]).

suite() ->
    [{timetrap, {minutes, 2}}].

all() ->
    ram_case:all(?MODULE, [put_while_it_sleeps]).

init_per_testcase(Case, Config) when Case =:= what_is_called_is_answered_by_ram_and_by_ets;
                                     Case =:= a_table_of_many_entries_is_measured;
                                     Case =:= watches_are_measured_and_what_was_lost_is_said;
                                     Case =:= keys_that_expire_are_measured;
                                     Case =:= locks_are_measured;
                                     Case =:= names_are_measured_while_a_node_is_killed ->
    ram_case:start(Config, 1);
init_per_testcase(_Case, Config) ->
    Config.

end_per_testcase(_Case, Config) ->
    ram_case:stop(Config).

percentiles_are_within_one_percent_of_those_of_the_sorted_samples(_Config) ->
    Seed = ram_property:seed(),
    ct:log("RAM_SEED=~b", [Seed]),
    _ = rand:seed(exsss, Seed),
    %% From one nanosecond to some seconds, every order of magnitude alike.
    Samples = [round(math:exp(rand:uniform() * 22)) || _ <- lists:seq(1, 5000)],
    Halves = lists:split(2000, Samples),
    Counted = ram_bench_buckets:merge([counted(Half) || Half <- tuple_to_list(Halves)]),
    ?assertEqual(5000, ram_bench_buckets:total(Counted)),
    Sorted = lists:sort(Samples),
    [begin
         Expected = lists:nth(max(1, ceil(Share * 5000)), Sorted),
         Found = ram_bench_buckets:percentile(Share, Counted),
         ?assert(abs(Found - Expected) =< 0.01 * Expected, {Share, Found, Expected})
     end || Share <- [0.0, 0.1, 0.5, 0.9, 0.99, 0.999, 1.0]].

counted(Samples) ->
    Buckets = ram_bench_buckets:new(),
    lists:foreach(fun(Sample) -> ok = ram_bench_buckets:count(Buckets, Sample) end, Samples),
    ram_bench_buckets:counted(Buckets).

latencies_beyond_the_last_bucket_are_counted_in_it(_Config) ->
    [{Bucket, 2}] = counted([1 bsl 40, 1 bsl 50]),
    ?assert(ram_bench_buckets:percentile(0.5, [{Bucket, 2}]) > 60000000000).

%% 1200 writes of 12 workers take 100 log entries, 100 groups applied on each node, and 200 syncs.
written(Storage) -> #{storage => Storage, writes => 1200, workers => 12}.

readings(Readings) ->
    [#{syncs => Syncs, groups => Groups, index => Index, frames => 0, disk_bytes => 0,
       reads => {0, 0, 0}}
     || {Syncs, Groups, Index} <- Readings].

check(Written, Readings) ->
    ram_bench_path:check(Written, readings([{7, 7, 7}, {8, 8, 8}, {9, 9, 9}]), readings(Readings)).

the_whole_path_is_accepted(_Config) ->
    ?assertEqual(ok, check(written(disk), [{107, 107, 107}, {108, 108, 108}, {9, 109, 109}])),
    ?assertEqual(ok, check(written(memory),
                           [{7, 107, 107}, {8, 108, 108}, {9, 109, 109}])).

a_short_cut_is_refused(_Config) ->
    [?assertMatch({short_cut, _}, check(written(disk), Readings))
     || Readings <- [%% No sync; one node alone syncs; too few do.
                     [{7, 107, 107}, {8, 108, 108}, {9, 109, 109}],
                     [{107, 107, 107}, {8, 108, 108}, {9, 109, 109}],
                     [{107, 107, 107}, {107, 108, 108}, {9, 109, 109}],
                     %% A follower applies nothing, or too little.
                     [{107, 107, 107}, {108, 108, 108}, {9, 9, 109}],
                     [{107, 107, 107}, {108, 107, 108}, {9, 109, 109}],
                     %% Nothing in the log of one.
                     [{107, 107, 107}, {108, 108, 8}, {9, 109, 109}]]],
    ?assertMatch({short_cut, _}, check(written(memory),
                                       [{7, 7, 107}, {8, 108, 108}, {9, 109, 109}])).

a_figure_is_the_median_of_its_rounds(_Config) ->
    Round = fun(System, Rate, Exact) ->
                    #{system => System, operation => counter, value => 16, workers => 1,
                      rate => Rate, p50 => Rate, p99 => Rate, p999 => Rate, cpu_us => Rate,
                      disk_bytes => Rate, path => "", exact => Exact}
            end,
    [#{system := ram_disk, rate := Ram, exact := false} = First, #{system := ets, p99 := Ets}] =
        Medians = ram_bench_verdict:medians([Round(ram_disk, 9.0, true), Round(ets, 2.0, true),
                                             Round(ram_disk, 3.0, false), Round(ets, 4.0, true),
                                             Round(ram_disk, 5.0, true)]),
    ?assertEqual({5.0, 3.0}, {Ram, Ets}),
    ?assertEqual(5.0 / 3.0, ram_bench_verdict:ratio(rate, First, ets, Medians)),
    ?assertEqual(none, ram_bench_verdict:ratio(rate, First, mnesia_dirty, Medians)).

%% Each function checks its answer.
what_is_called_is_answered_by_ram_and_by_ets(Config) ->
    Run = ram_case:run(Config),
    System = fun(Function, Arguments) ->
                     ram_peers:call(Run, 1, ram_bench_system, Function, Arguments)
             end,
    ok = System(start_local, []),
    ok = System(start, [ram_memory, ram_peers:nodes(Run)]),
    [ok = System(fill, [Name, 16]) || Name <- [ram_memory, ets]],
    [ram_peers:call(Run, 1, ?MODULE, called, [Name, Operation])
     || {Name, Operations} <- [{ram_memory, [put, put_ttl, get, mix, counter, update_counter,
                                             put_many, txn, ordered_get, hot_put, hot_get]},
                               {ets, [put, get, mix, ordered_get]}],
        Operation <- Operations],
    %% By update/3 and by update_counter/2.
    ?assertEqual(20, System(counter, [ram_memory])).

%% @doc On the node.
called(System, Operation) ->
    Call = ram_bench_system:call(System, Operation, 16),
    lists:foreach(Call, lists:seq(1, 10)).

a_table_of_many_entries_is_measured(Config) ->
    Run = started(Config),
    #{memory := {Ram, Ets}, range := Range, fold := Fold, longest_put_us := Longest} =
        ram_bench_million:run(Run, 1, 5000),
    ?assert(Ets > 0, {Ram, Ets}),
    ?assert(Range > 0 andalso Fold > 0, {Range, Fold}),
    ?assert(is_integer(Longest) andalso Longest >= 0, Longest).

watches_are_measured_and_what_was_lost_is_said(Config) ->
    Run = started(Config),
    #{puts := Puts, events := Events} =
        ram_bench_watch:run(Run, 1, 100, #{watches => 20, writers => 3, fillers => 2}),
    ?assert(Puts > 0),
    ?assert(is_float(Events) andalso Events > 0, Events),
    ok = ram_peers:call(Run, 1, create_table, [ram_bench_watch, #{}]),
    ok = ram_peers:call(Run, 1, ram_bench_watch, watch_all, []),
    true = ram_peers:call(Run, 1, ?MODULE, put_while_it_sleeps, [ram_bench_watch]),
    ?assertEqual(lost, ram_peers:call(Run, 1, ram_bench_watch, watched, [1])).

%% @doc On the node. More than there is credit for, and more than may wait.
put_while_it_sleeps(Name) ->
    true = erlang:suspend_process(whereis(Name)),
    Put = fun(Count, Value) ->
                  ok = ram:put_many([{N, Value} || N <- lists:seq(1, Count)], #{table => Name})
          end,
    ok = Put(1024, small),
    [ok = Put(1, binary:copy(<<N>>, 1 bsl 20)) || N <- lists:seq(1, 20)],
    erlang:resume_process(whereis(Name)).

keys_that_expire_are_measured(Config) ->
    #{longest_put_us := Longest, late_ms := Late, bytes := Bytes} =
        ram_bench_expiry:run(started(Config), 1, #{at_once => 2500, keys => 3000}),
    ?assert(Longest > 0),
    ?assert(is_integer(Late), Late),
    ?assert(is_number(Bytes), Bytes).

locks_are_measured(Config) ->
    #{lock := Lock, handovers := Handovers} =
        ram_bench_lock:run(started(Config), 1, 200, #{waiters => 5}),
    ?assert(Lock > 0),
    ?assert(Handovers > 0).

names_are_measured_while_a_node_is_killed(Config) ->
    #{register := Register, to_get := ToGet, to_ets := ToEts, free_ms := FreeMs} =
        ram_bench_registry:run(started(Config), 1, 100, #{known => 50, names => 200}),
    [?assert(Ratio > 0) || Ratio <- [Register, ToGet, ToEts]],
    %% The node is not taken for gone before its time, but for what its last word is older.
    ?assert(FreeMs > 1000, FreeMs).

started(Config) ->
    Run = ram_case:run(Config),
    ok = ram_peers:call(Run, 1, start_cluster, [ram_peers:nodes(Run)]),
    Run.

a_figure_beyond_its_limit_is_named(_Config) ->
    Met = fun(Feature, Measured) ->
                  [Is || {_, _, _, Is} <- ram_bench_verdict:feature(Feature, Measured)]
          end,
    Good = #{memory => {90, 96}, range => 0.7, fold => 2.5, longest_put_us => 50000},
    ?assertEqual([true, true, true, true], Met(million, Good)),
    ?assertEqual([false, false, false, false],
                 Met(million, #{memory => {97, 96}, range => 0.69, fold => 2.51,
                                longest_put_us => 50001})),
    ?assertEqual([true, true], Met(watches, #{puts => 0.9, events => 1.0e5})),
    ?assertEqual([false, false], Met(watches, #{puts => 0.89, events => lost})),
    ?assertEqual([true, true, true], Met(expiry, #{longest_put_us => 50000, late_ms => 2000,
                                                   bytes => 24.0})),
    ?assertEqual([false, false, false], Met(expiry, #{longest_put_us => 50001, late_ms => 2001,
                                                      bytes => 24.1})),
    ?assertEqual([told, told], Met(locks, #{lock => 1.5, handovers => 900.0})),
    Names = #{register => 1.1, to_get => 1.2, to_ets => 2.0},
    ?assertEqual([told, told, told, true], Met(names, Names#{free_ms => 3500})),
    ?assertEqual([told, told, told, false], Met(names, Names#{free_ms => 3501})).
