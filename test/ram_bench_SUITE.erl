%% That the benchmark would notice: its percentiles, its medians, and its refusal of short cuts.
-module(ram_bench_SUITE).

-include_lib("stdlib/include/assert.hrl").

-export([all/0]).
-export([percentiles_are_within_one_percent_of_those_of_the_sorted_samples/1,
         latencies_beyond_the_last_bucket_are_counted_in_it/1,
         the_whole_path_is_accepted/1,
         a_short_cut_is_refused/1,
         a_figure_is_the_median_of_its_rounds/1]).

all() ->
    ram_case:all(?MODULE).

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
