%% The part of `make bench' that is of names of processes: what it costs to register one and to look
%% for it, and how long the names of a node are taken that is killed.
%%
%% The costs are measured in the cluster of three nodes that is given, on one that follows: one
%% process does each of what is compared, by turns. The process that a name is of lives on the same
%% node, so it is asked whether it does. For the node that is killed there is another cluster, whose
%% owner timeout is shorter than the default; the node that is killed does not lead.
-module(ram_bench_registry).

-export([run/3, run/4]).
%% Called on the nodes.
-export([beside_puts/1, beside_gets/2]).
-export_type([measured/0, sizes/0]).

-import(ram_bench_report, [say/2]).

%% Times to those of what they are compared with, medians: to register a name and take it away, to a
%% put and a delete; to look for one, to a get and to a lookup of ets. And how long after the kill
%% the last name was free, in the round that took longest.
-type measured() :: #{register := float(), to_get := float(), to_ets := float(),
                      free_ms := integer()}.
-type sizes() :: #{known := pos_integer(), names := pos_integer()}.

-define(SIZES, #{known => 10000, names => 100000}).
-define(OWNER_TIMEOUT_MS, 1500).
%% So many are looked for between two looks at the clock.
-define(AT_ONCE, 1000).
-define(CHUNK, 1000).

-spec run(map(), pos_integer(), pos_integer()) -> measured().
run(Run, Rounds, Seconds) ->
    run(Run, Rounds, 1000 * Seconds, ?SIZES).

%% @doc Each but the last for so many milliseconds.
-spec run(map(), pos_integer(), pos_integer(), sizes()) -> measured().
run(Run, Rounds, Ms, #{known := Known, names := Count}) ->
    Follower = ram_bench_lock:follower(Run),
    Each = fun(Do) -> [Do() || _ <- lists:seq(1, Rounds)] end,
    Register = ram_bench_verdict:median(Each(fun() -> on(Run, Follower, beside_puts, [Ms]) end)),
    say("to register a name and take it away takes ~.2f times a put and a delete", [Register]),
    {ToGets, ToEts} =
        lists:unzip(Each(fun() -> on(Run, Follower, beside_gets, [Known, Ms]) end)),
    [ToGet, ToLookup] = [ram_bench_verdict:median(Ratios) || Ratios <- [ToGets, ToEts]],
    say("to look for one takes ~.2f times a get, and ~.2f times a lookup of ets",
        [ToGet, ToLookup]),
    FreeMs = lists:max(Each(fun() -> freed(ram_peers:folder(Run), Count) end)),
    say("~b names of a node that is killed are free after ~b ms", [Count, FreeMs]),
    #{register => Register, to_get => ToGet, to_ets => ToLookup, free_ms => FreeMs}.

on(Run, I, Function, Arguments) ->
    ram_peers:call(Run, I, ?MODULE, Function, Arguments, infinity).

%%% Costs

%% @doc By turns for so long: the median of the one to that of the other.
-spec beside_puts(pos_integer()) -> float().
beside_puts(Ms) ->
    Self = self(),
    Register = fun() ->
                       yes = ram_registry:register_name(?MODULE, Self),
                       ok = ram_registry:unregister_name(?MODULE)
               end,
    Put = fun() -> ok = ram:put(?MODULE, Self), ok = ram:delete(?MODULE) end,
    [Registers, Puts] = ram_bench_turns:medians([Register, Put], Ms),
    Registers / Puts.

%% @doc The same of so many names, keys and objects.
-spec beside_gets(pos_integer(), pos_integer()) -> {ToGet :: float(), ToEts :: float()}.
beside_gets(Known, Ms) ->
    Numbers = lists:seq(1, Known),
    ok = ram_named:register_all(?MODULE, Known),
    Pids = [{{?MODULE, N}, ram_registry:whereis_name({?MODULE, N})} || N <- Numbers],
    [ok = ram:put_many(lists:sublist(Pids, First, ?CHUNK))
     || First <- lists:seq(1, Known, ?CHUNK)],
    Table = ets:new(?MODULE, [public, {read_concurrency, true}]),
    true = ets:insert(Table, Pids),
    [Whereis, Get, Lookup] =
        ram_bench_turns:medians(
          [each_of(Known, Find)
           || Find <- [fun(Name) -> true = is_pid(ram_registry:whereis_name(Name)) end,
                       fun(Key) -> true = is_pid(ram:get(Key)) end,
                       fun(Key) -> [_] = ets:lookup(Table, Key) end]], Ms),
    true = ets:delete(Table),
    ok = ram:delete_many([Key || {Key, _Pid} <- Pids]),
    lists:foreach(fun({_Name, Pid}) -> ok = ram_holder:stop(Pid) end, Pids),
    ram_named:left(0),
    {Whereis / Get, Whereis / Lookup}.

%% Of these the same every time, in no order.
each_of(Known, Find) ->
    Keys = [{?MODULE, rand:uniform(Known)} || _ <- lists:seq(1, ?AT_ONCE)],
    fun() -> lists:foreach(Find, Keys) end.

%%% Names of a node that is killed

%% Milliseconds until the last of them was free; then another node has them.
freed(Folder, Count) ->
    Run = ram_peers:start(3, Folder, [{storage, disk}, {owner_timeout_ms, ?OWNER_TIMEOUT_MS}],
                          direct),
    try
        ok = ram_peers:call(Run, 1, start_cluster, [ram_peers:nodes(Run)]),
        [Killed, Other] = ram_peers:members(Run) -- [ram_peers:leader(Run, 1)],
        Named = fun(I, Function, Arguments) ->
                        ram_peers:call(Run, I, ram_named, Function, Arguments, infinity)
                end,
        ok = Named(Killed, register_all, [?MODULE, Count]),
        Count = length(ram_peers:call(Run, Other, ram_registry, names, [], infinity)),
        Since = erlang:monotonic_time(millisecond),
        ok = ram_peers:kill(Run, Killed),
        ok = Named(Other, left, [0]),
        Ms = erlang:monotonic_time(millisecond) - Since,
        ok = Named(Other, register_all, [?MODULE, Count]),
        Ms
    after
        ram_peers:stop(Run)
    end.
