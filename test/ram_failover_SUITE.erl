%% How long a cluster is without a successful write when its leader dies, freezes or stops, or when
%% a follower dies, and that nothing is lost and nothing applied twice meanwhile.
%%
%% Writers run on both survivors all the while (`ram_writers'); the gap of a round is the longer one
%% of the two. RAM_ROUNDS sets the rounds of each case: make soak PARTS=failover ROUNDS=100.
-module(ram_failover_SUITE).

-include_lib("stdlib/include/assert.hrl").
-import(ram_case, [run/1, rounds/2]).
-import(ram_figure, [median/1]).
-import(ram_peers, [call/4]).

-export([all/0, suite/0, init_per_testcase/2, end_per_testcase/2]).
-export([a_killed_leader_is_missed_for_a_moment_and_every_update_counts_once/1,
         a_frozen_leader_is_missed_for_a_moment/1,
         a_leader_that_stops_is_hardly_missed/1,
         a_leader_whose_vm_stops_is_hardly_missed/1,
         a_killed_follower_holds_up_writes_once_and_for_its_lease/1,
         a_busy_cluster_keeps_its_leader/1]).

-define(WRITERS, 4).
-define(ALL, [1, 2, 3]).
%% Writing before the fault begins, and in all.
-define(QUIET_MS, 300).
-define(ROUND_MS, 1200).

suite() ->
    [{timetrap, {minutes, 20}}].

all() ->
    ram_case:all(?MODULE).

%% Without the wires between, which would tell of a dead leader in their own time.
init_per_testcase(_Case, Config) ->
    ram_case:start_cluster(Config, 3, [], direct).

end_per_testcase(_Case, Config) ->
    ram_case:stop(Config).

a_killed_leader_is_missed_for_a_moment_and_every_update_counts_once(Config) ->
    Gaps = measure(run(Config), killed, rounds(3, 20), fun ram_peers:kill/2,
                   fun ram_peers:restart/2),
    at_most("a leader killed: median gap", median(Gaps), 300).

a_frozen_leader_is_missed_for_a_moment(Config) ->
    Gaps = measure(run(Config), frozen, rounds(2, 8), fun ram_peers:suspend/2,
                   fun ram_peers:resume/2),
    at_most("a leader frozen: longest gap", lists:max(Gaps), 1000).

a_leader_that_stops_is_hardly_missed(Config) ->
    Gaps = measure(run(Config), stopped, rounds(2, 8),
                   fun(Run, I) -> ok = call(Run, I, stop, []) end,
                   fun(Run, I) -> ok = call(Run, I, start, []) end),
    at_most("a leader stopped: median gap", median(Gaps), 50).

a_leader_whose_vm_stops_is_hardly_missed(Config) ->
    Gaps = measure(run(Config), shut_down, rounds(2, 8), fun ram_peers:shut_down/2,
                   fun ram_peers:restart/2),
    at_most("the VM of a leader stopped: median gap", median(Gaps), 50).

%% Nothing is committed while it may answer reads: for 0.6 of 200 ms, the default. What a write
%% takes on a busy machine comes on top.
a_killed_follower_holds_up_writes_once_and_for_its_lease(Config) ->
    Gaps = measure(run(Config), follower_killed, rounds(2, 8), fun follower/1, fun ram_peers:kill/2,
                   fun ram_peers:restart/2),
    at_most("a follower killed: median gap", median(Gaps), 120 + 30).

at_most(Name, Ms, Limit) -> ram_figure:at_most(Name, Ms, Limit, "ms").

leader(Run) -> ram_peers:leader(Run, 1).

follower(Run) -> hd(?ALL -- [leader(Run)]).

%% The gap of each round, sorted; and after all of them the counter is exact.
measure(Run, Name, Rounds, Lose, Return) ->
    measure(Run, Name, Rounds, fun leader/1, Lose, Return).

measure(Run, Name, Rounds, Choose, Lose, Return) ->
    Measured = [round(Run, Name, Round, Choose(Run), Lose, Return)
                || Round <- lists:seq(1, Rounds)],
    {Gaps, Calls, Counts} = lists:unzip3(Measured),
    Sorted = lists:sort(Gaps),
    ct:pal("~p ~b times: gaps in ms: median ~.1f, ~w~nlongest call: median ~.1f, longest ~.1f",
           [Name, Rounds, median(Gaps), [round(Gap) || Gap <- Sorted], median(Calls),
            lists:max(Calls)]),
    [?assertEqual(lists:sum(Counts), call(Run, I, get, [counter])) || I <- ?ALL],
    Sorted.

round(Run, Name, Round, Lost, Lose, Return) ->
    Survivors = ?ALL -- [Lost],
    Writing = [{I, peer_write(Run, I, {Name, I}, Round)} || I <- Survivors],
    receive after ?QUIET_MS -> ok end,
    ok = Lose(Run, Lost),
    Written = [{I, written(Writer)} || {I, Writer} <- Writing],
    _ = Return(Run, Lost),
    ram_peers:eventually(fun() -> call(Run, Lost, get, [counter]) > 0 end),
    %% Each is asked for what the other one wrote.
    [?assertEqual([], ram_peers:call(Run, I, ram_writers, lost, [Round, Acknowledged]))
     || {Writer, #{acknowledged := Acknowledged}} <- Written, I <- Survivors -- [Writer]],
    Of = fun(Key) -> [maps:get(Key, Of) || {_, Of} <- Written] end,
    {lists:max(Of(gap_ms)), lists:max(Of(longest_call_ms)), lists:sum(Of(counted))}.

peer_write(Run, I, Name, Round) ->
    spawn_monitor(fun() ->
                          exit(ram_peers:call(Run, I, ram_writers, write,
                                              [Name, Round, ?WRITERS, ?ROUND_MS]))
                  end).

written({Pid, Monitor}) ->
    receive {'DOWN', Monitor, process, Pid, Written} when is_map(Written) -> Written;
            {'DOWN', Monitor, process, Pid, Reason} -> error({a_writer_failed, Reason})
    end.

%% Heartbeats come through while 100 writers on each node keep two cores busy.
a_busy_cluster_keeps_its_leader(Config) ->
    Run = run(Config),
    #{term := Term} = call(Run, 1, status, []),
    BusyMs = ram_case:amount(3000, 10000),
    Writing = [spawn_monitor(fun() ->
                                     exit(ram_peers:call(Run, I, ram_writers, write,
                                                         [{busy, I}, 1, 100, BusyMs]))
                             end) || I <- ?ALL],
    Gaps = [maps:get(gap_ms, written(Writer)) || Writer <- Writing],
    ram_figure:told("300 busy writers: longest gap", lists:max(Gaps), "ms"),
    Newest = lists:max([maps:get(term, call(Run, I, status, [])) || I <- ?ALL]),
    %% Other suites beside it may keep the cores busier than that.
    ram_figure:at_most("300 busy writers: elections", Newest - Term, ram_case:amount(1, 0), "").
