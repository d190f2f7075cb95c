%% start_cluster as an application calls it at every start, on every node, in any order, with lists
%% that are older than the cluster; what it waits for, and what it says within ten seconds when that
%% will not come.
-module(ram_boot_SUITE).

-include_lib("stdlib/include/assert.hrl").
-import(ram_case, [run/1]).
-import(ram_peers, [call/4, raised/4]).

-export([all/0, suite/0, init_per_testcase/2, end_per_testcase/2]).
-export([nodes_that_start_seconds_apart_and_each_ask_for_all_end_with_one_cluster/1,
         a_node_that_boots_is_left_alone_until_its_settings_are_there/1,
         a_node_that_does_not_come_is_waited_for_as_long_as_asked_and_told_of/1,
         a_member_that_serves_answers_ok_while_another_is_down/1,
         a_member_answers_ok_to_a_list_that_is_older_than_an_addition/1,
         a_member_answers_ok_to_a_list_with_a_node_that_was_removed_and_does_not_add_it/1,
         a_node_that_was_removed_while_it_was_down_is_told_who_has_the_cluster/1,
         a_node_that_lost_its_data_waits_for_the_cluster_and_is_made_a_member_anew/1,
         members_that_boot_one_after_the_other_wait_for_their_majority/1,
         a_node_of_another_cluster_is_told_from_one_that_has_none/1,
         asking_a_cluster_on_disk_for_memory_is_refused/1,
         members_that_cannot_reach_each_other_fail_within_ten_seconds_and_leave_nothing/1,
         a_link_between_two_of_three_that_is_cut_is_named_and_nothing_is_left/1,
         a_cluster_that_cannot_elect_a_leader_is_undone/1,
         a_member_with_another_cookie_is_named_and_nothing_is_left/1,
         a_node_that_refuses_distribution_is_named_with_its_address/1,
         a_node_that_does_not_reach_a_member_is_not_added/1,
         status_says_why_there_is_no_member_and_where_the_data_are/1]).

suite() ->
    [{timetrap, {minutes, 3}}].

all() ->
    ram_case:all(?MODULE).

init_per_testcase(Case, Config) ->
    ram_case:start(Config, count(Case)).

count(a_node_of_another_cluster_is_told_from_one_that_has_none) -> 4;
count(_) -> 3.

end_per_testcase(_Case, Config) ->
    ram_case:stop(Config).

started(Config) -> ram_case:started(Config, 3, {k, v}).

%% As one call of an application's start.
booting(Run, I, Nodes) ->
    spawn_monitor(fun() -> exit({result, call(Run, I, start_cluster, [Nodes])}) end).

result({Pid, Monitor}) ->
    receive {'DOWN', Monitor, process, Pid, {result, Result}} -> Result;
            {'DOWN', Monitor, process, Pid, Reason} -> error(Reason)
    after 60000 -> error(hangs)
    end.

runs_ram(Run, I) ->
    lists:keymember(ram, 1, ram_peers:call(Run, I, application, which_applications, [])).

is_waiting({Pid, Monitor}) ->
    receive {'DOWN', Monitor, process, Pid, Ended} -> error(Ended)
    after 0 -> true
    end.

nodes_that_start_seconds_apart_and_each_ask_for_all_end_with_one_cluster(Config) ->
    Run = run(Config),
    All = ram_peers:nodes(Run),
    [ok = ram_peers:halt(Run, I) || I <- [1, 2, 3]],
    Booting = [begin
                   _ = ram_peers:start_node(Run, I),
                   Boot = booting(Run, I, All),
                   ram_peers:eventually(fun() -> runs_ram(Run, I) end),
                   Boot
               end || I <- [3, 2]],
    ?assertEqual([true, true], [is_waiting(Boot) || Boot <- Booting]),
    _ = ram_peers:start_node(Run, 1),
    Last = booting(Run, 1, All),
    ?assertEqual([ok, ok, ok], [result(Boot) || Boot <- [Last | Booting]]),
    ram_peers:all_agree(Run, [1, 2, 3]),
    ok = call(Run, 2, put, [k, v]),
    ?assertEqual(v, call(Run, 3, get, [k])).

