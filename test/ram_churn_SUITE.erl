%% Members lost, wiped, added and removed while clients write. Nothing acknowledged may be lost.
%%
%% RAM_ROUNDS sets how often each amnesia case goes round: make soak PARTS=members ROUNDS=50.
-module(ram_churn_SUITE).

-include_lib("stdlib/include/assert.hrl").
-import(ram_case, [run/1, rounds/2]).

-export([all/0, suite/0, init_per_testcase/2, end_per_testcase/2]).
-export([amnesia_of_a_voter_and_loss_of_the_leader_lose_nothing_on_three_nodes/1,
         amnesia_of_a_voter_and_loss_of_the_leader_lose_nothing_on_five_nodes/1,
         members_come_and_go_under_twenty_writers/1,
         a_node_killed_while_it_is_added_or_removed_leaves_a_cluster_that_agrees/1]).

suite() ->
    [{timetrap, {minutes, 20}}].

all() ->
    ram_case:all(?MODULE).

init_per_testcase(Case, Config) ->
    ram_case:start(Config, count(Case)).

count(amnesia_of_a_voter_and_loss_of_the_leader_lose_nothing_on_three_nodes) -> 3;
count(amnesia_of_a_voter_and_loss_of_the_leader_lose_nothing_on_five_nodes) -> 5;
count(members_come_and_go_under_twenty_writers) -> 5;
count(_) -> 4.

end_per_testcase(_Case, Config) ->
    ram_case:stop(Config).

call(Run, I, Function, Arguments) -> ram_peers:call(Run, I, Function, Arguments).

amnesia_of_a_voter_and_loss_of_the_leader_lose_nothing_on_three_nodes(Config) ->
    amnesia(run(Config), [1, 2, 3]).

amnesia_of_a_voter_and_loss_of_the_leader_lose_nothing_on_five_nodes(Config) ->
    amnesia(run(Config), [1, 2, 3, 4, 5]).

amnesia(Run, All) ->
    ok = call(Run, 1, start_cluster, [ram_peers:nodes(Run)]),
    lists:foreach(fun(Round) -> amnesia_round(Run, All, Round) end, lists:seq(1, rounds(1, 5))).

%% A voter forgets everything and comes back; as soon as it serves, the leader dies.
amnesia_round(Run, All, Round) ->
    Leader = ram_peers:leader(Run, hd(All)),
    [Victim | Others] = All -- [Leader],
    Writers = writers(Run, Others, 2, {amnesia, Round}, 3000),
    ok = ram_peers:kill(Run, Victim),
    ok = file:del_dir_r(ram_peers:data_dir(Run, Victim)),
    ram_peers:restart(Run, Victim),
    ok = call(Run, Victim, start_cluster, [ram_peers:nodes(Run)]),
    ok = ram_peers:kill(Run, Leader),
    Written = written(Writers),
    check_all(Run, Victim, Written),
    ram_peers:restart(Run, Leader),
    check_all(Run, Leader, Written),
    ram_peers:all_agree(Run, All).

%% The leader is removed, a dead member is removed and another replaced, who was removed comes back.
members_come_and_go_under_twenty_writers(Config) ->
    Run = run(Config),
    ok = call(Run, 1, start_cluster, [ram_peers:nodes(Run, [1, 2, 3])]),
    Leader = ram_peers:leader(Run, 1),
    [One, Two] = Writing = [1, 2, 3] -- [Leader],
    [Four, Five, Former] = [ram_peers:node(Run, I) || I <- [4, 5, Leader]],
    Writers = writers(Run, Writing, 10, churn, ram_case:amount(5000, 10000)),
    ok = call(Run, One, add_node, [Four]),
    ok = call(Run, Two, remove_node, [Former]),
    ram_peers:all_agree(Run, Writing ++ [4]),
    ok = call(Run, 4, add_node, [Former]),
    ok = ram_peers:kill(Run, Leader),
    ok = call(Run, One, remove_node, [Former]),
    ok = ram_peers:kill(Run, 4),
    ok = call(Run, Two, replace_node, [Four, Five]),
    ram_peers:restart(Run, Leader),
    ok = call(Run, 5, add_node, [Former]),
    Written = written(Writers),
    ram_peers:all_agree(Run, [1, 2, 3, 5]),
    [check_all(Run, I, Written) || I <- [1, 2, 3, 5]].

a_node_killed_while_it_is_added_or_removed_leaves_a_cluster_that_agrees(Config) ->
    Run = run(Config),
    ok = call(Run, 1, start_cluster, [ram_peers:nodes(Run, [1, 2, 3])]),
    DelaysMs = ram_case:amount([5, 60], [0, 5, 20, 60]),
    lists:foreach(fun(DelayMs) -> killed_while_added(Run, DelayMs) end, DelaysMs).

killed_while_added(Run, DelayMs) ->
    Four = ram_peers:node(Run, 4),
    Writers = writers(Run, [1, 2], 3, {killed, DelayMs}, 2500),
    Adding = spawn_monitor(fun() -> try_call(Run, 1, add_node, [Four]) end),
    receive after DelayMs -> ok end,
    ok = ram_peers:kill(Run, 4),
    Written = written(Writers),
    check_all(Run, 3, Written),
    %% Whatever came of the addition, the node can be removed, and then added in full.
    _ = call(Run, 2, remove_node, [Four]),
    ram_peers:all_agree(Run, [1, 2, 3]),
    {Pid, Monitor} = Adding,
    receive {'DOWN', Monitor, process, Pid, _} -> ok after 60000 -> error(add_node_hangs) end,
    ram_peers:restart(Run, 4),
    ok = call(Run, 1, add_node, [Four]),
    check_all(Run, 4, Written),
    Leaving = spawn_monitor(fun() -> try_call(Run, 2, remove_node, [Four]) end),
    receive after DelayMs -> ok end,
    ok = ram_peers:kill(Run, 4),
    {LeavingPid, LeavingMonitor} = Leaving,
    receive {'DOWN', LeavingMonitor, process, LeavingPid, _} -> ok after 60000 -> error(hangs) end,
    ram_peers:all_agree(Run, [1, 2, 3]),
    ram_peers:restart(Run, 4).

%% Whatever comes of it: a node is killed meanwhile.
try_call(Run, I, Function, Arguments) ->
    try call(Run, I, Function, Arguments) catch _:_ -> ok end.

%% Processes on these nodes that put one key after the other for some time.
writers(Run, Indexes, Count, Name, Milliseconds) ->
    Self = self(),
    [spawn_link(fun() ->
                        Self ! {self(), ram_peers:call(Run, I, ram_load, write_on,
                                                       [{I, N}, [Name, Milliseconds]])}
                end) || I <- Indexes, N <- lists:seq(1, Count)]
        ++ [Name].

%% What was acknowledged, once all are done.
written(WritersAndName) ->
    {Writers, [Name]} = lists:split(length(WritersAndName) - 1, WritersAndName),
    Written = [receive {Writer, {Number, Acknowledged}} -> {Number, Acknowledged} end
               || Writer <- Writers],
    Count = lists:sum([length(Acknowledged) || {_, Acknowledged} <- Written]),
    ct:pal("~p: ~b writes acknowledged", [Name, Count]),
    ?assert(Count > 0),
    {Name, Written}.

check_all(Run, I, {Name, Written}) ->
    Missing = ram_peers:call(Run, I, ram_load, missing, [Name, Written]),
    ?assertEqual([], Missing).
