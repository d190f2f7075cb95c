%% Clusters made, changed, stopped, cut and healed; each case on nodes of its own.
-module(ram_cluster_SUITE).

-include_lib("stdlib/include/assert.hrl").

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
         a_node_that_lost_its_data_is_added_as_a_new_member/1,
         a_cluster_in_memory_has_no_file_and_takes_back_who_restarted/1,
         when_a_majority_lost_its_memory_the_cluster_says_so/1,
         storage_is_the_same_on_all_members/1,
         a_survivor_of_a_lost_majority_makes_a_new_cluster_by_force/1,
         a_dead_node_is_replaced_by_another/1,
         a_member_whose_disk_is_full_stops_and_comes_back_with_everything/1,
         a_member_that_was_stopped_serves_again/1,
         a_cluster_restarted_as_a_whole_keeps_its_data/1,
         a_member_keeps_its_port_and_is_found_on_another_one/1,
         a_killed_leader_costs_time_but_no_value_and_no_error/1,
         a_frozen_leader_is_replaced_and_follows_when_it_wakes/1,
         a_leader_that_stops_hands_its_lead_over/1,
         a_minority_times_out_the_majority_goes_on_and_all_agree_after_healing/1,
         a_one_way_cut_does_not_stop_the_cluster/1,
         a_follower_that_fell_behind_the_log_is_given_a_snapshot/1,
         fifty_starts_and_stops_leave_no_thread_and_no_memory/1]).

suite() ->
    [{timetrap, {minutes, 3}}].

all() ->
    [Case || {Case, 1} <- ?MODULE:module_info(exports), Case =/= module_info].

init_per_testcase(Case, Config) ->
    Run = ram_peers:start(count(Case), proplists:get_value(priv_dir, Config), settings(Case)),
    [{run, Run} | Config].

count(a_cluster_grows_to_five_and_shrinks_to_one) -> 5;
count(a_survivor_of_a_lost_majority_makes_a_new_cluster_by_force) -> 5;
count(a_dead_node_is_replaced_by_another) -> 4;
count(of_two_different_clusters_at_once_no_node_is_in_both) -> 4;
count(a_member_of_another_cluster_is_left_alone) -> 4;
count(fifty_starts_and_stops_leave_no_thread_and_no_memory) -> 1;
count(unknown_and_wrong_settings_are_named) -> 1;
count(_) -> 3.

settings(a_follower_that_fell_behind_the_log_is_given_a_snapshot) -> [{snapshot_every, 200}];
settings(when_a_majority_lost_its_memory_the_cluster_says_so) -> [{call_timeout_ms, 1000}];
settings(_) -> [].

end_per_testcase(_Case, Config) ->
    ram_peers:stop(run(Config)).

run(Config) -> proplists:get_value(run, Config).

call(Run, I, Function, Arguments) -> ram_peers:call(Run, I, Function, Arguments).

raised(Run, I, Function, Arguments) -> ram_peers:raised(Run, I, ram, Function, Arguments).

started(Config) ->
    Run = run(Config),
    ok = call(Run, 1, start_cluster, [ram_peers:nodes(Run)]),
    Run.

before_a_cluster_is_started_requests_raise_noproc(Config) ->
    Run = run(Config),
    Requests = [{get, [k]}, {fetch, [k]}, {put, [k, v]}, {delete, [k]},
                {update, [k, v, fun erlang:'-'/1]}, {nodes, []}, {leader, []}, {status, []},
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
                 call(Run, 1, start_cluster, [[Absent | ram_peers:nodes(Run)]])),
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
    ram_peers:eventually(fun() -> not filelib:is_dir(ram_peers:data_dir(Run, 3)) end),
    ram_peers:all_agree(Run, [1, 2]),
    ?assertEqual(ok, call(Run, 1, add_node, [Node])),
    ram_peers:all_agree(Run, [1, 2, 3]).

