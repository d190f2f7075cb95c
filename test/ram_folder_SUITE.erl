%% What lies in a data folder is not deleted, joined over or taken for nothing, whatever the
%% operator, the disk or a second VM do to it; and what is deleted on demand is gone, or said not to
%% be.
-module(ram_folder_SUITE).

-include_lib("stdlib/include/assert.hrl").
-import(ram_case, [run/1]).
-import(ram_peers, [call/4, raised/4, data_dir/2]).

-export([all/0, suite/0, init_per_testcase/2, end_per_testcase/2]).
-export([folders_that_come_after_ram_was_started_are_served_with_all_they_hold/1,
         an_identity_with_a_flipped_byte_is_kept_and_named_until_it_is_mended/1,
         an_identity_that_may_not_be_read_is_kept_and_named/1,
         a_node_without_file_descriptors_deletes_nothing_and_serves_when_it_has_some/1,
         a_folder_that_another_member_holds_is_neither_joined_nor_touched/1,
         a_second_vm_serves_a_folder_when_the_first_one_lets_go_of_it/1,
         a_member_whose_process_is_killed_serves_again_by_itself/1,
         a_member_that_was_stopped_and_started_again_and_again_under_load_serves/1,
         an_identity_without_a_log_does_not_vote_or_serve_as_if_it_were_new/1,
         a_log_without_an_identity_is_not_joined_over/1,
         what_could_not_be_deleted_is_said_and_is_not_back_after_a_restart/1,
         foreign_files_and_linked_folders_stay_when_a_cluster_is_stopped/1,
         a_folder_moved_over_that_of_a_running_member_is_not_deleted_with_it/1,
         force_recover_returns_what_a_survivor_could_not_do/1,
         the_data_folder_stays_where_it_was_when_the_working_directory_changes/1]).

suite() ->
    [{timetrap, {minutes, 3}}].

all() ->
    ram_case:all(?MODULE).

init_per_testcase(an_identity_that_may_not_be_read_is_kept_and_named = Case, Config) ->
    case os:cmd("id -u") of
        "0\n" -> {skip, "root may read everything"};
        _ -> ram_case:start(Config, count(Case))
    end;
init_per_testcase(Case, Config) ->
    ram_case:start(Config, count(Case)).

count(a_folder_that_another_member_holds_is_neither_joined_nor_touched) -> 4;
count(a_log_without_an_identity_is_not_joined_over) -> 4;
count(a_second_vm_serves_a_folder_when_the_first_one_lets_go_of_it) -> 1;
count(_) -> 3.

end_per_testcase(_Case, Config) ->
    ram_case:stop(Config).

%% A cluster of the nodes 1 to 3 that holds {k, v}.
started(Config) -> ram_case:started(Config, 3, {k, v}).

nodes_1_to_3(Run) -> ram_peers:nodes(Run, [1, 2, 3]).

stop_all(Run) -> [ok = call(Run, I, stop, []) || I <- [1, 2, 3]].

start_all(Run) -> [ok = call(Run, I, start, []) || I <- [1, 2, 3]].

folders_that_come_after_ram_was_started_are_served_with_all_they_hold(Config) ->
    Run = started(Config),
    stop_all(Run),
    [ok = file:rename(data_dir(Run, I), data_dir(Run, I) ++ ".away") || I <- [1, 2, 3]],
    start_all(Run),
    [?assertEqual(noproc, raised(Run, I, get, [k])) || I <- [1, 2, 3]],
    [ok = file:rename(data_dir(Run, I) ++ ".away", data_dir(Run, I)) || I <- [1, 2, 3]],
    ?assertEqual(ok, call(Run, 2, start_cluster, [nodes_1_to_3(Run)])),
    [?assertEqual(v, call(Run, I, get, [k])) || I <- [1, 2, 3]].

an_identity_with_a_flipped_byte_is_kept_and_named_until_it_is_mended(Config) ->
    Run = started(Config),
    stop_all(Run),
    [flip(member(Run, I)) || I <- [1, 2, 3]],
    start_all(Run),
    is_named_and_kept(Run, <<"member">>),
    [flip(member(Run, I)) || I <- [1, 2, 3]],
    ?assertEqual(ok, call(Run, 1, start_cluster, [nodes_1_to_3(Run)])),
    [?assertEqual(v, call(Run, I, get, [k])) || I <- [1, 2, 3]].

