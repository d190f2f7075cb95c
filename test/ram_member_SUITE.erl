%% Members added, removed and replaced while something goes wrong: what is left is whole.
%%
%% RAM_JOIN_MB=300 rebar3 ct --suite test/ram_member_SUITE --case CASE measures how long a writer
%% waits while a node joins with so much data; without it the table is small and the bound generous.
-module(ram_member_SUITE).

-include_lib("stdlib/include/assert.hrl").
-import(ram_case, [run/1, started/2]).
-import(ram_peers, [call/4, raised/4]).

-export([all/0, suite/0, init_per_testcase/2, end_per_testcase/2]).
-export([a_node_that_cannot_be_reached_replaces_none_and_the_others_serve_on/1,
         a_node_that_cannot_be_reached_is_not_added_to_one_and_the_one_serves_on/1,
         the_only_member_serves_on_when_a_node_is_killed_that_joins_it/1,
         an_addition_whose_caller_is_killed_leaves_a_cluster_that_agrees/1,
         an_addition_whose_leader_is_killed_leaves_a_member_or_none/1,
         an_addition_and_a_removal_at_once_leave_no_voter_without_a_member/1,
         an_addition_that_is_asked_for_twice_at_once_is_made_once/1,
         a_removal_that_is_asked_for_twice_is_made_once/1,
         a_removal_ends_the_addition_of_a_node_that_catches_up/1,
         a_removal_that_would_leave_no_majority_is_refused_and_says_who_is_missing/1,
         writers_hardly_wait_while_a_node_joins_one/1,
         writers_hardly_wait_while_a_node_joins_three/1]).

suite() ->
    [{timetrap, {minutes, 10}}].

all() ->
    ram_case:all(?MODULE).

init_per_testcase(Case, Config) ->
    Wires = case lists:prefix("writers", atom_to_list(Case)) of
                true -> direct;
                false -> links
            end,
    ram_case:start(Config, count(Case), [], Wires).

count(a_node_that_cannot_be_reached_replaces_none_and_the_others_serve_on) -> 4;
count(an_addition_whose_leader_is_killed_leaves_a_member_or_none) -> 4;
count(writers_hardly_wait_while_a_node_joins_three) -> 4;
count(_) -> 3.

end_per_testcase(_Case, Config) ->
    ram_case:stop(Config).

a_node_that_cannot_be_reached_replaces_none_and_the_others_serve_on(Config) ->
    Run = started(Config, 3),
    [Dead, New] = [ram_peers:node(Run, I) || I <- [3, 4]],
    ok = ram_peers:kill(Run, 3),
    ok = ram_peers:eventually(fun() -> call(Run, 1, put, [k, v]) =:= ok end),
    [ok = ram_peers:tune(Run, I, 4, cut) || I <- [1, 2]],
    Writing = writing(Run, ram_case:amount(6000, 12000)),
    not_reached(Run, 4, fun() -> call(Run, 1, replace_node, [Dead, New]) end),
    [?assertEqual(ram_peers:nodes(Run, [1, 2, 3]), call(Run, I, nodes, [])) || I <- [1, 2]],
    served(Writing),
    ?assertEqual(v, call(Run, 2, get, [k])),
    ok = ram_peers:heal(Run),
    ?assertEqual(ok, call(Run, 1, replace_node, [Dead, New])),
    ram_peers:all_agree(Run, [1, 2, 4]).

a_node_that_cannot_be_reached_is_not_added_to_one_and_the_one_serves_on(Config) ->
    Run = started(Config, 1),
    Two = ram_peers:node(Run, 2),
    %% What is sent does not come, as behind a firewall.
    ok = ram_peers:tune(Run, 1, 2, held),
    Writing = writing(Run, ram_case:amount(6000, 12000)),
    not_reached(Run, 2, fun() -> call(Run, 1, add_node, [Two]) end),
    served(Writing),
    ?assertEqual([ram_peers:node(Run, 1)], call(Run, 1, nodes, [])),
    ok = ram_peers:heal(Run),
    ?assertEqual(ok, call(Run, 1, add_node, [Two])),
    ram_peers:all_agree(Run, [1, 2]).

%% The change fails within ten seconds, names the address, and leaves nothing on the node.
not_reached(Run, I, Change) ->
    {Us, Result} = timer:tc(Change),
    Node = ram_peers:node(Run, I),
    {error, {not_reached, Node, Address, Cause}} = Result,
    ct:pal("after ~b ms: ~ts: ~ts", [Us div 1000, Address, Cause]),
    ram_figure:at_most("a change with who is not reached is refused", Us div 1000, 10000, "ms"),
    {ok, {Host, Port}} = ram_peers:call(Run, I, application, get_env, [ram, advertise]),
    ?assertEqual(iolist_to_binary([Host, ":", integer_to_list(Port)]), Address),
    ?assert(byte_size(Cause) > 0),
    ?assertEqual(noproc, raised(Run, I, get, [k])),
    ?assertNot(filelib:is_dir(ram_peers:data_dir(Run, I))).

