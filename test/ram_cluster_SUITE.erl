%% Clusters made, changed and stopped; each case on nodes of its own.
-module(ram_cluster_SUITE).

-include_lib("stdlib/include/assert.hrl").
-import(ram_case, [run/1, started/1]).
-import(ram_peers, [call/4, raised/4]).

-export([all/0, suite/0, init_per_testcase/2, end_per_testcase/2]).
-export([before_a_cluster_is_started_requests_raise_noproc/1,
         start_cluster_with_the_same_nodes_from_all_of_them_at_once_is_ok/1,
         start_cluster_with_a_node_that_is_not_there_names_it_and_leaves_nothing/1,
         start_cluster_with_a_node_that_cannot_start_undoes_the_others/1,
         a_member_of_another_cluster_is_left_alone/1,
         of_two_different_clusters_at_once_no_node_is_in_both/1,
         stop_cluster_deletes_the_data/1,
         unknown_and_wrong_settings_are_named/1,
         a_cluster_grows_to_five_and_shrinks_to_one/1,
         the_leader_can_be_removed_also_by_itself/1,
         a_removed_node_raises_noproc_and_can_be_added_again/1,
         a_node_removed_while_it_was_down_learns_it_when_it_comes_back/1,
         unknown_and_last_members_cannot_be_removed/1,
         a_dead_node_is_replaced_by_another/1]).

suite() ->
    [{timetrap, {minutes, 3}}].

all() ->
    ram_case:all(?MODULE).

init_per_testcase(Case, Config) ->
    ram_case:start(Config, count(Case)).

count(a_cluster_grows_to_five_and_shrinks_to_one) -> 5;
count(a_dead_node_is_replaced_by_another) -> 4;
count(of_two_different_clusters_at_once_no_node_is_in_both) -> 4;
count(a_member_of_another_cluster_is_left_alone) -> 4;
count(unknown_and_wrong_settings_are_named) -> 1;
count(_) -> 3.

end_per_testcase(_Case, Config) ->
    ram_case:stop(Config).

before_a_cluster_is_started_requests_raise_noproc(Config) ->
    Run = run(Config),
    Requests = [{get, [k]}, {fetch, [k]}, {put, [k, v]}, {delete, [k]},
                {update, [k, v, fun erlang:'-'/1]}, {nodes, []}, {leader, []},
                {add_node, [ram_peers:node(Run, 2)]}, {remove_node, [ram_peers:node(Run, 2)]}],
    Raise = fun() ->
                    [?assertEqual({F, noproc}, {F, raised(Run, 1, F, A)}) || {F, A} <- Requests]
            end,
    Raise(),
    ok = call(Run, 1, start, []),
    Raise(),
    ?assertEqual({error, noproc}, call(Run, 1, restart_server, [])).

start_cluster_with_the_same_nodes_from_all_of_them_at_once_is_ok(Config) ->
    Run = run(Config),
    Nodes = ram_peers:nodes(Run),
    Start = fun(I) -> exit({done, call(Run, I, start_cluster, [Nodes])}) end,
    ok = ram_load:wait_all([spawn_monitor(fun() -> Start(I) end) || I <- [1, 2, 3, 1, 2, 3]]),
    ram_peers:all_agree(Run, [1, 2, 3]),
    ok = call(Run, 2, put, [k, v]),
    ?assertEqual(ok, call(Run, 3, start_cluster, [lists:reverse(Nodes) ++ Nodes])),
    ?assertEqual(v, call(Run, 1, get, [k])).

