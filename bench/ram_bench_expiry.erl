%% The part of `make bench' that is of keys that expire, in a cluster of three nodes that are
%% separate VMs: many that go at once, and what a time to live takes of memory.
%%
%% One process of each node puts while the keys go. Memory is that of a node that does nothing but
%% follow: of a table without times, and of the same keys with, one after the other.
-module(ram_bench_expiry).

-export([run/2, run/3]).
%% Called on the nodes.
-export([fill_due/2, going/2, fill/3]).
-export_type([measured/0, sizes/0]).

-import(ram_bench_report, [say/2]).

%% The longest put while the keys went; how long after their time the last was gone; and bytes that
%% a time to live takes of a key.
-type measured() :: #{longest_put_us := non_neg_integer(), late_ms := integer(),
                      bytes := number()}.
-type sizes() :: #{at_once := pos_integer(), keys := pos_integer()}.

-define(SIZES, #{at_once => 100000, keys => 1000000}).
-define(TABLE, ram_bench_due).
-define(PLAIN, ram_bench_plain).
-define(LASTING, ram_bench_lasting).
-define(CHUNK, 1000).
-define(POLL_MS, 5).
-define(TTL_MS, 360000000).

-spec run(map(), pos_integer()) -> measured().
run(Run, Rounds) ->
    run(Run, Rounds, ?SIZES).

-spec run(map(), pos_integer(), sizes()) -> measured().
run(Run, Rounds, #{at_once := Count, keys := Keys}) ->
    Gone = [go(Run, Count) || _ <- lists:seq(1, Rounds)],
    {Longest, Late} = {lists:max([Us || {Us, _} <- Gone]), lists:max([Ms || {_, Ms} <- Gone])},
    say("~b keys expire at once: longest put ~.1f ms, all gone after ~b ms",
        [Count, Longest / 1000, Late]),
    Bytes = bytes(Run, Keys),
    say("a time to live takes ~.1f bytes of a key", [float(Bytes)]),
    #{longest_put_us => Longest, late_ms => Late, bytes => Bytes}.

on(Run, I, Function, Arguments) ->
    ram_peers:call(Run, I, ?MODULE, Function, Arguments, infinity).

%%% Many at once

go(Run, Count) ->
    ok = ram_peers:call(Run, 1, create_table, [?TABLE, #{}]),
    DueMs = on(Run, 1, fill_due, [Count, os:system_time(millisecond) + 2000 + Count div 10]),
    Count = ram_peers:call(Run, 1, size, [#{table => ?TABLE}]),
    Nodes = lists:seq(1, length(ram_peers:nodes(Run))),
    Going = [spawn_monitor(fun() -> exit({done, on(Run, I, going, [I, DueMs])}) end) || I <- Nodes],
    Told = [receive
                {'DOWN', Monitor, process, Pid, {done, Seen}} -> Seen;
                {'DOWN', Monitor, process, Pid, Reason} -> error(Reason)
            end || {Pid, Monitor} <- Going],
    ok = ram_peers:call(Run, 1, drop_table, [?TABLE]),
    {Longest, Late} = lists:unzip(Told),
    {lists:max(Longest), lists:max(Late)}.

%% @doc Keys whose times are over at this moment, by the clock that all VMs of a machine share; for
%% the last of them it is later by what its put took, and that is returned.
-spec fill_due(pos_integer(), integer()) -> integer().
fill_due(Count, DueMs) ->
    lists:max([begin
                   Ttl = DueMs - os:system_time(millisecond),
                   ok = ram:put_many([{N, <<N:128>>} || N <- lists:seq(First, last(First, Count))],
                                     #{table => ?TABLE, ttl => Ttl}),
                   os:system_time(millisecond) + Ttl
               end || First <- lists:seq(1, Count, ?CHUNK)]).

last(First, Count) -> min(First + ?CHUNK - 1, Count).

%% @doc Puts from a second before they are due until they are gone on this node: the longest put,
%% and how late they were gone.
-spec going(term(), integer()) -> {LongestUs :: non_neg_integer(), LateMs :: integer()}.
going(Key, DueMs) ->
    receive after max(0, DueMs - 1000 - os:system_time(millisecond)) -> ok end,
    Writer = spawn_link(fun() -> put_again({?MODULE, Key}, 0) end),
    GoneMs = gone(),
    Writer ! {stop, self()},
    receive {Writer, LongestUs} -> {LongestUs, GoneMs - DueMs} end.

put_again(Key, LongestUs) ->
    receive
        {stop, From} -> From ! {self(), LongestUs}
    after 0 ->
        {Us, ok} = timer:tc(ram, put, [Key, Key]),
        put_again(Key, max(LongestUs, Us))
    end.

gone() ->
    case ram:size(#{table => ?TABLE, reads => local}) of
        0 -> os:system_time(millisecond);
        _ -> receive after ?POLL_MS -> gone() end
    end.

%%% Memory

bytes(Run, Keys) ->
    Follower = length(ram_peers:nodes(Run)),
    Settled = fun() -> ram_peers:call(Run, Follower, ram_bench_million, settled, [], infinity) end,
    Fill = fun(Table, Options) ->
                   Before = Settled(),
                   ok = on(Run, 1, fill, [Table, Keys, Options]),
                   ok = ram_peers:call(Run, Follower, ram_request, sync, [600000], infinity),
                   Settled() - Before
           end,
    Plain = Fill(?PLAIN, #{}),
    Lasting = Fill(?LASTING, #{ttl => ?TTL_MS}),
    [ok = ram_peers:call(Run, 1, drop_table, [Table]) || Table <- [?PLAIN, ?LASTING]],
    (Lasting - Plain) / Keys.

%% @doc A table of so many keys.
-spec fill(atom(), pos_integer(), map()) -> ok.
fill(Table, Keys, Options) ->
    ok = ram:create_table(Table, #{}),
    [ok = ram:put_many([{N, <<N:128>>} || N <- lists:seq(First, last(First, Keys))],
                       Options#{table => Table})
     || First <- lists:seq(1, Keys, ?CHUNK)],
    Keys = ram:size(#{table => Table}),
    ok.