the_only_member_serves_on_when_a_node_is_killed_that_joins_it(Config) ->
    Run = started(Config, 1),
    Writing = writing(Run, 15000),
    Adding = catching_up(Run, 2),
    ok = ram_peers:kill(Run, 2),
    ?assertMatch({error, {not_reached, _, _, _}}, result(Adding)),
    served(Writing),
    ?assertEqual([ram_peers:node(Run, 1)], call(Run, 1, nodes, [])),
    ok = ram_peers:heal(Run),
    Two = ram_peers:restart(Run, 2),
    ?assertEqual(ok, call(Run, 1, add_node, [Two])),
    ram_peers:all_agree(Run, [1, 2]).

a_removal_ends_the_addition_of_a_node_that_catches_up(Config) ->
    Run = started(Config, 2),
    Adding = catching_up(Run, 3),
    {Us, ok} = timer:tc(fun() -> call(Run, 2, remove_node, [ram_peers:node(Run, 3)]) end),
    ram_figure:at_most("a removal ends an addition", Us div 1000, 10000, "ms"),
    ?assertMatch({error, {not_caught_up, _, _, _}}, result(Adding)),
    ram_peers:all_agree(Run, [1, 2]),
    is_whole(Run, [1, 2, 3]).

%% An addition that lasts, since its rounds are longer than an election timeout; when node 1 sees
%% the learner.
catching_up(Run, I) ->
    [ok = ram_peers:tune(Run, N, I, {slow, 500, 0}) || N <- lists:seq(1, I - 1)],
    Node = ram_peers:node(Run, I),
    Adding = in_background(fun() -> call(Run, 1, add_node, [Node]) end),
    ram_peers:eventually(fun() -> role(Run, Node) =:= learner end),
    Adding.

