%% What lasts: data over stops, crashes, wiped and full disks; each case on nodes of its own.
-module(ram_durability_SUITE).

-include_lib("stdlib/include/assert.hrl").
-import(ram_case, [run/1, started/1]).
-import(ram_peers, [call/4, raised/4]).

-export([all/0, suite/0, init_per_testcase/2, end_per_testcase/2]).
-export([a_node_that_lost_its_data_is_added_as_a_new_member/1,
         a_cluster_in_memory_has_no_file_and_takes_back_who_restarted/1,
         when_a_majority_lost_its_memory_the_cluster_says_so/1,
         storage_is_the_same_on_all_members/1,
         a_survivor_of_a_lost_majority_makes_a_new_cluster_by_force/1,
         a_survivor_in_memory_makes_a_new_cluster_by_force_with_its_data/1,
         a_member_whose_disk_is_full_stops_and_comes_back_with_everything/1,
         a_member_that_was_stopped_serves_again/1,
         a_cluster_restarted_as_a_whole_keeps_its_data/1,
         a_follower_that_fell_behind_the_log_is_given_a_snapshot/1,
         a_snapshot_whose_connection_breaks_goes_on_where_it_was/1,
         the_log_on_disk_stays_bounded_by_the_data/1,
         starts_and_stops_leave_no_thread_and_no_memory/1]).

suite() ->
    [{timetrap, {minutes, 3}}].

all() ->
    ram_case:all(?MODULE).

init_per_testcase(Case, Config) ->
    ram_case:start(Config, count(Case), settings(Case)).

count(a_survivor_of_a_lost_majority_makes_a_new_cluster_by_force) -> 5;
count(starts_and_stops_leave_no_thread_and_no_memory) -> 1;
count(_) -> 3.

settings(a_follower_that_fell_behind_the_log_is_given_a_snapshot) -> [{snapshot_every, 200}];
settings(a_snapshot_whose_connection_breaks_goes_on_where_it_was) ->
    %% Of another leader a snapshot begins anew: none is elected because the disk is busy.
    [{snapshot_every, 50}, {election_timeout_ms, {3000, 5000}}, {call_timeout_ms, 20000}];
settings(the_log_on_disk_stays_bounded_by_the_data) -> [{snapshot_every, 200}];
settings(when_a_majority_lost_its_memory_the_cluster_says_so) -> [{call_timeout_ms, 1000}];
settings(_) -> [].

