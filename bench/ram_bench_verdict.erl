%% The figures of `make bench' beside what is wanted of them: medians of rounds, ratios to the
%% system that is named, and whether the limit is met.
-module(ram_bench_verdict).

-export([median/1, medians/1, ratio/4, verdicts/2, feature/2]).
-export_type([verdict/0, feature/0]).

%% What is compared, the figure, what is wanted, and whether it is so;
%% `told' where nothing is wanted.
-type verdict() :: {Label :: iodata(), Figure :: iodata(), Wanted :: iodata(),
                    Met :: boolean() | told}.
%% What is measured beside the systems: see ram_bench.
-type feature() :: million | watches | expiry | locks | names.
-type figure() :: rate | p50 | p99 | p999 | cpu_us | disk_bytes.

-define(FIGURES, [rate, p50, p99, p999, cpu_us, disk_bytes]).

%% @doc Of each measurement the rounds in one: medians of figures, the path of the last round, and
%% exact when it was in every round. In the order of the first round.
-spec medians([ram_bench:measured()]) -> [ram_bench:measured()].
medians(Measured) ->
    [in_one([M || M <- Measured, what(M) =:= What]) || What <- in_order(Measured, [])].

what(Measured) ->
    maps:with([operation, workers, value, system], Measured).

in_order([], Seen) ->
    lists:reverse(Seen);
in_order([Measured | More], Seen) ->
    What = what(Measured),
    in_order(More, [What || not lists:member(What, Seen)] ++ Seen).