start_cluster_with_a_node_that_is_not_there_names_it_and_leaves_nothing(Config) ->
    Run = run(Config),
    Absent = ram_peers:node(Run, 4),
    ?assertEqual({error, {unreachable, [Absent]}},
                 call(Run, 1, start_cluster,
                      [[Absent | ram_peers:nodes(Run)], #{wait_ms => 1000}])),
    [?assertEqual(noproc, raised(Run, I, get, [k])) || I <- [1, 2, 3]],
    ?assertEqual(ok, call(Run, 1, start_cluster, [ram_peers:nodes(Run)])).

start_cluster_with_a_node_that_cannot_start_undoes_the_others(Config) ->
    Run = run(Config),
    %% Its data folder cannot be made where a file is.
    File = filename:join(ram_peers:folder(Run), "a_file"),
    ok = file:write_file(File, <<>>),
    Under = filename:join(File, "data"),
    ok = ram_peers:call(Run, 3, application, set_env, [ram, data_dir, Under]),
    Node = ram_peers:node(Run, 3),
    ?assertMatch({error, {failed, Node, {failed, <<_/binary>>}}},
                 call(Run, 1, start_cluster, [ram_peers:nodes(Run)])),
    [begin
         ?assertEqual(noproc, raised(Run, I, get, [k])),
         ?assertNot(filelib:is_dir(ram_peers:data_dir(Run, I)))
     end || I <- [1, 2]],
    ?assertEqual(ok, call(Run, 1, start_cluster, [ram_peers:nodes(Run, [1, 2])])).

a_member_of_another_cluster_is_left_alone(Config) ->
    Run = run(Config),
    [One, Two, Three, Four] = ram_peers:nodes(Run),
    ok = call(Run, 1, start_cluster, [[One, Two]]),
    ok = call(Run, 1, put, [k, v]),
    ?assertEqual({error, {already_clustered, [Two]}},
                 call(Run, 3, start_cluster, [[Two, Three, Four]])),
    ?assertEqual(noproc, raised(Run, 3, get, [k])),
    ok = call(Run, 3, start_cluster, [[Three, Four]]),
    ?assertEqual({error, {already_clustered, [Three, Four]}}, call(Run, 1, add_node, [Three])),
    ?assertEqual({error, {already_clustered, [One, Two, Three, Four]}},
                 call(Run, 1, start_cluster, [ram_peers:nodes(Run)])),
    ?assertEqual([One, Two], call(Run, 2, nodes, [])),
    ?assertEqual([Three, Four], call(Run, 4, nodes, [])),
    ?assertEqual(v, call(Run, 2, get, [k])),
    ?assertEqual(error, call(Run, 3, fetch, [k])).

of_two_different_clusters_at_once_no_node_is_in_both(Config) ->
    Run = run(Config),
    Lists = [ram_peers:nodes(Run, [1, 2, 3]), ram_peers:nodes(Run, [2, 3, 4])],
    Self = self(),
    Start = fun({I, Nodes}) -> Self ! {started, call(Run, I, start_cluster, [Nodes])} end,
    [spawn_link(fun() -> Start(Each) end) || Each <- lists:zip([1, 4], Lists)],
    Results = [receive {started, Result} -> Result end || _ <- Lists],
    ct:pal("~p", [Results]),
    ?assert(length([ok || ok <- Results]) =< 1),
    %% Whatever came of it: the nodes agree on it, and those left over are free.
    Views = [{I, call(Run, I, nodes, [])}
             || I <- [1, 2, 3, 4], raised(Run, I, nodes, []) =/= noproc],
    [?assert(lists:member(ram_peers:node(Run, I), View)) || {I, View} <- Views],
    ?assert(length(lists:usort([View || {_, View} <- Views])) =< 1),
    [?assertEqual(length([ok || ok <- Results]), length(lists:usort([V || {_, V} <- Views])))].

stop_cluster_deletes_the_data(Config) ->
    Run = started(Config),
    ok = call(Run, 1, put, [k, v]),
    ?assertEqual(ok, call(Run, 2, stop_cluster, [ram_peers:nodes(Run)])),
    [begin
         ?assertEqual(noproc, raised(Run, I, get, [k])),
         ?assertNot(filelib:is_dir(ram_peers:data_dir(Run, I)))
     end || I <- [1, 2, 3]],
    ok = call(Run, 1, start_cluster, [ram_peers:nodes(Run)]),
    ?assertEqual(error, call(Run, 1, fetch, [k])).

unknown_and_wrong_settings_are_named(Config) ->
    Run = run(Config),
    Wrong = [{no_such_key, 1}, {storage, tape}, {listen, 80}, {listen, {"host", 70000}},
             {advertise, {"host", 0}}, {call_timeout_ms, 0}, {call_timeout_ms, infinity},
             {election_timeout_ms, {100, 50}}, {election_timeout_ms, {100, 150}},
             {election_timeout_ms, {120, 159}}, {call_timeout_ms, 399}, {heartbeat_ms, 4},
             {heartbeat_ms, fast}, {snapshot_every, -1}, {release_cursor_count, none},
             {value_bytes_max, big}, {reads, sometimes}, {data_dir, 7}],
    [begin
         ok = ram_peers:call(Run, 1, application, set_env, [ram, Key, Value]),
         Named = case Key of release_cursor_count -> snapshot_every; _ -> Key end,
         ?assertMatch({{Key, Value}, {ram, {{bad_config, Named, _}, _}}},
                      {{Key, Value}, raised(Run, 1, start, [])}),
         ok = ram_peers:call(Run, 1, application, unset_env, [ram, Key])
     end || {Key, Value} <- Wrong],
    ok = ram_peers:call(Run, 1, application, set_env,
                        [ram, data_dir, ram_peers:data_dir(Run, 1)]),
    ok = call(Run, 1, start, []).

a_cluster_grows_to_five_and_shrinks_to_one(Config) ->
    Run = run(Config),
    ok = call(Run, 1, start_cluster, [ram_peers:nodes(Run, [1])]),
    lists:foreach(fun(I) ->
                          ok = call(Run, 1, put, [{before, I}, I]),
                          ?assertEqual(ok, call(Run, I - 1, add_node, [ram_peers:node(Run, I)])),
                          ram_peers:all_agree(Run, lists:seq(1, I)),
                          ?assertEqual(I, call(Run, I, get, [{before, I}]))
                  end, [2, 3, 4, 5]),
    lists:foreach(fun(I) ->
                          ?assertEqual(ok, call(Run, 5, remove_node, [ram_peers:node(Run, I)])),
                          ram_peers:all_agree(Run, lists:seq(I + 1, 5)),
                          ?assertEqual(noproc, raised(Run, I, get, [{before, 2}])),
                          ?assertEqual(2, call(Run, 5, get, [{before, 2}]))
                  end, [1, 2, 3, 4]),
    ok = call(Run, 5, put, [alone, true]),
    ?assertEqual(true, call(Run, 5, get, [alone])).

the_leader_can_be_removed_also_by_itself(Config) ->
    Run = started(Config),
    ok = call(Run, 1, put, [k, v]),
    Leader = ram_peers:leader(Run, 1),
    ?assertEqual(ok, call(Run, Leader, remove_node, [ram_peers:node(Run, Leader)])),
    ?assertEqual(noproc, raised(Run, Leader, get, [k])),
    Left = [1, 2, 3] -- [Leader],
    ram_peers:all_agree(Run, Left),
    [?assertEqual(v, call(Run, I, get, [k])) || I <- Left],
    Next = ram_peers:leader(Run, hd(Left)),
    [Last] = Left -- [Next],
    ?assertEqual(ok, call(Run, Last, remove_node, [ram_peers:node(Run, Next)])),
    ?assertEqual(v, call(Run, Last, get, [k])).

a_removed_node_raises_noproc_and_can_be_added_again(Config) ->
    Run = started(Config),
    Node = ram_peers:node(Run, 3),
    lists:foreach(fun(Round) ->
                          ok = call(Run, 1, remove_node, [Node]),
                          ?assertEqual(noproc, raised(Run, 3, fetch, [k])),
                          ?assertEqual(noproc, raised(Run, 3, put, [k, v])),
                          ok = call(Run, 1, put, [round, Round]),
                          ?assertEqual(ok, call(Run, 2, add_node, [Node])),
                          ?assertEqual(Round, call(Run, 3, get, [round])),
                          ram_peers:all_agree(Run, [1, 2, 3])
                  end, [1, 2, 3]).

a_node_removed_while_it_was_down_learns_it_when_it_comes_back(Config) ->
    Run = started(Config),
    ok = ram_peers:kill(Run, 3),
    ?assertEqual(ok, call(Run, 1, remove_node, [ram_peers:node(Run, 3)])),
    Node = ram_peers:restart(Run, 3),
    ram_peers:eventually(fun() -> raised(Run, 3, get, [k]) =:= noproc end),
    Member = filename:join(ram_peers:data_dir(Run, 3), "member"),
    ram_peers:eventually(fun() -> not filelib:is_file(Member) end),
    ram_peers:all_agree(Run, [1, 2]),
    ?assertEqual(ok, call(Run, 1, add_node, [Node])),
    ram_peers:all_agree(Run, [1, 2, 3]).

unknown_and_last_members_cannot_be_removed(Config) ->
    Run = run(Config),
    One = ram_peers:node(Run, 1),
    ok = call(Run, 1, start_cluster, [[One]]),
    ?assertEqual({error, {not_member, unknown@nowhere}},
                 call(Run, 1, remove_node, [unknown@nowhere])),
    ?assertEqual({error, {last_member, One}}, call(Run, 1, remove_node, [One])),
    ?assertEqual({error, {unreachable, [unknown@nowhere]}},
                 call(Run, 1, add_node, [unknown@nowhere])),
    ok = call(Run, 1, put, [k, v]),
    ?assertEqual(v, call(Run, 1, get, [k])).

a_dead_node_is_replaced_by_another(Config) ->
    Run = run(Config),
    ok = call(Run, 1, start_cluster, [ram_peers:nodes(Run, [1, 2, 3])]),
    ok = call(Run, 1, put, [k, v]),
    [Dead, New] = [ram_peers:node(Run, I) || I <- [3, 4]],
    ok = ram_peers:kill(Run, 3),
    ?assertEqual({error, {not_member, New}}, call(Run, 1, replace_node, [New, Dead])),
    ?assertEqual(ok, call(Run, 1, replace_node, [Dead, New])),
    ram_peers:all_agree(Run, [1, 2, 4]),
    ?assertEqual(v, call(Run, 4, get, [k])).