unknown_and_last_members_cannot_be_removed(Config) ->
    Run = run(Config),
    One = ram_peers:node(Run, 1),
    ok = call(Run, 1, start_cluster, [[One]]),
    ?assertEqual({error, {not_member, stranger@nowhere}},
                 call(Run, 1, remove_node, [stranger@nowhere])),
    ?assertEqual({error, {last_member, One}}, call(Run, 1, remove_node, [One])),
    ?assertEqual({error, {unreachable, [stranger@nowhere]}},
                 call(Run, 1, add_node, [stranger@nowhere])),
    ok = call(Run, 1, put, [k, v]),
    ?assertEqual(v, call(Run, 1, get, [k])).

a_node_that_lost_its_data_is_added_as_a_new_member(Config) ->
    Run = started(Config),
    #{id := Before} = call(Run, 3, status, []),
    ok = call(Run, 1, put, [k, v]),
    ok = ram_peers:kill(Run, 3),
    ok = file:del_dir_r(ram_peers:data_dir(Run, 3)),
    Node = ram_peers:restart(Run, 3),
    ?assertEqual(noproc, raised(Run, 3, get, [k])),
    ?assertEqual(ok, call(Run, 1, add_node, [Node])),
    ?assertEqual(v, call(Run, 3, get, [k])),
    #{id := After, members := Members} = call(Run, 3, status, []),
    ?assertNotEqual(Before, After),
    ?assertEqual(3, length(Members)),
    ram_peers:all_agree(Run, [1, 2, 3]).