in_one(Rounds) ->
    Medians = maps:from_list([{Figure, median([maps:get(Figure, R) || R <- Rounds])}
                              || Figure <- ?FIGURES]),
    Exact = lists:all(fun(#{exact := Is}) -> Is end, Rounds),
    maps:merge(lists:last(Rounds), Medians#{exact => Exact}).

%% @doc Of an even count the mean of the middle two.
-spec median([number()]) -> float().
median(Numbers) ->
    Sorted = lists:sort(Numbers),
    Length = length(Sorted),
    (lists:nth((Length + 1) div 2, Sorted) + lists:nth(Length div 2 + 1, Sorted)) / 2.

%% @doc A figure of one measurement by that of another system in the same workload; none when the
%% other was not measured, or cannot be told from nothing.
-spec ratio(figure(), ram_bench:measured(), ram_bench_system:name(), [ram_bench:measured()]) ->
          float() | none.
ratio(Figure, Measured, Base, Medians) ->
    What = what(Measured#{system => Base}),
    case [maps:get(Figure, M) || M <- Medians, what(M) =:= What] of
        [Wanted] when Wanted > 0 -> maps:get(Figure, Measured) / Wanted;
        _ -> none
    end.

%% @doc Medians against the limits, and then each feature.
-spec verdicts([ram_bench:measured()], ram_bench:features()) -> [verdict()].
verdicts(Medians, Features) ->
    Of = fun(Operation, Value, Workers, System) ->
                 [M] = [M || M <- Medians, what(M) =:= #{operation => Operation, value => Value,
                                                         workers => Workers, system => System}],
                 M
         end,
    To = fun(Figure, Measured, Base) -> ratio(Figure, Measured, Base, Medians) end,
    writes(Of, To) ++ atomic(Of) ++ reads(Of, To) ++ ordered(Of, To)
        ++ lists:append([feature(Feature, Measured) || {Feature, Measured} <- Features]).

%% @doc What a feature's module has measured, against its limits.
-spec feature(feature(), map()) -> [verdict()].
feature(million, #{memory := {Ram, Ets}, range := Range, fold := Fold,
                   longest_put_us := LongestUs}) ->
    [most("memory of a million in an ordered_set, to ets", Ram / Ets, 1.0, "at most 1.0"),
     least("range of 100 of a million, ranges/s to ets", Range, 0.7, "at least 0.7 times"),
     most("fold of a million while 100 processes write, time to ets", Fold, 2.5, "at most 2.5"),
     most("longest put while a million are folded, beside without, ms", LongestUs / 1000, 50,
          "at most 50 more")];
feature(watches, #{puts := Puts, events := Events}) ->
    [least("put, 100 workers, with 10,000 watches of different keys, to without", Puts, 0.9,
           "at least 0.9 times"),
     case Events of
         lost -> {"one watch of everything, events/s", "lost", "all, in order", false};
         _ -> {"one watch of everything, events/s", figure(Events), "all, in order", true}
     end];
feature(expiry, #{longest_put_us := LongestUs, late_ms := LateMs, bytes := Bytes}) ->
    [most("longest put while 100,000 keys expire, ms", LongestUs / 1000, 50, "at most 50"),
     most("100,000 keys that expire at once, all gone after their time, s", LateMs / 1000, 2,
          "at most 2"),
     most("a time to live, bytes of a key, of a million", Bytes, 24, "at most 24")];
feature(locks, #{lock := Lock, handovers := Handovers}) ->
    [told("lock and unlock, 1 process, p50, to two puts", Lock),
     told("a lock that 20 processes wait for, handovers/s", Handovers)];
feature(names, #{register := Register, to_get := ToGet, to_ets := ToEts, free_ms := FreeMs}) ->
    [told("register_name and unregister_name, 1 process, p50, to put and delete", Register),
     told("whereis_name, 1 process, time to get", ToGet),
     told("whereis_name, 1 process, time to lookup of ets", ToEts),
     most("100,000 names of a node that is killed, free after owner_timeout_ms of 1500, ms", FreeMs,
          3500, "at most 3500")].

writes(Of, To) ->
    Many = Of(put, 16, 100, ram_disk),
    #{rate := Rate, exact := Exact} = Of(counter, 16, 100, ram_disk),
    [least("put, 100 workers a node, to mnesia transactions",
           To(rate, Many, mnesia_transaction), 6, "at least 6 times (aim 10)"),
     most("put, 1 worker, p50, to mnesia transactions",
          To(p50, Of(put, 16, 1, ram_disk), mnesia_transaction), 0.5, "at most 0.5 (aim 0.25)"),
     most("put, 100 workers a node, CPU, to mnesia transactions",
          To(cpu_us, Many, mnesia_transaction), 0.2, "at most 0.2"),
     least("put, 1 worker, storage memory to disk",
           To(rate, Of(put, 16, 1, ram_memory), ram_disk), 1.5, "at least 1.5 times"),
     least("put of 16 B, 100 workers a node, bytes to disks for each", maps:get(disk_bytes, Many),
           2 * 16, "at least 32, two nodes' share"),
     least("hot counter, 100 workers a node, updates/s", Rate, 2000, "at least 2000"),
     {"hot counter, exact on all nodes", atom_to_list(Exact), "true", Exact}].

atomic(Of) ->
    #{rate := Counts, p99 := CountP99, exact := Exact} = Of(update_counter, 16, 10, ram_disk),
    #{rate := Updates, p99 := UpdateP99} = Of(counter, 16, 10, ram_disk),
    P50 = fun(Operation) -> maps:get(p50, Of(Operation, 16, 1, ram_disk)) end,
    Rate = fun(Operation) -> maps:get(rate, Of(Operation, 16, 100, ram_disk)) end,
    [least("update_counter, 10 workers a node, counts/s", Counts, 40000, "at least 40000"),
     most("update_counter, 10 workers a node, p99, ms", CountP99 / 1000, 10, "at most 10"),
     {"update_counter, exact on all nodes", atom_to_list(Exact), "true", Exact},
     most("update_counter, 1 worker, p50, to put", P50(update_counter) / P50(put), 1.1,
          "at most 1.1"),
     least("hot counter by update/3, 10 workers a node, updates/s", Updates, 15000,
           "at least 15000"),
     most("hot counter by update/3, 10 workers a node, p99, ms", UpdateP99 / 1000, 15,
          "at most 15"),
     least("txn of 3 conditions and 3 puts, 100 workers a node, to put_many of 3",
           Rate(txn) / Rate(put_many), 0.6, "at least 0.6 times")].

ordered(Of, To) ->
    [least("get of an ordered_set, 100 workers a node, to ets",
           To(rate, Of(ordered_get, 16, 100, ram_disk), ets), 0.8, "at least 0.8 times")].

reads(Of, To) ->
    Many = Of(get, 16, 100, ram_disk),
    Get = fun(Value) -> Of(get, Value, 100, ram_disk) end,
    ByQuorum = Of(get, 16, 100, ram_quorum),
    [least("get by quorum, 100 workers a node, gets/s", maps:get(rate, ByQuorum), 100000,
           "at least 100000"),
     least("get, 100 workers a node, to ets", To(rate, Many, ets), 0.7,
           "at least 0.7 times (aim 1.0)"),
     least("get, 100 workers a node, to mnesia dirty", To(rate, Many, mnesia_dirty), 1.0,
           "at least 1.0 times"),
     most("get, 1 worker, p50, us", maps:get(p50, Of(get, 16, 1, ram_disk)), 1.5, "at most 1.5"),
     least("get of 1 KiB, 100 workers a node, to ets", To(rate, Get(1024), ets), 1.0,
           "at least 1.0 times"),
     least("get of a term of 50 words, 100 workers a node, to ets", To(rate, Get(term), ets), 1.0,
           "at least 1.0 times"),
     least("mix, 100 workers a node, to mnesia dirty",
           To(rate, Of(mix, 16, 100, ram_disk), mnesia_dirty), 0.4,
           "at least 0.4 times (aim 1.0)"),
     most("put, 1 worker, p50, with leases to without",
          To(p50, Of(put, 16, 1, ram_disk), ram_quorum), 1.3, "at most 1.3"),
     most("get of a key written all the time, p99, ms",
          maps:get(p99, Of(hot_get, 16, 100, ram_disk)) / 1000, 10, "at most 10")].

least(Label, none, _Limit, Wanted) -> {Label, "not measurable", Wanted, false};
least(Label, Figure, Limit, Wanted) -> {Label, figure(Figure), Wanted, Figure >= Limit}.

most(Label, none, _Limit, Wanted) -> {Label, "not measurable", Wanted, false};
most(Label, Figure, Limit, Wanted) -> {Label, figure(Figure), Wanted, Figure =< Limit}.

told(Label, Figure) -> {Label, figure(Figure), "", told}.

figure(Figure) when Figure >= 1000 -> integer_to_list(round(Figure));
figure(Figure) when Figure < 0.1 -> io_lib:format("~.4f", [Figure]);
figure(Figure) -> io_lib:format("~.2f", [Figure]).