%% A release of Mix reads runtime.exs while the node boots, and can be reached already.
a_node_that_boots_is_left_alone_until_its_settings_are_there(Config) ->
    Run = run(Config),
    [Here, _, Booting] = All = ram_peers:nodes(Run),
    ok = ram_peers:halt(Run, 3),
    Boot = boot_file(filename:join(ram_peers:folder(Run), "late"), 7777),
    Peer = spawn_link(fun() -> ram_peers:start_node(Run#{args := ["-boot", Boot]}, 3) end),
    Reached = fun() -> ram_peers:call(Run, 1, net_adm, ping, [Booting]) =:= pong end,
    ram_peers:eventually(Reached),
    BootStatus = fun() -> ram_peers:call(Run, 1, erpc, call, [Booting, init, get_status, []]) end,
    ?assertMatch({Here, {_, Status}} when Status =/= started, {Here, BootStatus()}),
    ?assertEqual(ok, call(Run, 1, start_cluster, [All])),
    ram_peers:eventually(fun() -> not is_process_alive(Peer) end),
    ?assertEqual(7777, ram_peers:call(Run, 3, ram_request, timeout_ms, [])).

%% The boot of a plain node, which is given the setting just before it has booted, seconds after the
%% distribution was there.
boot_file(Name, CallTimeoutMs) ->
    {ok, Plain} = file:read_file(filename:join([code:root_dir(), "bin", "start_clean.boot"])),
    {script, Of, Instructions} = binary_to_term(Plain),
    {Before, [Started]} = lists:splitwith(fun(One) -> One =/= {progress, started} end,
                                          Instructions),
    Set = [ram, call_timeout_ms, CallTimeoutMs, [{persistent, true}]],
    Late = [{apply, {timer, sleep, [5000]}}, {apply, {application, set_env, Set}}],
    Script = {script, Of, Before ++ Late ++ [Started]},
    ok = file:write_file(Name ++ ".boot", term_to_binary(Script)),
    Name.

a_node_that_does_not_come_is_waited_for_as_long_as_asked_and_told_of(Config) ->
    Run = run(Config),
    ok = ram_log:keep(Run, 1),
    All = [_, _, Absent] = ram_peers:nodes(Run),
    ok = ram_peers:halt(Run, 3),
    ?assertEqual({error, {unreachable, [Absent]}},
                 call(Run, 1, start_cluster, [All, #{wait_ms => 0}])),
    ?assertEqual([], ram_log:lines(Run, 1, "start_cluster waits")),
    {Us, Result} = timer:tc(fun() -> call(Run, 1, start_cluster, [All, #{wait_ms => 7000}]) end),
    ?assertEqual({error, {unreachable, [Absent]}}, Result),
    ?assert(Us >= 7000000),
    ?assert(Us < 20000000),
    [Line | _] = ram_log:lines(Run, 1, "start_cluster waits"),
    ?assertNotEqual(nomatch, string:find(Line, atom_to_list(Absent))),
    [?assertEqual(noproc, raised(Run, I, nodes, [])) || I <- [1, 2]].

a_member_that_serves_answers_ok_while_another_is_down(Config) ->
    Run = started(Config),
    All = ram_peers:nodes(Run),
    ok = ram_peers:kill(Run, 1),
    ?assertEqual([ok, ok], [call(Run, I, start_cluster, [All]) || I <- [2, 3]]),
    ?assertEqual(v, call(Run, 3, get, [k])),
    _ = ram_peers:start_node(Run, 1),
    ?assertEqual(ok, call(Run, 1, start_cluster, [All])),
    ?assertEqual(v, call(Run, 1, get, [k])).

a_member_answers_ok_to_a_list_that_is_older_than_an_addition(Config) ->
    Run = run(Config),
    [One, Two, Three] = ram_peers:nodes(Run),
    ok = call(Run, 1, start_cluster, [[One, Two]]),
    ok = call(Run, 1, add_node, [Three]),
    ?assertEqual([ok, ok, ok], [call(Run, I, start_cluster, [[One, Two]]) || I <- [1, 2, 3]]),
    [ok = call(Run, I, stop, []) || I <- [1, 2, 3]],
    ?assertEqual([ok, ok], [call(Run, I, start_cluster, [[One, Two]]) || I <- [1, 2]]),
    ?assertEqual(ok, call(Run, 3, start_cluster, [[One, Three]])),
    ram_peers:all_agree(Run, [1, 2, 3]).

a_member_answers_ok_to_a_list_with_a_node_that_was_removed_and_does_not_add_it(Config) ->
    Run = started(Config),
    All = [One, Two, Three] = ram_peers:nodes(Run),
    ok = ram_log:keep(Run, 1),
    ok = call(Run, 1, remove_node, [Three]),
    ?assertEqual([ok, ok], [call(Run, I, start_cluster, [All]) || I <- [1, 2]]),
    ?assertMatch([_ | _], ram_log:lines(Run, 1, atom_to_list(Three))),
    %% It is no member, and is not made one because it asks.
    ?assertEqual({error, {already_clustered, [One, Two]}}, call(Run, 3, start_cluster, [All])),
    ?assertEqual(noproc, raised(Run, 3, get, [k])),
    ram_peers:all_agree(Run, [1, 2]),
    ok = ram_peers:kill(Run, 3),
    ?assertEqual([ok, ok], [call(Run, I, start_cluster, [All]) || I <- [1, 2]]).

a_node_that_was_removed_while_it_was_down_is_told_who_has_the_cluster(Config) ->
    Run = started(Config),
    All = [One, Two, Three] = ram_peers:nodes(Run),
    ok = ram_peers:kill(Run, 3),
    ok = call(Run, 1, remove_node, [Three]),
    _ = ram_peers:start_node(Run, 3),
    ?assertEqual({error, {already_clustered, [One, Two]}}, call(Run, 3, start_cluster, [All])),
    ?assertEqual(ok, call(Run, 1, add_node, [Three])),
    ?assertEqual(ok, call(Run, 3, start_cluster, [All])).

a_node_that_lost_its_data_waits_for_the_cluster_and_is_made_a_member_anew(Config) ->
    Run = started(Config),
    All = ram_peers:nodes(Run),
    [ok = ram_peers:kill(Run, I) || I <- [1, 2, 3]],
    ok = file:del_dir_r(ram_peers:data_dir(Run, 1)),
    _ = ram_peers:start_node(Run, 1),
    Boot = booting(Run, 1, All),
    _ = ram_peers:restart(Run, 2),
    Second = booting(Run, 2, All),
    ram_peers:eventually(fun() -> runs_ram(Run, 1) end),
    ?assertMatch(#{role := Role} when Role =/= leader, call(Run, 2, status, [])),
    %% One of three with its data is no majority, and the third may have more.
    ?assert(is_waiting(Boot)),
    ?assert(is_waiting(Second)),
    _ = ram_peers:restart(Run, 3),
    ?assertEqual(ok, result(Boot)),
    ?assertEqual(ok, result(Second)),
    ram_peers:all_agree(Run, [1, 2, 3]),
    ?assertEqual(v, call(Run, 1, get, [k])).

members_that_boot_one_after_the_other_wait_for_their_majority(Config) ->
    Run = started(Config),
    All = ram_peers:nodes(Run),
    [ok = ram_peers:kill(Run, I) || I <- [1, 2, 3]],
    _ = ram_peers:start_node(Run, 3),
    Boot = booting(Run, 3, All),
    ram_peers:eventually(fun() -> runs_ram(Run, 3) end),
    ?assert(is_waiting(Boot)),
    _ = ram_peers:start_node(Run, 1),
    ?assertEqual(ok, call(Run, 1, start_cluster, [All])),
    ?assertEqual(ok, result(Boot)),
    ?assertEqual(v, call(Run, 3, get, [k])).

a_node_of_another_cluster_is_told_from_one_that_has_none(Config) ->
    Run = run(Config),
    [One, Two, Three, Four] = ram_peers:nodes(Run),
    ok = call(Run, 1, start_cluster, [[One, Two]]),
    ok = call(Run, 3, start_cluster, [[Three]]),
    ?assertEqual({error, {already_clustered, [One, Three]}},
                 call(Run, 1, start_cluster, [[One, Three]])),
    ?assertEqual({error, {already_clustered, [One, Three]}},
                 call(Run, 3, start_cluster, [[One, Three]])),
    ?assertEqual({error, {already_clustered, [One, Three]}},
                 call(Run, 4, start_cluster, [[One, Three]])),
    ?assertEqual({error, {already_clustered, [Two]}}, call(Run, 4, start_cluster, [[Two, Four]])),
    ?assertEqual(noproc, raised(Run, 4, nodes, [])),
    ?assertEqual([[One, Two], [One, Two], [Three]], [call(Run, I, nodes, []) || I <- [1, 2, 3]]).

asking_a_cluster_on_disk_for_memory_is_refused(Config) ->
    Run = started(Config),
    All = [One | _] = ram_peers:nodes(Run),
    ?assertEqual({error, {storage_mismatch, One, disk, memory}},
                 call(Run, 1, start_cluster, [All, #{storage => memory}])),
    ?assertEqual(ok, call(Run, 1, start_cluster, [All, #{storage => disk}])),
    ?assertMatch(#{storage := disk}, call(Run, 1, status, [])).

members_that_cannot_reach_each_other_fail_within_ten_seconds_and_leave_nothing(Config) ->
    Run = run(Config),
    [ok = ram_peers:tune(Run, A, B, cut) || A <- [1, 2, 3], B <- [1, 2, 3], A =/= B],
    fails(Run, [1, 2, 3], fun(Node) -> lists:member(Node, ram_peers:nodes(Run)) end),
    ok = ram_peers:heal(Run),
    ?assertEqual(ok, call(Run, 2, start_cluster, [ram_peers:nodes(Run)])),
    ram_peers:all_agree(Run, [1, 2, 3]).

%% Packets are dropped, as behind a firewall. A majority would be there, and would lead.
a_link_between_two_of_three_that_is_cut_is_named_and_nothing_is_left(Config) ->
    Run = run(Config),
    ok = ram_peers:tune(Run, 2, 3, held),
    Ends = ram_peers:nodes(Run, [2, 3]),
    fails(Run, [1], fun(Node) -> lists:member(Node, Ends) end),
    ok = ram_peers:heal(Run),
    ?assertEqual(ok, call(Run, 1, start_cluster, [ram_peers:nodes(Run)])).

%% The members reach each other, and votes come later than the next election begins.
a_cluster_that_cannot_elect_a_leader_is_undone(Config) ->
    Run = run(Config),
    [ok = ram_peers:tune(Run, A, B, {slow, 350, 0}) || A <- [1, 2, 3], B <- [1, 2, 3], A =/= B],
    {Us, Result} = timer:tc(fun() -> call(Run, 2, start_cluster, [ram_peers:nodes(Run)]) end),
    ct:pal("after ~b ms: ~p", [Us div 1000, Result]),
    ?assertMatch({error, {timeout, _}}, Result),
    is_as_before(Run),
    ok = ram_peers:heal(Run),
    ?assertEqual(ok, call(Run, 3, start_cluster, [ram_peers:nodes(Run)])).

%% Distribution goes on: the nodes are connected already.
a_member_with_another_cookie_is_named_and_nothing_is_left(Config) ->
    Run = run(Config),
    [pong = ram_peers:call(Run, A, net_adm, ping, [Node])
     || A <- [1, 2], Node <- ram_peers:nodes(Run)],
    true = ram_peers:call(Run, 2, erlang, set_cookie, [another]),
    {not_reached, _, _, Cause} = fails(Run, [1, 3], fun(_) -> true end),
    ?assertNotEqual(nomatch, binary:match(Cause, <<"cookie">>)),
    true = ram_peers:call(Run, 2, erlang, set_cookie, [ram_test]),
    ?assertEqual(ok, call(Run, 1, start_cluster, [ram_peers:nodes(Run)])),
    true = ram_peers:call(Run, 3, erlang, set_cookie, [another]),
    ok = call(Run, 1, remove_node, [ram_peers:node(Run, 3)]),
    {Us, Added} = timer:tc(fun() -> call(Run, 1, add_node, [ram_peers:node(Run, 3)]) end),
    ?assertMatch({error, {not_reached, _, _, _}}, Added),
    within_ten_seconds(Us),
    true = ram_peers:call(Run, 3, erlang, set_cookie, [ram_test]),
    ?assertEqual(ok, call(Run, 1, add_node, [ram_peers:node(Run, 3)])).

a_node_that_refuses_distribution_is_named_with_its_address(Config) ->
    Run = run(Config),
    true = ram_peers:call(Run, 2, erlang, set_cookie, [another]),
    Two = ram_peers:node(Run, 2),
    {not_reached, _, _, Cause} = fails(Run, [1], fun(Node) -> Node =:= Two end),
    ?assertNotEqual(nomatch, binary:match(Cause, <<"cookie">>)).

%% The answer to each caller; every node is as it was.
fails(Run, Callers, IsCulprit) ->
    hd([begin
            {Us, {error, Reason}} =
                timer:tc(fun() -> call(Run, I, start_cluster, [ram_peers:nodes(Run)]) end),
            ct:pal("after ~b ms: ~p", [Us div 1000, Reason]),
            within_ten_seconds(Us),
            {not_reached, Node, Address, Cause} = Reason,
            ?assert(IsCulprit(Node)),
            ?assertMatch([_, _], binary:split(Address, <<":">>)),
            ?assert(byte_size(Cause) > 0),
            is_as_before(Run),
            Reason
        end || I <- Callers]).

within_ten_seconds(Us) ->
    ram_figure:at_most("who is not reached is named", Us div 1000, 10000, "ms").

is_as_before(Run) ->
    [begin
         ?assertEqual(noproc, raised(Run, I, nodes, [])),
         ?assertEqual(noproc, raised(Run, I, put, [k, v])),
         ?assertNot(filelib:is_dir(ram_peers:data_dir(Run, I)))
     end || I <- [1, 2, 3]].

a_node_that_does_not_reach_a_member_is_not_added(Config) ->
    Run = run(Config),
    [One, Two, Three] = ram_peers:nodes(Run),
    ok = call(Run, 1, start_cluster, [[One, Two]]),
    ok = ram_peers:tune(Run, 3, 2, cut),
    {Us, Result} = timer:tc(fun() -> call(Run, 1, add_node, [Three]) end),
    ?assertMatch({error, {not_reached, Two, _, _}}, Result),
    within_ten_seconds(Us),
    ram_peers:all_agree(Run, [1, 2]),
    ?assertEqual(noproc, raised(Run, 3, get, [k])),
    ok = ram_peers:heal(Run),
    ?assertEqual(ok, call(Run, 1, add_node, [Three])).

status_says_why_there_is_no_member_and_where_the_data_are(Config) ->
    Run = run(Config),
    One = ram_peers:node(Run, 1),
    ?assertMatch(#{node := One, role := none, reason := not_started}, call(Run, 1, status, [])),
    ok = ram_log:keep(Run, 1),
    ok = call(Run, 1, start, []),
    Dir = list_to_binary(filename:absname(ram_peers:data_dir(Run, 1))),
    ?assertMatch(#{node := One, role := none, reason := no_cluster, data_dir := Dir},
                 call(Run, 1, status, [])),
    ?assertMatch([_], ram_log:lines(Run, 1, binary_to_list(Dir))),
    ok = call(Run, 1, start_cluster, [[One]]),
    ?assertMatch(#{role := leader, storage := disk, data_dir := Dir}, call(Run, 1, status, [])),
    ok = call(Run, 1, stop, []),
    ?assertMatch(#{role := none, reason := not_started}, call(Run, 1, status, [])).