a_cluster_in_memory_has_no_file_and_takes_back_who_restarted(Config) ->
    Run = run(Config),
    Nodes = ram_peers:nodes(Run),
    ok = call(Run, 1, start_cluster, [Nodes, #{storage => memory}]),
    [ok = call(Run, 1, put, [{k, N}, N]) || N <- lists:seq(1, 200)],
    lists:foreach(fun(I) ->
                          #{id := Before} = call(Run, I, status, []),
                          ok = ram_peers:kill(Run, I),
                          ram_peers:restart(Run, I),
                          ?assertEqual(noproc, raised(Run, I, get, [{k, 1}])),
                          %% As an application would call it at each start.
                          ?assertEqual(ok, call(Run, I, start_cluster, [Nodes])),
                          ?assertMatch(#{id := After} when After =/= Before,
                                       call(Run, I, status, [])),
                          [?assertEqual(N, call(Run, I, get, [{k, N}])) || N <- [1, 100, 200]],
                          ram_peers:all_agree(Run, [1, 2, 3])
                  end, [1, 2, 3]),
    [?assertNot(filelib:is_file(ram_peers:data_dir(Run, I))) || I <- [1, 2, 3]].

when_a_majority_lost_its_memory_the_cluster_says_so(Config) ->
    Run = run(Config),
    Nodes = ram_peers:nodes(Run),
    ok = call(Run, 1, start_cluster, [Nodes, #{storage => memory}]),
    ok = call(Run, 1, put, [k, v]),
    [ok = ram_peers:kill(Run, I) || I <- [2, 3]],
    [ram_peers:restart(Run, I) || I <- [2, 3]],
    Lost = ram_peers:nodes(Run, [2, 3]),
    [?assertEqual({error, {majority_lost, Lost}}, call(Run, I, start_cluster, [Nodes]))
     || I <- [1, 2, 3]],
    One = ram_peers:node(Run, 1),
    ?assertEqual({timeout, {ram, One}}, raised(Run, 1, get, [k])),
    ?assertEqual(noproc, raised(Run, 2, get, [k])).

storage_is_the_same_on_all_members(Config) ->
    Run = run(Config),
    [One, Two, Three] = ram_peers:nodes(Run),
    ok = ram_peers:call(Run, 2, application, set_env, [ram, storage, disk]),
    ?assertEqual({error, {storage_mismatch, Two, disk, memory}},
                 call(Run, 1, start_cluster, [[One, Two], #{storage => memory}])),
    ?assertEqual(noproc, raised(Run, 1, get, [k])),
    ok = call(Run, 1, start_cluster, [[One], #{storage => memory}]),
    ?assertEqual({error, {storage_mismatch, Two, disk, memory}}, call(Run, 1, add_node, [Two])),
    ?assertEqual(ok, call(Run, 1, add_node, [Three])),
    ?assertNot(filelib:is_file(ram_peers:data_dir(Run, 3))).

a_survivor_of_a_lost_majority_makes_a_new_cluster_by_force(Config) ->
    Run = started(Config),
    [ok = call(Run, 1, put, [{k, N}, N]) || N <- lists:seq(1, 100)],
    %% One of the two survivors has missed a part.
    ok = ram_peers:halt(Run, 2),
    [ok = call(Run, 1, put, [{k, N}, N]) || N <- lists:seq(101, 200)],
    Survivors = ram_peers:nodes(Run, [1]) ++ [ram_peers:node(Run, 2)],
    #{cluster := Cluster} = call(Run, 1, status, []),
    [ok = ram_peers:kill(Run, I) || I <- [3, 4, 5]],
    ram_peers:restart(Run, 2),
    Recover = fun(Id) ->
                      Options = #{survivors => Survivors, confirm => Id},
                      call(Run, 2, force_recover, [Options])
              end,
    ?assertMatch({error, {failed, _, {belongs_to, Cluster}}}, Recover(<<0:128>>)),
    ?assertMatch(#{cluster := Cluster}, call(Run, 1, status, [])),
    One = ram_peers:node(Run, 1),
    {ok, #{kept := Kept, cluster := New}} = Recover(Cluster),
    ?assertEqual(One, Kept),
    ?assertNotEqual(Cluster, New),
    ram_peers:all_agree(Run, [1, 2]),
    [?assertEqual(N, call(Run, 2, get, [{k, N}])) || N <- lists:seq(1, 200)],
    ok = call(Run, 2, put, [on, we_go]),
    %% Those who were given up come back to a cluster that is not theirs any more.
    [ram_peers:restart(Run, I) || I <- [3, 4]],
    ?assertMatch({timeout, _}, raised(Run, 3, put, [k, stale])),
    ?assertEqual(we_go, call(Run, 1, get, [on])),
    ram_peers:all_agree(Run, [1, 2]).

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

%% The limit on the size of a file stands for a full disk: writes fail with an error of the system.
a_member_whose_disk_is_full_stops_and_comes_back_with_everything(Config) ->
    Run = started(Config),
    ok = ram_peers:file_limit(Run, 3, 1 bsl 20),
    Value = binary:copy(<<"v">>, 10000),
    Failed = fun() ->
                     #{role := Role} = call(Run, 3, status, []),
                     Role =:= down
             end,
    Put = fun(N) -> ok = call(Run, 1, put, [{k, N}, {N, Value}]) end,
    Last = put_until(Failed, Put, 1),
    #{failure := {failed, Text}} = call(Run, 3, status, []),
    ct:pal("~ts", [Text]),
    ?assertMatch({match, _}, re:run(Text, "log-.*seg|File too large", [caseless])),
    ?assertEqual(noproc, raised(Run, 3, get, [{k, 1}])),
    %% The virtual machine and the cluster go on.
    lists:foreach(Put, lists:seq(Last + 1, Last + 10)),
    ok = ram_peers:file_limit(Run, 3, unlimited),
    ?assertEqual(ok, call(Run, 3, restart_server, [])),
    [?assertEqual({N, Value}, call(Run, 3, get, [{k, N}])) || N <- lists:seq(1, Last + 10)],
    ok = call(Run, 3, put, [k, v]).

put_until(Condition, Put, N) ->
    ok = Put(N),
    case N rem 20 =:= 0 andalso Condition() of
        true -> N;
        false when N < 5000 -> put_until(Condition, Put, N + 1)
    end.

a_member_that_was_stopped_serves_again(Config) ->
    Run = started(Config),
    ok = call(Run, 1, put, [k, 1]),
    ?assertEqual(ok, call(Run, 3, stop, [])),
    ?assertEqual(noproc, raised(Run, 3, get, [k])),
    ok = call(Run, 1, put, [k, 2]),
    ?assertEqual(ok, call(Run, 3, start, [])),
    ?assertEqual(2, call(Run, 3, get, [k])),
    ?assertEqual(ok, call(Run, 3, restart_server, [])),
    %% add_node of a member that is down starts it.
    ok = call(Run, 3, stop, []),
    ?assertEqual(ok, call(Run, 1, add_node, [ram_peers:node(Run, 3)])),
    ?assertEqual(2, call(Run, 3, get, [k])),
    %% restart_server too.
    ok = call(Run, 2, stop, []),
    ?assertEqual(ok, call(Run, 2, restart_server, [])),
    ?assertEqual(2, call(Run, 2, get, [k])),
    ram_peers:all_agree(Run, [1, 2, 3]).

a_cluster_restarted_as_a_whole_keeps_its_data(Config) ->
    Run = started(Config),
    [ok = call(Run, 1 + N rem 3, put, [{k, N}, N]) || N <- lists:seq(1, 500)],
    ok = call(Run, 1, delete, [{k, 1}]),
    ok = call(Run, 1, update, [{k, 2}, 0, fun erlang:'-'/1]),
    %% Once by kill -9 of all, once in good order.
    lists:foreach(fun(End) ->
                          [ok = ram_peers:End(Run, I) || I <- [1, 2, 3]],
                          [ram_peers:restart(Run, I) || I <- [3, 1, 2]],
                          ?assertEqual(error, call(Run, 1, fetch, [{k, 1}])),
                          ?assertEqual(-2, call(Run, 2, get, [{k, 2}])),
                          [?assertEqual(N, call(Run, 3, get, [{k, N}])) || N <- lists:seq(3, 500)],
                          ?assertEqual(ok, call(Run, 2, restart_server, [])),
                          ok = call(Run, 1, put, [ended_by, End])
                  end, [kill, halt]),
    ram_peers:all_agree(Run, [1, 2, 3]).

a_member_keeps_its_port_and_is_found_on_another_one(Config) ->
    Run = run(Config),
    %% Without the wires between: each listens on any port of its own address.
    Unwire = fun(I) ->
                     ok = ram_peers:call(Run, I, application, unset_env, [ram, listen]),
                     ok = ram_peers:call(Run, I, application, unset_env, [ram, advertise])
             end,
    [Unwire(I) || I <- [1, 2, 3]],
    ok = call(Run, 1, start_cluster, [ram_peers:nodes(Run)]),
    #{address := Address} = call(Run, 3, status, []),
    ok = call(Run, 3, stop, []),
    ok = call(Run, 3, start, []),
    ?assertMatch(#{address := Address}, call(Run, 3, status, [])),
    ok = call(Run, 3, stop, []),
    %% Somebody else has taken the port.
    [Host, Port] = string:split(binary_to_list(Address), ":"),
    {ok, Ip} = inet:parse_address(Host),
    {ok, Taken} = gen_tcp:listen(list_to_integer(Port), [{ip, Ip}, {reuseaddr, true}]),
    ok = call(Run, 3, start, []),
    #{address := Other} = call(Run, 3, status, []),
    ?assertNotEqual(Address, Other),
    ok = call(Run, 1, put, [k, v]),
    ?assertEqual(v, call(Run, 3, get, [k])),
    gen_tcp:close(Taken).

a_killed_leader_costs_time_but_no_value_and_no_error(Config) ->
    Run = started(Config),
    Leader = ram_peers:leader(Run, 1),
    Survivors = [1, 2, 3] -- [Leader],
    Self = self(),
    [spawn_link(fun() ->
                        Self ! {written, ram_peers:call(Run, I, ram_load, write_on,
                                                        [{I, N}, [killed, 4000]])}
                end) || I <- Survivors, N <- [1, 2, 3]],
    receive after 1000 -> ok end,
    ok = ram_peers:kill(Run, Leader),
    Written = [receive {written, W} -> W end || _ <- Survivors, _ <- [1, 2, 3]],
    %% Nobody had to give up, and every acknowledged value is there on both.
    [begin
         ?assertEqual(lists:seq(1, length(Acknowledged)), Acknowledged),
         [?assertEqual(N, call(Run, I, get, [{killed, Number, N}]))
          || N <- Acknowledged, I <- Survivors]
     end || {Number, Acknowledged} <- Written].

a_frozen_leader_is_replaced_and_follows_when_it_wakes(Config) ->
    Run = started(Config),
    ok = call(Run, 1, put, [k, before]),
    Leader = ram_peers:leader(Run, 1),
    [Other, Another] = [1, 2, 3] -- [Leader],
    ok = ram_peers:suspend(Run, Leader),
    ok = call(Run, Other, put, [k, meanwhile]),
    ?assertEqual(meanwhile, call(Run, Another, get, [k])),
    ok = ram_peers:resume(Run, Leader),
    ?assertEqual(meanwhile, call(Run, Leader, get, [k])),
    ok = call(Run, Leader, put, [k, awake]),
    ?assertEqual(awake, call(Run, Other, get, [k])).

a_leader_that_stops_hands_its_lead_over(Config) ->
    Run = started(Config),
    lists:foreach(fun(_) ->
                          Leader = ram_peers:leader(Run, 1),
                          #{term := Term} = call(Run, Leader, status, []),
                          ok = call(Run, Leader, stop, []),
                          [Other | _] = Others = [1, 2, 3] -- [Leader],
                          %% When stop returns another one leads already: nobody waited for an
                          %% election timeout.
                          Heirs = [H || #{role := leader, term := T} = H
                                            <- [call(Run, I, status, []) || I <- Others],
                                        T =:= Term + 1],
                          ?assertMatch([_], Heirs),
                          ok = call(Run, Other, put, [k, v]),
                          ok = call(Run, Leader, start, []),
                          ?assertEqual(v, call(Run, Leader, get, [k]))
                  end, [1, 2, 3]).

a_minority_times_out_the_majority_goes_on_and_all_agree_after_healing(Config) ->
    Run = started(Config),
    [ok = ram_peers:call(Run, I, application, set_env, [ram, call_timeout_ms, 1500])
     || I <- [1, 2, 3]],
    ok = call(Run, 1, put, [k, before]),
    lists:foreach(fun(Cut) ->
                          Alone = case Cut of
                                      leader -> ram_peers:leader(Run, 1);
                                      follower -> hd([1, 2, 3] -- [ram_peers:leader(Run, 1)])
                                  end,
                          split(Run, Alone, Cut)
                  end, [leader, follower]).

%% Erlang distribution stays up all the while: only the wires of ram are cut.
split(Run, Alone, Value) ->
    [One, Two] = Majority = [1, 2, 3] -- [Alone],
    Links = ram_peers:links(Run),
    AloneNode = ram_peers:node(Run, Alone),
    ok = ram_links:cut_both(Links, [Alone], Majority),
    ?assertEqual({timeout, {ram, AloneNode}}, raised(Run, Alone, put, [lonely, Value])),
    ?assertEqual({timeout, {ram, AloneNode}}, raised(Run, Alone, get, [k])),
    ok = call(Run, One, put, [k, Value]),
    ?assertEqual(Value, call(Run, Two, get, [k])),
    Connected = ram_peers:call(Run, One, erlang, nodes, []),
    ?assert(lists:member(ram_peers:node(Run, Alone), Connected)),
    ok = ram_links:heal(Links),
    ?assertEqual(ok, eventually_ok(Run, Alone, put, [healed, Value])),
    [begin
         ?assertEqual(Value, call(Run, I, get, [k])),
         ?assertEqual(Value, call(Run, I, get, [healed]))
     end || I <- [1, 2, 3]],
    %% The lonely put is there for all or for none.
    ?assertMatch([_], lists:usort([call(Run, I, fetch, [lonely]) || I <- [1, 2, 3]])).

%% The first call after healing may still fall into the back-off of a connection.
eventually_ok(Run, I, Function, Arguments) ->
    ram_peers:eventually(fun() -> call(Run, I, Function, Arguments) =:= ok end).

a_one_way_cut_does_not_stop_the_cluster(Config) ->
    Run = started(Config),
    Leader = ram_peers:leader(Run, 1),
    [Deaf, Other] = [1, 2, 3] -- [Leader],
    ok = ram_links:cut(ram_peers:links(Run), Leader, Deaf),
    [ok = call(Run, Other, put, [one_way, N]) || N <- lists:seq(1, 20)],
    ?assertEqual(20, call(Run, Other, get, [one_way])),
    ok = ram_links:heal(ram_peers:links(Run)),
    ram_peers:eventually(fun() -> call(Run, Deaf, get, [one_way]) =:= 20 end),
    ok = call(Run, Deaf, put, [one_way, 21]),
    ?assertEqual(21, call(Run, Leader, get, [one_way])).

a_follower_that_fell_behind_the_log_is_given_a_snapshot(Config) ->
    Run = started(Config),
    Follower = hd([1, 2, 3] -- [ram_peers:leader(Run, 1)]),
    [One | _] = [1, 2, 3] -- [Follower],
    ok = ram_peers:halt(Run, Follower),
    Put = fun(N) -> ok = call(Run, One, put, [{k, N rem 50}, {N, binary:copy(<<N>>, 100)}]) end,
    ok = call(Run, One, put, [stays, here]),
    lists:foreach(Put, lists:seq(1, 1500)),
    ram_peers:eventually(fun() ->
                                 #{snapshot_index := Index} = call(Run, One, status, []),
                                 Index > 500
                         end),
    ram_peers:restart(Run, Follower),
    ?assertEqual(here, call(Run, Follower, get, [stays])),
    [?assertEqual(call(Run, One, get, [{k, K}]), call(Run, Follower, get, [{k, K}]))
     || K <- lists:seq(0, 49)],
    ?assertMatch(#{snapshot_index := Index, applied_groups := Groups}
                   when Index > 0 andalso Groups < 1500, call(Run, Follower, status, [])),
    %% And it starts again from the snapshot it was given.
    ok = ram_peers:kill(Run, Follower),
    ram_peers:restart(Run, Follower),
    ?assertEqual(here, call(Run, Follower, get, [stays])).

fifty_starts_and_stops_leave_no_thread_and_no_memory(Config) ->
    Run = run(Config),
    ok = call(Run, 1, start_cluster, [ram_peers:nodes(Run)]),
    ok = call(Run, 1, put, [k, v]),
    %% The first rounds fill caches of the VM.
    _ = ram_peers:call(Run, 1, ram_load, rounds, [10]),
    Threads = ram_peers:call(Run, 1, ram_load, threads, []),
    Resident = ram_peers:call(Run, 1, ram_load, rounds, [50]),
    ?assertEqual(Threads, ram_peers:call(Run, 1, ram_load, threads, [])),
    Growth = lists:last(Resident) - hd(Resident),
    ct:pal("resident bytes after the first round ~b, growth over 50 rounds ~b",
           [hd(Resident), Growth]),
    ?assert(Growth < 4 bsl 20),
    ?assertEqual(v, call(Run, 1, get, [k])).