end_per_testcase(_Case, Config) ->
    ram_case:stop(Config).

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
    %% No survivor leads: from a leader the other one would get what it has missed.
    Leader = ram_peers:leader(Run, 1),
    [One, Two | More] = [1, 2, 3, 4, 5] -- [Leader],
    Lost = [Leader | More],
    [ok = call(Run, One, put, [{k, N}, N]) || N <- lists:seq(1, 100)],
    %% One of the two survivors has missed a part.
    ok = ram_peers:halt(Run, Two),
    [ok = call(Run, One, put, [{k, N}, N]) || N <- lists:seq(101, 200)],
    Survivors = ram_peers:nodes(Run, [One, Two]),
    #{cluster := Cluster} = call(Run, One, status, []),
    [ok = ram_peers:kill(Run, I) || I <- Lost],
    ram_peers:restart(Run, Two),
    Recover = fun(Id) ->
                      Options = #{survivors => Survivors, confirm => Id},
                      call(Run, Two, force_recover, [Options])
              end,
    ?assertMatch({error, {failed, _, {belongs_to, Cluster}}}, Recover(<<0:128>>)),
    ?assertMatch(#{cluster := Cluster}, call(Run, One, status, [])),
    {ok, #{kept := Kept, cluster := New, given_up := GivenUp}} = Recover(Cluster),
    ?assertEqual(ram_peers:node(Run, One), Kept),
    ?assertEqual(ram_peers:nodes(Run, lists:sort(Lost)), lists:sort(GivenUp)),
    ?assertNotEqual(Cluster, New),
    ram_peers:all_agree(Run, [One, Two]),
    [?assertEqual(N, call(Run, Two, get, [{k, N}])) || N <- lists:seq(1, 200)],
    ok = call(Run, Two, put, [on, we_go]),
    %% Those who were given up come back to a cluster that is not theirs any more.
    [ram_peers:restart(Run, I) || I <- More],
    ?assertMatch({timeout, _}, raised(Run, hd(More), put, [k, stale])),
    ?assertEqual(we_go, call(Run, One, get, [on])),
    ram_peers:all_agree(Run, [One, Two]).

a_survivor_in_memory_makes_a_new_cluster_by_force_with_its_data(Config) ->
    Run = run(Config),
    [One, Two, Three] = Nodes = ram_peers:nodes(Run),
    ok = call(Run, 1, start_cluster, [Nodes, #{storage => memory}]),
    [ok = call(Run, 1, put, [{k, N}, N]) || N <- lists:seq(1, 100)],
    [ok = ram_peers:kill(Run, I) || I <- [2, 3]],
    #{cluster := Cluster} = call(Run, 1, status, []),
    Options = #{survivors => [One], confirm => Cluster},
    ?assertMatch({ok, #{kept := One, given_up := [Two, Three]}},
                 call(Run, 1, force_recover, [Options])),
    ?assertEqual([One], call(Run, 1, nodes, [])),
    [?assertEqual(N, call(Run, 1, get, [{k, N}])) || N <- lists:seq(1, 100)],
    [ram_peers:restart(Run, I) || I <- [2, 3]],
    [?assertEqual(ok, call(Run, 1, add_node, [Node])) || Node <- [Two, Three]],
    ok = ram_peers:kill(Run, 1),
    [?assertEqual(N, call(Run, 3, get, [{k, N}])) || N <- lists:seq(1, 100)].

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

%% Twenty times the data passes through the log, a hundred times the number of entries.
the_log_on_disk_stays_bounded_by_the_data(Config) ->
    Run = started(Config),
    {Entries, ValueBytes} = {100, 40000},
    Put = fun(_) ->
                  ok = ram_peers:call(Run, 1, ram_load, put_numbers, [Entries, ValueBytes])
          end,
    lists:foreach(Put, lists:seq(1, 20)),
    [ok = call(Run, 1, put, [1, <<1:(8 * ValueBytes)>>]) || _ <- lists:seq(1, 400)],
    #{log := #{bytes_written := Written}} = call(Run, 1, status, []),
    ?assert(Written > 20 * Entries * ValueBytes),
    %% As docs/durability.md says.
    Bound = 3 * Entries * ValueBytes + (48 bsl 20),
    [begin
         Bytes = fun() -> folder_bytes(ram_peers:data_dir(Run, I)) end,
         ram_peers:eventually(fun() -> Bytes() =< Bound end),
         ct:pal("node ~b: ~b bytes on disk, bound ~b", [I, Bytes(), Bound])
     end || I <- [1, 2, 3]].

folder_bytes(Folder) ->
    {ok, Names} = file:list_dir(Folder),
    lists:sum([filelib:file_size(filename:join(Folder, Name)) || Name <- Names]).

%% Every connection carries a third of the snapshot: a transfer that began anew each time would
%% never end. What the follower has received by then tells that no piece came twice.
a_snapshot_whose_connection_breaks_goes_on_where_it_was(Config) ->
    Run = started(Config),
    Leader = ram_peers:leader(Run, 1),
    Follower = hd([1, 2, 3] -- [Leader]),
    #{last_log_index := Last} = call(Run, Follower, status, []),
    ok = ram_peers:halt(Run, Follower),
    {Entries, ValueBytes} = {600, 50000},
    SnapshotBytes = Entries * ValueBytes,
    Put = fun(N) -> ram_peers:call(Run, Leader, ram_load, put_numbers, [N, ValueBytes]) end,
    Purged = fun() ->
                     ok = Put(Entries),
                     #{purged_index := Index} = call(Run, Leader, status, []),
                     Index > Last
             end,
    ram_peers:eventually(Purged, 60000),
    %% A newer snapshot would be sent from its beginning: none is due before the log since the last
    %% one has the size of the table again. While one is due nothing is written, since it may last.
    SnapshotOf = fun(I) -> maps:get(snapshot_index, call(Run, I, status, [])) end,
    IsFarFromNext = fun() ->
                            #{last_log_index := Newest} = call(Run, Leader, status, []),
                            case Newest - SnapshotOf(Leader) of
                                Since when Since < Entries div 4 -> true;
                                Since when Since > Entries + 100 -> false;
                                _ -> ok = Put(20), false
                            end
                    end,
    ram_peers:eventually(IsFarFromNext, 60000),
    ok = ram_links:tune(ram_peers:links(Run), Leader, Follower, {breaks, SnapshotBytes div 3}),
    ram_peers:restart(Run, Follower),
    ram_peers:eventually(fun() -> SnapshotOf(Follower) > 0 end),
    #{net := #{bytes_received := Bytes}} = call(Run, Follower, status, []),
    ok = ram_links:heal(ram_peers:links(Run)),
    ct:pal("~b bytes of snapshot, ~b bytes received", [SnapshotBytes, Bytes]),
    ?assert(Bytes > SnapshotBytes),
    ?assert(Bytes < SnapshotBytes * 5 div 4),
    ?assertEqual(<<7:400000>>, call(Run, Follower, get, [7])).

starts_and_stops_leave_no_thread_and_no_memory(Config) ->
    Run = run(Config),
    ok = call(Run, 1, start_cluster, [ram_peers:nodes(Run)]),
    ok = call(Run, 1, put, [k, v]),
    Rounds = ram_case:amount(20, 50),
    %% The first rounds fill caches of the VM.
    _ = ram_peers:call(Run, 1, ram_load, rounds, [10]),
    Threads = ram_peers:call(Run, 1, ram_load, threads, []),
    Resident = ram_peers:call(Run, 1, ram_load, rounds, [Rounds]),
    ?assertEqual(Threads, ram_peers:call(Run, 1, ram_load, threads, [])),
    Growth = lists:last(Resident) - hd(Resident),
    ct:pal("resident bytes after the first round ~b, growth over ~b rounds ~b",
           [hd(Resident), Rounds, Growth]),
    ?assert(Growth < 4 bsl 20),
    ?assertEqual(v, call(Run, 1, get, [k])).