role(Run, Node) ->
    #{members := Members} = call(Run, 1, status, []),
    [Role] = [R || #{node := N, standing := R} <- Members, N =:= Node],
    Role.

an_addition_whose_caller_is_killed_leaves_a_cluster_that_agrees(Config) ->
    Run = started(Config, 2),
    Three = ram_peers:node(Run, 3),
    lists:foreach(fun(DelayMs) ->
                          Caller = ram_peers:call(Run, 1, erlang, spawn,
                                                  [ram, add_node, [Three]]),
                          receive after DelayMs -> ok end,
                          true = ram_peers:call(Run, 1, erlang, exit, [Caller, kill]),
                          ?assertEqual(ok, call(Run, 2, add_node, [Three])),
                          ram_peers:all_agree(Run, [1, 2, 3]),
                          ok = call(Run, 3, put, [DelayMs, done]),
                          ?assertEqual(ok, call(Run, 1, remove_node, [Three])),
                          ram_peers:all_agree(Run, [1, 2]),
                          is_whole(Run, [1, 2, 3])
                  end, [0, 2, 5, 10, 20, 50, 100, 200]).

an_addition_whose_leader_is_killed_leaves_a_member_or_none(Config) ->
    Run = started(Config, 3),
    Four = ram_peers:node(Run, 4),
    lists:foreach(fun(DelayMs) ->
                          Leader = ram_peers:leader(Run, 1),
                          [By | _] = Left = [1, 2, 3] -- [Leader],
                          Adding = in_background(fun() -> call(Run, By, add_node, [Four]) end),
                          receive after DelayMs -> ok end,
                          ok = ram_peers:kill(Run, Leader),
                          Result = result(Adding),
                          ct:pal("killed after ~b ms: ~p", [DelayMs, Result]),
                          case Result of
                              ok -> ram_peers:eventually(fun() -> sees(Run, Left, Four) end);
                              {error, _} -> ?assertNot(sees(Run, Left, Four))
                          end,
                          ram_peers:restart(Run, Leader),
                          is_whole(Run, [1, 2, 3, 4]),
                          ?assertEqual(ok, call(Run, Leader, add_node, [Four])),
                          ram_peers:all_agree(Run, [1, 2, 3, 4]),
                          ok = call(Run, By, remove_node, [Four]),
                          ram_peers:all_agree(Run, [1, 2, 3])
                  end, [0, 20, 60, 120, 200]).

sees(Run, Indexes, Node) ->
    lists:all(fun(I) -> lists:member(Node, call(Run, I, nodes, [])) end, Indexes).

an_addition_and_a_removal_at_once_leave_no_voter_without_a_member(Config) ->
    Run = started(Config, 2),
    Three = ram_peers:node(Run, 3),
    lists:foreach(fun(Round) ->
                          Both = [in_background(fun() -> call(Run, I, F, [Three]) end)
                                  || {I, F} <- [{1, add_node}, {2, remove_node}]],
                          Results = [result(Each) || Each <- Both],
                          ct:pal("round ~b: ~p", [Round, Results]),
                          is_whole(Run, [1, 2, 3]),
                          ok = call(Run, 1, put, [round, Round])
                  end, lists:seq(1, 12)).

%% Node 1 is a member, and the nodes serve that it takes for members, and no others.
is_whole(Run, Indexes) ->
    ram_peers:eventually(
      fun() ->
              Members = call(Run, 1, nodes, []),
              lists:all(fun(I) ->
                                case lists:member(ram_peers:node(Run, I), Members) of
                                    true -> call(Run, I, nodes, []) =:= Members;
                                    false -> raised(Run, I, nodes, []) =:= noproc
                                end
                        end, Indexes)
      end).

an_addition_that_is_asked_for_twice_at_once_is_made_once(Config) ->
    Run = started(Config, 2),
    Three = ram_peers:node(Run, 3),
    Adding = [in_background(fun() -> call(Run, I, add_node, [Three]) end) || I <- [1, 2, 1, 2]],
    ?assertEqual([ok, ok, ok, ok], [result(Each) || Each <- Adding]),
    ram_peers:all_agree(Run, [1, 2, 3]).

a_removal_that_is_asked_for_twice_is_made_once(Config) ->
    Run = started(Config, 3),
    Three = ram_peers:node(Run, 3),
    Gone = {error, {not_member, Three}},
    Removing = [in_background(fun() -> call(Run, I, remove_node, [Three]) end) || I <- [1, 2]],
    %% The second is not begun before the first has ended, and finds nothing or sees it made.
    [ok, Second] = lists:sort([result(Each) || Each <- Removing]),
    ?assert(lists:member(Second, [ok, Gone])),
    ram_peers:all_agree(Run, [1, 2]),
    ?assertEqual(Gone, call(Run, 2, remove_node, [Three])),
    is_whole(Run, [1, 2, 3]).

a_removal_that_would_leave_no_majority_is_refused_and_says_who_is_missing(Config) ->
    Run = started(Config, 3),
    [Two, Three] = ram_peers:nodes(Run, [2, 3]),
    ok = ram_peers:kill(Run, 3),
    ?assertMatch({error, {not_reached, Three, _, _}}, call(Run, 1, remove_node, [Two])),
    ok = call(Run, 2, put, [k, v]),
    ?assertEqual(ok, call(Run, 1, remove_node, [Three])),
    ?assertEqual(ok, call(Run, 1, remove_node, [Two])),
    ?assertEqual(v, call(Run, 1, get, [k])).

writers_hardly_wait_while_a_node_joins_one(Config) ->
    hardly_wait(started(Config, 1), 2).

writers_hardly_wait_while_a_node_joins_three(Config) ->
    hardly_wait(started(Config, 3), 4).

%% A put beside the joining of node I.
hardly_wait(Run, I) ->
    Megabytes = ram_case:amount(20, 300),
    [ok = ram_peers:call(Run, 1, ram_load, put_many_binaries, [M, 100, 10000])
     || M <- lists:seq(1, Megabytes)],
    Writing = writing(Run, 2000 + 100 * Megabytes),
    {Us, ok} = timer:tc(fun() -> call(Run, 1, add_node, [ram_peers:node(Run, I)]) end),
    #{longest_call_ms := LongestMs, puts := Puts} = result(Writing),
    ct:pal("~b MB, ~b nodes: joined in ~b ms; ~b puts", [Megabytes, I, Us div 1000, Puts]),
    Name = lists:concat(["longest put while node ", I, " joins with ", Megabytes, " MB"]),
    ram_figure:at_most(Name, LongestMs, 200, "ms"),
    ?assertEqual(binary:copy(<<7>>, 10000), call(Run, I, get, [{1, 100}])).

%% Two processes on node 1 that write for so long; one that fails is an error.
writing(Run, ForMs) ->
    in_background(fun() ->
                          ram_peers:call(Run, 1, ram_writers, write, [written, 1, 3, ForMs],
                                         ForMs + 60000)
                  end).

served(Writing) ->
    #{longest_call_ms := Took, puts := Puts} = Written = result(Writing),
    ct:pal("~p", [maps:remove(acknowledged, Written)]),
    ?assert(Puts > 0),
    ram_figure:at_most("longest put while a node is not reached", Took, 500, "ms").

in_background(Fun) ->
    spawn_monitor(fun() -> exit({result, Fun()}) end).

result({Pid, Monitor}) ->
    receive {'DOWN', Monitor, process, Pid, {result, Result}} -> Result;
            {'DOWN', Monitor, process, Pid, Reason} -> error(Reason)
    after 120000 -> error(hangs)
    end.