an_identity_that_may_not_be_read_is_kept_and_named(Config) ->
    Run = started(Config),
    stop_all(Run),
    [ok = file:change_mode(member(Run, I), 8#000) || I <- [1, 2, 3]],
    start_all(Run),
    is_named_and_kept(Run, <<"member">>),
    [ok = file:change_mode(member(Run, I), 8#600) || I <- [1, 2, 3]],
    ?assertEqual(ok, call(Run, 1, start_cluster, [nodes_1_to_3(Run)])),
    [?assertEqual(v, call(Run, I, get, [k])) || I <- [1, 2, 3]].

%% However often the cluster is asked for.
is_named_and_kept(Run, What) ->
    Before = [files(data_dir(Run, I)) || I <- [1, 2, 3]],
    Named = fun(Text) -> binary:match(Text, What) =/= nomatch end,
    [begin
         {error, {failed, Node, {unreadable, Text}}} =
             call(Run, I, start_cluster, [nodes_1_to_3(Run)]),
         ?assert(lists:member(Node, nodes_1_to_3(Run))),
         ?assert(Named(Text), Text),
         #{role := down, failure := {unreadable, Why}} = call(Run, I, status, []),
         ?assert(Named(Why), Why),
         ?assertEqual(noproc, raised(Run, I, get, [k]))
     end || I <- [1, 2, 3, 1, 2]],
    ?assertMatch({error, {unreadable, _}}, call(Run, 1, restart_server, [])),
    ?assertEqual(Before, [files(data_dir(Run, I)) || I <- [1, 2, 3]]).

a_node_without_file_descriptors_deletes_nothing_and_serves_when_it_has_some(Config) ->
    Run = started(Config),
    stop_all(Run),
    Before = files(data_dir(Run, 1)),
    %% Code is read from files, too.
    {ok, Modules} = ram_peers:call(Run, 1, application, get_key, [ram, modules]),
    [ok = ram_peers:call(Run, I, code, ensure_modules_loaded, [[erpc, global | Modules]])
     || I <- [1, 2, 3]],
    [prlimit(Run, I, "nofile=3:4096") || I <- [1, 2, 3]],
    start_all(Run),
    [?assertMatch({error, {failed, _, _}}, call(Run, I, start_cluster, [nodes_1_to_3(Run)]))
     || I <- [1, 2, 3, 1]],
    [prlimit(Run, I, "nofile=4096:4096") || I <- [1, 2, 3]],
    ?assertEqual([], Before -- files(data_dir(Run, 1))),
    ?assertEqual(ok, call(Run, 1, start_cluster, [nodes_1_to_3(Run)])),
    [?assertEqual(v, call(Run, I, get, [k])) || I <- [1, 2, 3]].

a_folder_that_another_member_holds_is_neither_joined_nor_touched(Config) ->
    Run = started(Config),
    ok = ram_peers:call(Run, 4, application, set_env, [ram, data_dir, data_dir(Run, 1)]),
    Four = ram_peers:node(Run, 4),
    [?assertMatch({error, {failed, Four, {in_use, <<_/binary>>}}}, Asked())
     || Asked <- [fun() -> call(Run, 4, start_cluster, [[Four]]) end,
                  fun() -> call(Run, 1, add_node, [Four]) end,
                  fun() -> call(Run, 4, stop_cluster, [[Four]]) end,
                  fun() -> call(Run, 4, start_cluster, [[Four]]) end]],
    #{failure := {in_use, Text}} = call(Run, 4, status, []),
    ?assertNotEqual(nomatch, binary:match(Text, <<"data_dir">>)),
    ok = call(Run, 1, put, [l, w]),
    stop_all(Run),
    start_all(Run),
    [?assertEqual({v, w}, {call(Run, I, get, [k]), call(Run, I, get, [l])}) || I <- [1, 2, 3]].

%% As one that is started twice in one directory does.
a_second_vm_serves_a_folder_when_the_first_one_lets_go_of_it(Config) ->
    Run = run(Config),
    Plain = fun() ->
                    {ok, Peer, _} = peer:start(#{connection => standard_io,
                                                 args => ram_peers:code_paths()}),
                    ok = peer:call(Peer, application, load, [ram]),
                    ok = peer:call(Peer, application, set_env, [ram, data_dir, data_dir(Run, 9)]),
                    ok = peer:call(Peer, ram, start, []),
                    Peer
            end,
    First = Plain(),
    ok = peer:call(First, ram, start_cluster, [[nonode@nohost]]),
    ok = peer:call(First, ram, put, [k, v]),
    Second = Plain(),
    ?assertMatch({error, {failed, _, {in_use, _}}},
                 peer:call(Second, ram, start_cluster, [[nonode@nohost]])),
    ok = peer:call(First, ram, put, [l, w]),
    ok = peer:stop(First),
    ram_peers:eventually(fun() -> peer:call(Second, ram, get, [l]) =:= w end),
    ?assertEqual(v, peer:call(Second, ram, get, [k])),
    ok = peer:stop(Second).

a_member_whose_process_is_killed_serves_again_by_itself(Config) ->
    Run = started(Config),
    [begin
         Process = ram_peers:call(Run, I, erlang, whereis, [ram_node]),
         true = ram_peers:call(Run, I, erlang, exit, [Process, kill]),
         ?assertEqual(ok, call(Run, 1 + I rem 3, start_cluster, [nodes_1_to_3(Run)])),
         ram_peers:eventually(fun() -> serves(Run, I) end, 10000)
     end || I <- [1, 2, 3]],
    ok = call(Run, 1, put, [k, w]),
    [?assertEqual(w, call(Run, I, get, [k])) || I <- [1, 2, 3]].

a_member_that_was_stopped_and_started_again_and_again_under_load_serves(Config) ->
    Run = started(Config),
    Puts = ram_case:amount(700, 3000),
    Load = ram_load:spawn_all(Run, [1, 2], 4, fun ram_load:put_and_get_own/2, [load, Puts]),
    [begin
         ok = call(Run, 3, stop, []),
         ok = call(Run, 3, start, [])
     end || _ <- lists:seq(1, ram_case:amount(5, 20))],
    ram_peers:eventually(fun() -> call(Run, 3, get, [k]) =:= v end, 10000),
    ok = ram_load:wait_all(Load).

an_identity_without_a_log_does_not_vote_or_serve_as_if_it_were_new(Config) ->
    Run = started(Config),
    ok = call(Run, 3, stop, []),
    Log = [Name || Name <- files(data_dir(Run, 3)), Name =/= "member", Name =/= "lock"],
    [ok = file:delete(filename:join(data_dir(Run, 3), Name)) || Name <- Log],
    ok = call(Run, 3, start, []),
    Three = ram_peers:node(Run, 3),
    #{role := down, failure := {unreadable, Text}} = call(Run, 3, status, []),
    ?assertNotEqual(nomatch, binary:match(Text, <<"no log">>)),
    ?assertMatch({error, {running_on, [_, _], {failed, Three, {unreadable, _}}}},
                 call(Run, 1, start_cluster, [nodes_1_to_3(Run)])),
    ?assertMatch({error, {failed, Three, {unreadable, _}}}, call(Run, 1, add_node, [Three])),
    ?assert(filelib:is_regular(member(Run, 3))),
    %% The remedy that the text names.
    ok = file:rename(data_dir(Run, 3), data_dir(Run, 3) ++ ".away"),
    ?assertEqual(ok, call(Run, 1, start_cluster, [nodes_1_to_3(Run)])),
    ?assertEqual(v, call(Run, 3, get, [k])).

a_log_without_an_identity_is_not_joined_over(Config) ->
    Run = run(Config),
    Four = ram_peers:node(Run, 4),
    ok = call(Run, 4, start_cluster, [[Four]]),
    ok = call(Run, 4, put, [k, foreign]),
    ok = call(Run, 4, stop, []),
    ok = file:rename(member(Run, 4), member(Run, 4) ++ ".away"),
    ok = call(Run, 4, start, []),
    Run = started(Config),
    ?assertMatch({error, {failed, Four, {unreadable, _}}}, call(Run, 1, add_node, [Four])),
    ?assertMatch({error, {failed, Four, {unreadable, _}}}, call(Run, 4, start_cluster, [[Four]])),
    ?assertEqual(noproc, raised(Run, 4, get, [k, none, #{reads => local}])),
    ok = file:rename(member(Run, 4) ++ ".away", member(Run, 4)),
    ?assertEqual(ok, call(Run, 4, restart_server, [])),
    ?assertEqual(foreign, call(Run, 4, get, [k])).

%% A folder of the name of a segment cannot be deleted as a file.
what_could_not_be_deleted_is_said_and_is_not_back_after_a_restart(Config) ->
    Run = started(Config),
    Name = "log-00000000000000000099.seg",
    Stuck = [filename:join(data_dir(Run, I), Name) || I <- [2, 3]],
    [ok = file:make_dir(Each) || Each <- Stuck],
    [Two, Three] = ram_peers:nodes(Run, [2, 3]),
    {error, {not_erased, Three, Text}} = call(Run, 1, remove_node, [Three]),
    ?assertNotEqual(nomatch, binary:match(Text, list_to_binary(Name))),
    ?assertEqual([ram_peers:node(Run, 1), Two], call(Run, 1, nodes, [])),
    ?assertMatch({error, {not_erased, Two, _}},
                 call(Run, 1, stop_cluster, [nodes_1_to_3(Run)])),
    [ok = call(Run, I, stop, []) || I <- [2, 3]],
    [ok = call(Run, I, start, []) || I <- [2, 3]],
    [?assertMatch(#{failure := {not_erased, _}}, call(Run, I, status, [])) || I <- [2, 3]],
    [ok = file:del_dir(Each) || Each <- Stuck],
    ?assertEqual(ok, call(Run, 1, start_cluster, [nodes_1_to_3(Run)])),
    [?assertEqual(error, call(Run, I, fetch, [k])) || I <- [1, 2, 3]].

foreign_files_and_linked_folders_stay_when_a_cluster_is_stopped(Config) ->
    Run = run(Config),
    Real = data_dir(Run, 2) ++ ".real",
    ok = file:make_dir(Real),
    ok = file:make_symlink(Real, data_dir(Run, 2)),
    Run = started(Config),
    [ok = file:write_file(filename:join(data_dir(Run, I), "notes.tmp"), "mine") || I <- [1, 2]],
    stop_all(Run),
    start_all(Run),
    ?assertEqual(v, call(Run, 1, get, [k])),
    ?assertEqual(ok, call(Run, 1, stop_cluster, [nodes_1_to_3(Run)])),
    ?assertEqual(["notes.tmp"], files(data_dir(Run, 1))),
    ?assertEqual({ok, Real}, file:read_link(data_dir(Run, 2))),
    ?assertEqual(["notes.tmp"], files(Real)),
    ?assertNot(filelib:is_file(data_dir(Run, 3))).

a_folder_moved_over_that_of_a_running_member_is_not_deleted_with_it(Config) ->
    Run = started(Config),
    Dir = data_dir(Run, 1),
    ok = file:rename(Dir, Dir ++ ".hidden"),
    ok = file:make_dir(Dir),
    [{ok, _} = file:copy(filename:join(data_dir(Run, 2), Name), filename:join(Dir, Name))
     || Name <- files(data_dir(Run, 2)), Name =/= "lock"],
    Before = files(Dir),
    ?assertEqual(ok, call(Run, 1, stop_cluster, [nodes_1_to_3(Run)])),
    ?assertEqual(Before, files(Dir)),
    ?assertEqual([], files(Dir ++ ".hidden")).

force_recover_returns_what_a_survivor_could_not_do(Config) ->
    Run = started(Config),
    #{cluster := Cluster} = call(Run, 1, status, []),
    ok = ram_peers:kill(Run, 3),
    [One, Two] = ram_peers:nodes(Run, [1, 2]),
    [ok = file:make_dir(filename:join(data_dir(Run, I), "erasing.tmp")) || I <- [1, 2]],
    Recover = [#{survivors => [One, Two], confirm => Cluster}],
    {error, {running_on, [Keeper], {not_erased, Other, _}}} =
        call(Run, 1, force_recover, Recover),
    ?assertEqual([One, Two], lists:sort([Keeper, Other])),
    I = case Keeper of One -> 1; Two -> 2 end,
    ?assertEqual(v, call(Run, I, get, [k])).

the_data_folder_stays_where_it_was_when_the_working_directory_changes(Config) ->
    Run = run(Config),
    Folder = ram_peers:folder(Run),
    [begin
         ok = ram_peers:call(Run, I, file, set_cwd, [Folder]),
         ok = ram_peers:call(Run, I, application, set_env,
                             [ram, data_dir, "relative" ++ integer_to_list(I)])
     end || I <- [1, 2, 3]],
    Run = started(Config),
    [ok = ram_peers:call(Run, I, file, set_cwd, ["/"]) || I <- [1, 2, 3]],
    %% More than a segment holds.
    [ok = call(Run, 1, put, [large, binary:copy(<<N>>, 4 bsl 20)]) || N <- lists:seq(1, 6)],
    ?assertMatch(<<6, _/binary>>, call(Run, 2, get, [large])),
    ?assertEqual(ok, call(Run, 1, start_cluster, [nodes_1_to_3(Run)])),
    ?assertEqual(v, call(Run, 3, get, [k])).

%% By the member that its process knows, and not by one that was left behind.
serves(Run, I) ->
    Node = ram_peers:node(Run, I),
    #{running := true} = ram_peers:call(Run, I, ram_node, describe, [Node]),
    call(Run, I, get, [k]) =:= v.

member(Run, I) -> filename:join(data_dir(Run, I), "member").

files(Dir) ->
    {ok, Names} = file:list_dir_all(Dir),
    lists:sort(Names).

flip(File) ->
    {ok, <<Front:20/binary, Byte, Rest/binary>>} = file:read_file(File),
    ok = file:write_file(File, <<Front/binary, (Byte bxor 1), Rest/binary>>).

prlimit(Run, I, Limit) ->
    "" = os:cmd(lists:concat(["prlimit --pid ", ram_peers:os_pid(Run, I), " --", Limit])).
