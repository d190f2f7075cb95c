%% The part of `make bench' that is of many entries: an ordered_set with a million, beside one of
%% ets, in a cluster of three nodes that are separate VMs. What memory it takes, ranges of a
%% hundred, and a fold while a hundred processes write.
%%
%% Memory is that of a node that does nothing but follow, and of a VM that has the table of ets
%% alone. All else runs in the first VM, where ram and ets take turns; figures are medians. The same
%% processes write while either of the two folds: they share the processors.
-module(ram_bench_million).

-export([run/2, run/3]).
%% Called on the nodes.
-export([fill/1, settled/0, ets_growth/1, ranges/1, folds/2]).
-export_type([measured/0]).

-import(ram_bench_report, [say/2]).

%% Bytes of memory for an entry, of ram and ets; ranges a second, to ets; time of a fold, to ets;
%% how much longer the longest put was while ram folded than in as much time without, 0 at least.
-type measured() :: #{memory := {number(), number()}, range := float(), fold := float(),
                      longest_put_us := non_neg_integer()}.

-define(ENTRIES, 1000000).
-define(TABLE, ?MODULE).
-define(OPTIONS, #{table => ?TABLE}).
-define(CHUNK, 1000).
-define(WRITERS, 100).
-define(RANGE, 100).
-define(RANGES, 2000).
-define(FOLLOWER, 2).
-define(ETS_VM, 4).

-spec run(map(), pos_integer()) -> measured().
run(Run, Rounds) ->
    run(Run, Rounds, ?ENTRIES).

%% @doc With so many entries; the nodes of the run are a cluster of three, or of fewer.
-spec run(map(), pos_integer(), pos_integer()) -> measured().
run(Run, Rounds, Entries) ->
    say("filling an ordered_set with ~b entries", [Entries]),
    Follower = min(?FOLLOWER, length(ram_peers:nodes(Run))),
    Before = on(Run, Follower, settled, []),
    ok = on(Run, 1, fill, [Entries]),
    ok = ram_peers:call(Run, Follower, ram_request, sync, [600000], infinity),
    Growth = on(Run, Follower, settled, []) - Before,
    _ = ram_peers:start_node(Run, ?ETS_VM),
    EtsGrowth = on(Run, ?ETS_VM, ets_growth, [Entries]),
    ok = ram_peers:halt(Run, ?ETS_VM),
    say("an entry takes ~.1f bytes, and ~.1f in ets", [Growth / Entries, EtsGrowth / Entries]),
    {RamRange, EtsRange} = medians([on(Run, 1, ranges, [Entries]) || _ <- rounds(Rounds)]),
    say("a range of ~b takes ~.1f us, and ~.1f in ets", [?RANGE, RamRange, EtsRange]),
    Folds = [on(Run, 1, folds, [Entries, ?WRITERS]) || _ <- rounds(Rounds)],
    {RamFold, EtsFold} = medians([Took || {Took, _Longest} <- Folds]),
    {During, Without} = medians([Longest || {_Took, Longest} <- Folds]),
    say("a fold takes ~.1f ms, and ~.1f in ets; the longest put ~.1f ms, and ~.1f without a fold",
        [Us / 1000 || Us <- [RamFold, EtsFold, During, Without]]),
    #{memory => {Growth / Entries, EtsGrowth / Entries}, range => EtsRange / RamRange,
      fold => RamFold / EtsFold, longest_put_us => round(max(0, During - Without))}.

rounds(Rounds) -> lists:seq(1, Rounds).

medians(Pairs) ->
    {Ones, Others} = lists:unzip(Pairs),
    {ram_bench_verdict:median(Ones), ram_bench_verdict:median(Others)}.

on(Run, I, Function, Arguments) ->
    ram_peers:call(Run, I, ?MODULE, Function, Arguments, infinity).

value(N) -> <<N:128>>.

%% @doc Makes the table; in the order of the keys, as tables mostly are filled.
-spec fill(pos_integer()) -> ok.
fill(Entries) ->
    ok = ram:create_table(?TABLE, #{type => ordered_set}),
    [ok = ram:put_many([{N, value(N)} || N <- lists:seq(First, min(First + ?CHUNK - 1, Entries))],
                       ?OPTIONS)
     || First <- lists:seq(1, Entries, ?CHUNK)],
    Entries = ram:size(?OPTIONS),
    ok.

%% @doc The bytes that this VM has allocated, the garbage of processes and what the log keeps in
%% memory put aside: the log is full before and after.
-spec settled() -> non_neg_integer().
settled() ->
    case ram:status() of
        #{role := none} -> ok;
        _ -> _ = ram_bench_load:fill_log()
    end,
    maps:get(allocated, ram_bench_load:settled()).

%% @doc How much the memory of this VM grows by the same table of ets.
-spec ets_growth(pos_integer()) -> non_neg_integer().
ets_growth(Entries) ->
    Before = settled(),
    Table = ets_table(Entries),
    After = settled(),
    true = ets:delete(Table),
    After - Before.

ets_table(Entries) ->
    Table = ets:new(?TABLE, [ordered_set, public, {read_concurrency, true}]),
    lists:foreach(fun(N) -> true = ets:insert(Table, {N, value(N)}) end, lists:seq(1, Entries)),
    Table.

%% @doc Microseconds that a range takes, of ram and of ets: they take turns, range by range. With
%% the ends in a guard ets would look at the whole table, so it goes from key to key.
-spec ranges(pos_integer()) -> {float(), float()}.
ranges(Entries) ->
    Table = ets_table(Entries),
    Last = max(1, Entries - ?RANGE),
    Times = [begin
                 From = rand:uniform(Last),
                 {RamUs, Found} = timed(fun() -> ram:range(From, From + ?RANGE - 1, ?OPTIONS) end),
                 {EtsUs, Found} = timed(fun() -> ets_range(Table, From, ?RANGE) end),
                 {RamUs, EtsUs}
             end || _ <- lists:seq(1, ?RANGES)],
    true = ets:delete(Table),
    medians(Times).

ets_range(_Table, '$end_of_table', _Left) -> [];
ets_range(_Table, _Key, 0) -> [];
ets_range(Table, Key, Left) ->
    [Entry] = ets:lookup(Table, Key),
    [Entry | ets_range(Table, ets:next(Table, Key), Left - 1)].

timed(Do) ->
    Begin = erlang:monotonic_time(nanosecond),
    Result = Do(),
    {(erlang:monotonic_time(nanosecond) - Begin) / 1000, Result}.

%% @doc While so many processes put entries of the table again: microseconds that a fold takes, of
%% ram and of ets, and those of the longest put while ram folded, and in as much time while ets did,
%% and after.
-spec folds(pos_integer(), pos_integer()) -> {{float(), float()}, {float(), float()}}.
folds(Entries, Writers) ->
    Table = ets_table(Entries),
    Count = fun(_Entry, Sum) -> Sum + 1 end,
    Longest = atomics:new(1, []),
    Processes = [spawn_link(fun() -> write(Entries, Longest) end) || _ <- lists:seq(1, Writers)],
    {RamUs, Entries} = timed(fun() -> ram:fold(Count, 0, ?OPTIONS) end),
    During = atomics:exchange(Longest, 1, 0),
    {EtsUs, Entries} = timed(fun() -> ets:foldl(Count, 0, Table) end),
    receive after max(0, round((RamUs - EtsUs) / 1000)) -> ok end,
    Without = atomics:exchange(Longest, 1, 0),
    lists:foreach(fun stop/1, Processes),
    true = ets:delete(Table),
    {{RamUs, EtsUs}, {float(During), float(Without)}}.

write(Entries, Longest) ->
    receive
        {stop, From} ->
            From ! {stopped, self()}
    after 0 ->
        N = rand:uniform(Entries),
        {Us, ok} = timed(fun() -> ram:put(N, value(N), ?OPTIONS) end),
        longest(Longest, round(Us)),
        write(Entries, Longest)
    end.

longest(Longest, Us) ->
    case atomics:get(Longest, 1) of
        Known when Us > Known ->
            _ = atomics:compare_exchange(Longest, 1, Known, Us),
            longest(Longest, Us);
        _Longer ->
            ok
    end.

stop(Process) ->
    Process ! {stop, self()},
    receive {stopped, Process} -> ok end.
