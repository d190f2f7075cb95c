%% More than the cluster can do: callers beyond number, followers that do not keep up. Memory stays
%% bounded, throughput stays, and who is refused is refused at once and for certain.
%%
%% Memory is the resident set of the operating-system process, its peak since `watch_memory'.
-module(ram_overload_SUITE).

-include_lib("stdlib/include/assert.hrl").
-import(ram_case, [run/1]).

-export([all/0, suite/0, init_per_testcase/2, end_per_testcase/2]).
-export([thousands_of_callers_on_one_node_get_as_much_done_as_a_hundred/1,
         thousands_of_callers_on_each_node_get_as_much_done_as_a_hundred/1,
         callers_that_are_killed_while_they_wait_leave_nothing_behind/1,
         beyond_its_queue_a_leader_refuses_at_once_and_for_certain/1,
         beyond_its_queue_a_follower_refuses_at_once_and_for_certain/1,
         a_suspended_follower_does_not_grow_its_leader/1,
         a_dead_follower_does_not_grow_its_leader/1,
         a_slow_follower_does_not_grow_its_leader/1]).

-define(MIB, (1 bsl 20)).
-define(CALLERS, ram_case:amount(5000, 20000)).
%% What these callers may cost a node: 40 KiB each, most of it their own heaps with garbage in
%% them.
-define(CALLERS_BYTES_MAX, (?CALLERS * 40 * 1024)).
-define(PUTS, ram_case:amount(25000, 200000)).
%% What a leader may hold for a follower: what waits for the way to it (64 MiB) and as much again
%% for all the rest: the newest entries (16 MiB), segments being written, snapshots being taken.
-define(LAGGARD_BYTES_MAX, (128 * ?MIB)).

suite() ->
    [{timetrap, {minutes, 5}}].

all() ->
    ram_case:all(?MODULE).

init_per_testcase(Case, Config) ->
    Small = lists:prefix("beyond_", atom_to_list(Case)),
    Env = [{queue_requests_max, 64} || Small],
    ram_case:start_cluster(Config, 3, Env).

end_per_testcase(_Case, Config) ->
    ram_case:stop(Config).

thousands_of_callers_on_one_node_get_as_much_done_as_a_hundred(Config) ->
    many_callers(run(Config), [1]).

thousands_of_callers_on_each_node_get_as_much_done_as_a_hundred(Config) ->
    many_callers(run(Config), [1, 2, 3]).

many_callers(Run, Indexes) ->
    Few = [rate(Run, Indexes, Callers) || Callers <- ram_case:amount([300], [100, 300, 1000])],
    Before = watch_memory(Run, [1, 2, 3]),
    Many = rate(Run, Indexes, ?CALLERS),
    Grown = grown(Run, Before),
    ct:pal("~p callers on ~p: ~b puts/s; few: ~w; grown by ~w MiB",
           [?CALLERS, Indexes, round(Many), [round(Rate) || Rate <- Few],
            [Bytes div ?MIB || Bytes <- Grown]]),
    ?assert(lists:max(Grown) =< ?CALLERS_BYTES_MAX),
    Name = lists:concat([?CALLERS, " callers on ", length(Indexes), " nodes: "]),
    ram_figure:told(Name ++ "growth of a node", lists:max(Grown) div ?MIB, "MiB"),
    ram_figure:at_least(Name ++ "puts, of those of few", 100 * Many / lists:max(Few), 80, "%").

%% Puts a second of all these nodes together; nobody was told anything but ok.
rate(Run, Indexes, Callers) ->
    {WarmMs, Ms} = ram_case:amount({1000, 2000}, {2000, 4000}),
    Told = on_each(Indexes, fun(I) -> ram_peers:call(Run, I, ram_callers, rate,
                                                     [Callers, WarmMs, Ms]) end),
    [?assertMatch({#{overloaded := 0, timeout := 0, other := 0}, _}, {One, Callers})
     || One <- Told],
    lists:sum([Rate || #{rate := Rate} <- Told]).

on_each(Indexes, Call) ->
    Calls = [spawn_monitor(fun() -> exit({told, Call(I)}) end) || I <- Indexes],
    [receive {'DOWN', Monitor, process, Pid, {told, Told}} -> Told;
             {'DOWN', Monitor, process, Pid, Why} -> error(Why)
     end || {Pid, Monitor} <- Calls].

%% The answers of the first round are there before the second begins.
callers_that_are_killed_while_they_wait_leave_nothing_behind(Config) ->
    Run = run(Config),
    Round = fun(Callers) ->
                    ok = ram_peers:call(Run, 2, ram_callers, kill, [Callers], 120000),
                    ram_peers:eventually(fun() -> waiting(Run, 2) =:= 0 end),
                    ram_peers:call(Run, 2, erlang, memory, [total])
            end,
    Before = Round(2000),
    After = Round(?CALLERS),
    ct:pal("memory of the node: ~b KiB before, ~b KiB after", [Before div 1024, After div 1024]),
    ?assert(After < Before + 8 * ?MIB),
    goes_on(Run).

waiting(Run, I) ->
    maps:get(waiting, ram_peers:call(Run, I, status, [])).

beyond_its_queue_a_leader_refuses_at_once_and_for_certain(Config) ->
    Run = run(Config),
    refuses(Run, ram_peers:leader(Run, 1)).

beyond_its_queue_a_follower_refuses_at_once_and_for_certain(Config) ->
    Run = run(Config),
    [Follower | _] = [1, 2, 3] -- [ram_peers:leader(Run, 1)],
    refuses(Run, Follower).

refuses(Run, Asked) ->
    Node = ram_peers:node(Run, Asked),
    [ram_links:hold(ram_peers:links(Run), A, B) || A <- [1, 2, 3], B <- [1, 2, 3], A =/= B],
    Rush = fun(Function) -> ram_peers:call(Run, Asked, ram_callers, rush, [1000, Function]) end,
    [Put, Get] = on_each([put_own, get_own], Rush),
    ram_links:heal(ram_peers:links(Run)),
    Overloaded = {raised, {overloaded, {ram, Node}}},
    Refused = [[{N, Us} || {N, Told, Us} <- Rushed, Told =:= Overloaded]
               || Rushed <- [Put, Get]],
    [?assert(length(R) >= 900) || R <- Refused],
    %% A thousand processes take turns; what waits for anything else waits for its time limit, 5 s.
    SlowestUs = lists:max([Us || R <- Refused, {_, Us} <- R]),
    ram_figure:at_most("slowest refusal of a full queue", SlowestUs / 1000, 50, "ms"),
    ?assertEqual(not_applied, ram_peers:call(Run, Asked, outcome, [element(2, Overloaded)])),
    goes_on(Run),
    [RefusedPuts | _] = Refused,
    Found = ram_peers:call(Run, Asked, ram_callers, present, [[N || {N, _} <- RefusedPuts]]),
    ?assertEqual([], Found).

goes_on(Run) ->
    [ram_peers:eventually(fun() -> ram_peers:call(Run, I, put, [still, I]) =:= ok end)
     || I <- [1, 2, 3]].

a_suspended_follower_does_not_grow_its_leader(Config) ->
    Run = run(Config),
    laggard(Run, fun(_Leader, Follower) -> ram_peers:suspend(Run, Follower) end,
            fun(_Leader, Follower) -> ram_peers:resume(Run, Follower) end).

a_dead_follower_does_not_grow_its_leader(Config) ->
    Run = run(Config),
    laggard(Run, fun(_Leader, Follower) -> ram_peers:kill(Run, Follower) end,
            fun(_Leader, Follower) -> ram_peers:restart(Run, Follower) end).

a_slow_follower_does_not_grow_its_leader(Config) ->
    Run = run(Config),
    Tune = fun(Quality) -> fun(L, F) -> ok = ram_peers:tune(Run, L, F, Quality) end end,
    laggard(Run, Tune({slow, 100, 50}), Tune(open)).

%% Writes 200 MiB into a thousand keys while a follower does not keep up; small values take longer.
%% Where another came to lead meanwhile, as on a machine that is busy, there is no leader to look
%% at: once more then.
laggard(Run, Trouble, End) ->
    laggard(Run, Trouble, End, 3).

laggard(Run, Trouble, End, Tries) ->
    Leader = ram_peers:leader(Run, 1),
    [Follower | _] = [1, 2, 3] -- [Leader],
    %% A table, a log and a snapshot are there before.
    Flood = fun(Puts) ->
                    ram_peers:call(Run, Leader, ram_callers, flood,
                                   [Puts, 200 * ?MIB div ?PUTS, 300], 120000)
            end,
    _ = Flood(?PUTS div 4),
    Before = watch_memory(Run, [Leader]),
    Trouble(Leader, Follower),
    #{timeout := 0, other := 0} = Told = Flood(?PUTS),
    Grown = grown(Run, Before),
    End(Leader, Follower),
    ct:pal("~p", [Told]),
    case ram_peers:leader(Run, Leader) of
        Leader ->
            ram_figure:told("growth of a leader whose follower does not keep up",
                            lists:max(Grown) div ?MIB, "MiB"),
            ?assert(lists:max(Grown) =< ?LAGGARD_BYTES_MAX),
            catches_up(Run, Leader, Follower);
        _Another when Tries > 1 ->
            catches_up(Run, Leader, Follower),
            laggard(Run, Trouble, End, Tries - 1)
    end.

catches_up(Run, Leader, Follower) ->
    ok = ram_peers:call(Run, Leader, put, [done, yes]),
    ram_peers:eventually(fun() -> ram_peers:call(Run, Follower, get, [done]) =:= yes end),
    Applied = fun(I) -> maps:get(applied_index, ram_peers:call(Run, I, status, [])) end,
    ram_peers:eventually(fun() -> Applied(Follower) >= Applied(Leader) end).

%% The resident bytes of these nodes now; their peaks are counted from here.
watch_memory(Run, Indexes) ->
    [begin
         [ram_peers:call(Run, I, erlang, garbage_collect, [Pid])
          || Pid <- ram_peers:call(Run, I, erlang, processes, [])],
         ok = ram_peers:reset_peak(Run, I),
         {I, ram_peers:memory(Run, I, "VmRSS:")}
     end || I <- Indexes].

%% By how many bytes each node has grown at most since then.
grown(Run, Before) ->
    [ram_peers:memory(Run, I, "VmHWM:") - Bytes || {I, Bytes} <- Before].

