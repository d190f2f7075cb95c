%% Run by ordered_beside_ets.rs: the same calls of an ordered_set of ets, one figure a line.
-module(ordered_beside_ets).

-export([main/1]).

-define(READS, 300000).
-define(RANGES, 3000).
-define(RANGE, 100).
-define(ROUNDS, 5).

-spec main([atom()]) -> no_return().
main([Count]) ->
    N = list_to_integer(atom_to_list(Count)),
    Table = ets:new(table, [ordered_set, public, {read_concurrency, true}]),
    Words = ets:info(Table, memory),
    lists:foreach(fun(I) -> ets:insert(Table, {I, <<I:128>>}) end, shuffled(N)),
    say(bytes, (ets:info(Table, memory) - Words) * erlang:system_info(wordsize) / N),
    [say(get, best(fun() -> gets(Table, N, Processes) end)) || Processes <- [1, 2]],
    say(range, best(fun() -> ranges(Table, N) end)),
    say(scan, best(fun() -> scan(Table) / N end)),
    halt().

say(Name, Figure) -> io:format("~s ~.2f~n", [Name, float(Figure)]).

best(Round) -> lists:min([Round() || _ <- lists:seq(1, ?ROUNDS)]).

shuffled(N) -> [I || {_, I} <- lists:sort([{rand:uniform(), I} || I <- lists:seq(1, N)])].

%% Nanoseconds of one lookup, the mean of the processes.
gets(Table, N, Processes) ->
    Self = self(),
    Work = fun() -> Self ! {self(), gets(Table, N)} end,
    Workers = [spawn_link(Work) || _ <- lists:seq(1, Processes)],
    lists:sum([receive {Worker, Time} -> Time end || Worker <- Workers]) / (?READS * Processes).

gets(Table, N) ->
    Keys = [rand:uniform(N) || _ <- lists:seq(1, ?READS)],
    erlang:garbage_collect(),
    timed(fun() -> lists:foreach(fun(Key) -> ets:lookup(Table, Key) end, Keys) end).

%% With the bound in the pattern's guard, ets would read the whole table.
ranges(Table, N) ->
    Keys = [rand:uniform(N - ?RANGE) || _ <- lists:seq(1, ?RANGES)],
    timed(fun() -> lists:foreach(fun(Key) -> range(Table, Key, ?RANGE) end, Keys) end) / ?RANGES.

range(_Table, _Key, 0) -> [];
range(Table, Key, Left) ->
    [Entry] = ets:lookup(Table, Key),
    [Entry | range(Table, ets:next(Table, Key), Left - 1)].

scan(Table) -> timed(fun() -> ets:foldl(fun(_, Sum) -> Sum + 1 end, 0, Table) end).

timed(Fun) ->
    Start = erlang:monotonic_time(nanosecond),
    Fun(),
    erlang:monotonic_time(nanosecond) - Start.
