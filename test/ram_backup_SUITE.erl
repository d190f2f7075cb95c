%% A backup is of one revision and comes back whole, or the file is refused and nothing happens.
-module(ram_backup_SUITE).

-include_lib("stdlib/include/assert.hrl").
-import(ram_case, [run/1]).

-export([all/0, suite/0, init_per_testcase/2, end_per_testcase/2]).
-export([what_was_backed_up_on_any_node_is_restored_on_any_node/1,
         a_backup_on_a_node_that_lags_holds_what_was_acknowledged_elsewhere/1,
         a_backup_while_ten_processes_write_is_of_one_revision/1,
         backups_and_snapshots_wait_for_each_other/1,
         a_file_cut_anywhere_is_refused_whole/1,
         a_file_with_a_flipped_byte_anywhere_is_refused_whole/1,
         a_snapshot_of_the_log_is_no_backup/1,
         a_cluster_that_is_not_empty_is_left_alone/1,
         a_file_that_exists_is_not_overwritten/1,
         files_and_folders_that_are_not_there_are_named/1,
         what_is_no_file_name_is_explained/1,
         a_value_above_the_limit_of_the_cluster_refuses_the_file/1,
         a_key_above_the_limit_of_the_cluster_refuses_the_file/1,
         a_restore_that_lost_the_majority_tells_how_far_it_came/1,
         without_a_majority_a_backup_times_out_and_leaves_nothing/1,
         a_member_that_stops_gives_a_backup_up/1,
         a_large_table_takes_seconds/1]).

suite() ->
    [{timetrap, {minutes, 4}}].

all() ->
    ram_case:all(?MODULE).

init_per_testcase(Case, Config) ->
    Started = ram_case:start_cluster(Config, 3, settings(Case)),
    [{file, filename:join(ram_peers:folder(run(Started)), "a backup")} | Started].

settings(backups_and_snapshots_wait_for_each_other) -> [{snapshot_every, 50}];
settings(a_snapshot_of_the_log_is_no_backup) -> [{snapshot_every, 50}];
settings(a_restore_that_lost_the_majority_tells_how_far_it_came) -> [{call_timeout_ms, 1000}];
settings(without_a_majority_a_backup_times_out_and_leaves_nothing) -> [{call_timeout_ms, 1000}];
settings(_) -> [].

end_per_testcase(_Case, Config) ->
    ram_case:stop(Config).

file(Config) -> proplists:get_value(file, Config).

call(Run, I, Function, Arguments) -> ram_peers:call(Run, I, Function, Arguments).

%% The same nodes as a cluster without entries.
start_afresh(Run) ->
    start_afresh(Run, []).

start_afresh(Run, Settings) ->
    Nodes = ram_peers:nodes(Run),
    ok = call(Run, 1, stop_cluster, [Nodes]),
    [begin
         ok = call(Run, I, stop, []),
         [ok = ram_peers:call(Run, I, application, set_env, [ram, K, V]) || {K, V} <- Settings]
     end || I <- [1, 2, 3], Settings =/= []],
    ok = call(Run, 1, start_cluster, [Nodes]).

entries(Run, I) ->
    ok = ram_peers:call(Run, I, ram_request, sync, [5000]),
    maps:get(entries, call(Run, I, status, [])).

put_all(Run, Entries) ->
    ok = ram_peers:call(Run, 1, ram_load, put_all, [Entries]).

put_numbers(Run, Count, Bytes) ->
    ok = ram_peers:call(Run, 1, ram_load, put_numbers, [Count, Bytes], 600000).

terms() ->
    [1, 1.0, -0.0, 1 bsl 200, an_atom, '', "text", <<>>, <<5:3>>, {}, [], #{}, #{1 => #{[] => x}},
     [improper | list], fun erlang:length/1, self(), make_ref(), {deep, [{#{k => <<"v">>}}]},
     undefined, 'ünïcode', binary:copy(<<"long">>, 10000)].

what_was_backed_up_on_any_node_is_restored_on_any_node(Config) ->
    Run = run(Config),
    Keys = terms(),
    Values = lists:reverse([binary:copy(<<"large">>, 200000) | tl(Keys)]),
    Entries = lists:zip(Keys, Values) ++ [{{n, N}, N} || N <- lists:seq(1, 5000)],
    put_all(Run, [{gone, 1} | Entries]),
    ok = call(Run, 2, delete, [gone]),
    [begin
         File = file(Config) ++ integer_to_list(From),
         ?assertEqual(ok, call(Run, From, backup, [File])),
         start_afresh(Run),
         ?assertEqual(ok, call(Run, To, restore, [File])),
         [?assertEqual({K, {ok, V}}, {K, call(Run, I, fetch, [K])})
          || I <- [1, 2, 3], {K, V} <- lists:sublist(Entries, 30)],
         ?assertEqual({ok, 4999}, call(Run, From, fetch, [{n, 4999}])),
         ?assertEqual([length(Entries)], lists:usort([entries(Run, I) || I <- [1, 2, 3]]))
     end || {From, To} <- [{1, 2}, {2, 3}, {3, 1}]].

%% The node wakes with megabytes to catch up, and the request in front of it.
a_backup_on_a_node_that_lags_holds_what_was_acknowledged_elsewhere(Config) ->
    Run = run(Config),
    Leader = call(Run, 1, leader, []),
    [Lagging, Other | _] = [I || I <- [1, 2, 3], ram_peers:node(Run, I) =/= Leader],
    ram_peers:suspend(Run, Lagging),
    ok = ram_peers:call(Run, Other, ram_load, put_numbers, [5000, 10000]),
    ok = call(Run, Other, put, [last, acknowledged]),
    Self = self(),
    spawn_link(fun() -> Self ! {done, call(Run, Lagging, backup, [file(Config)])} end),
    ram_peers:resume(Run, Lagging),
    ?assertEqual(ok, receive {done, Result} -> Result end),
    start_afresh(Run),
    ok = call(Run, 1, restore, [file(Config)]),
    ?assertEqual(acknowledged, call(Run, 2, get, [last])).

%% Each process puts N under two keys, one after the other: at any moment the second is as far as
%% the first, or one behind it.
a_backup_while_ten_processes_write_is_of_one_revision(Config) ->
    Run = run(Config),
    put_numbers(Run, 50000, 16),
    Writers = ram_load:spawn_all(Run, [1, 2], 5, fun ram_load:put_twins/2,
                                 [ram_case:amount(6000, 15000)]),
    Ids = [{I, N} || I <- [1, 2], N <- lists:seq(1, 5)],
    Written = fun() -> [call(Run, 3, get, [{b, Id}, 0]) || Id <- Ids] end,
    ram_peers:eventually(fun() -> lists:min(Written()) > 0 end),
    Files = [{I, file(Config) ++ integer_to_list(I)} || I <- [1, 2, 3]],
    [?assertEqual(ok, call(Run, I, backup, [File])) || {I, File} <- Files],
    Then = Written(),
    %% They write still, so they wrote during the backups.
    ram_peers:eventually(fun() -> lists:sum(Written()) > lists:sum(Then) end, 5000),
    ok = ram_load:wait_all(Writers),
    [begin
         start_afresh(Run),
         ?assertEqual(ok, call(Run, 2, restore, [File])),
         Twins = [{call(Run, 1, get, [{a, Id}]), call(Run, 1, get, [{b, Id}])} || Id <- Ids],
         ct:pal("~p", [Twins]),
         [?assert(A - B =:= 0 orelse A - B =:= 1) || {A, B} <- Twins],
         ?assertEqual(50000 + 2 * length(Ids), entries(Run, 1))
     end || {_, File} <- Files].

backups_and_snapshots_wait_for_each_other(Config) ->
    Run = run(Config),
    put_numbers(Run, 20000, 16),
    Puts = ram_case:amount(100, 300),
    Work = ram_load:spawn_all(Run, [1, 2, 3], 5, fun ram_load:put_and_get_own/2, [own, Puts]),
    [?assertEqual(ok, call(Run, I, backup, [file(Config) ++ lists:concat([I, "-", N])]))
     || N <- lists:seq(1, ram_case:amount(3, 10)), I <- [1, 2, 3]],
    ok = ram_load:wait_all(Work),
    %% Snapshots go on.
    [begin
         #{snapshot_index := Before} = call(Run, I, status, []),
         Grow = fun() ->
                        ok = call(Run, 1, put, [large, binary:copy(<<I:64>>, 10000)]),
                        maps:get(snapshot_index, call(Run, I, status, [])) > Before
                end,
         ram_peers:eventually(Grow, 60000)
     end || I <- [1, 2, 3]].

%% Two blocks and more.
small_backup(Config) ->
    Run = run(Config),
    put_numbers(Run, 100, 4000),
    ok = call(Run, 1, backup, [file(Config)]),
    start_afresh(Run),
    {ok, Bytes} = file:read_file(file(Config)),
    ?assert(byte_size(Bytes) > 300000),
    {Run, Bytes}.

refused_whole(Config, Run, Bytes, Case) ->
    Damaged = file(Config) ++ ".damaged",
    ok = file:write_file(Damaged, Bytes),
    {error, {file, Text}} = call(Run, 2, restore, [Damaged]),
    ?assertEqual({Case, Text, 0}, {Case, named(Damaged, Text), entries(Run, 3)}),
    Text.

%% The text itself when it names the file.
named(File, Text) ->
    case string:find(Text, File) of
        nomatch -> {not_named, File};
        _ -> Text
    end.

a_file_cut_anywhere_is_refused_whole(Config) ->
    {Run, Bytes} = small_backup(Config),
    Size = byte_size(Bytes),
    [refused_whole(Config, Run, binary:part(Bytes, 0, Length), Length)
     || Length <- [0, 1, 23, 24, 52, 100, 262144, Size div 2, Size - 29, Size - 28, Size - 1]],
    refused_whole(Config, Run, <<Bytes/binary, 0>>, longer),
    ?assertEqual(ok, call(Run, 2, restore, [file(Config)])),
    ?assertEqual(100, entries(Run, 1)).

a_file_with_a_flipped_byte_anywhere_is_refused_whole(Config) ->
    {Run, Bytes} = small_backup(Config),
    Size = byte_size(Bytes),
    Random = [rand:uniform(Size) - 1 || _ <- lists:seq(1, 20)],
    %% Header, head, blocks, and each field of the footer.
    Fixed = [0, 8, 12, 20, 24, 28, 32, 40, 60, 1000, Size div 2, Size - 29]
        ++ [Size - 28 + Field || Field <- [0, 4, 8, 16, 24]],
    [begin
         <<Front:At/binary, Byte, Rest/binary>> = Bytes,
         refused_whole(Config, Run, <<Front/binary, (Byte bxor 16#10), Rest/binary>>, At)
     end || At <- Fixed ++ Random],
    ?assertEqual(ok, call(Run, 3, restore, [file(Config)])).

a_snapshot_of_the_log_is_no_backup(Config) ->
    Run = run(Config),
    [ok = call(Run, 1, put, [N, N]) || N <- lists:seq(1, 300)],
    Pattern = filename:join(ram_peers:data_dir(Run, 1), "snapshot-*.snap"),
    ram_peers:eventually(fun() -> filelib:wildcard(Pattern) =/= [] end),
    {ok, Bytes} = file:read_file(hd(filelib:wildcard(Pattern))),
    start_afresh(Run),
    Text = refused_whole(Config, Run, Bytes, snapshot),
    ?assertNotEqual(nomatch, string:find(Text, "no backup")).

a_cluster_that_is_not_empty_is_left_alone(Config) ->
    Run = run(Config),
    ok = call(Run, 1, put, [k, before]),
    ok = call(Run, 1, backup, [file(Config)]),
    ok = call(Run, 1, put, [k, behind]),
    [?assertEqual({error, not_empty}, call(Run, I, restore, [file(Config)])) || I <- [1, 2, 3]],
    ?assertEqual(behind, call(Run, 1, get, [k])),
    ok = call(Run, 1, delete, [k]),
    ?assertEqual(ok, call(Run, 3, restore, [file(Config)])),
    ?assertEqual(before, call(Run, 1, get, [k])).

a_file_that_exists_is_not_overwritten(Config) ->
    Run = run(Config),
    File = file(Config),
    Temporary = File ++ ".tmp",
    [begin
         ok = file:write_file(Name, <<"mine">>),
         {error, {file, Text}} = call(Run, 1, backup, [File]),
         ?assertEqual(Text, named(Name, Text)),
         ?assertNotEqual(nomatch, string:find(Text, "exists")),
         ?assertEqual({ok, <<"mine">>}, file:read_file(Name)),
         ok = file:delete(Name)
     end || Name <- [File, Temporary]],
    ?assertEqual(ok, call(Run, 1, backup, [File])),
    ?assertNot(filelib:is_file(Temporary)).

files_and_folders_that_are_not_there_are_named(Config) ->
    Run = run(Config),
    Nowhere = filename:join([ram_peers:folder(Run), "nowhere", "b"]),
    Folder = ram_peers:folder(Run),
    [begin
         {error, {file, Text}} = call(Run, 1, Function, [File]),
         ct:pal("~ts", [Text]),
         ?assertEqual(Text, named(File, Text))
     end || {Function, File} <- [{backup, Nowhere}, {restore, Nowhere}, {restore, file(Config)},
                                 {restore, Folder}, {backup, Folder},
                                 {restore, list_to_binary(Nowhere)}]],
    ?assertNot(filelib:is_dir(filename:dirname(Nowhere))).

what_is_no_file_name_is_explained(Config) ->
    Run = run(Config),
    [?assertMatch({badarg, #{1 := <<"must be a file name", _/binary>>}},
                  ram_peers:call(Run, 1, ram_load, explained, [ram, Function, [File]]))
     || Function <- [backup, restore], File <- [1, {a}, [-1], <<255, 254>>]].

a_value_above_the_limit_of_the_cluster_refuses_the_file(Config) ->
    Run = run(Config),
    put_all(Run, [{small, 1}, {large, binary:copy(<<1>>, 5000)}]),
    ok = call(Run, 1, backup, [file(Config)]),
    start_afresh(Run, [{value_bytes_max, 4000}]),
    ?assertMatch({error, {value_too_large, Bytes, 4000}} when Bytes > 5000,
                 call(Run, 1, restore, [file(Config)])),
    ?assertEqual(0, entries(Run, 1)).

a_key_above_the_limit_of_the_cluster_refuses_the_file(Config) ->
    Run = run(Config),
    put_all(Run, [{small, 1}, {binary:copy(<<1>>, 5000), large}]),
    ok = call(Run, 1, backup, [file(Config)]),
    start_afresh(Run, [{key_bytes_max, 4000}]),
    ?assertEqual({error, {key_too_large, 4000}}, call(Run, 1, restore, [file(Config)])),
    ?assertEqual(0, entries(Run, 1)).

a_restore_that_lost_the_majority_tells_how_far_it_came(Config) ->
    Run = run(Config),
    Entries = ram_case:amount(50000, 200000),
    put_numbers(Run, Entries, 400),
    ok = call(Run, 1, backup, [file(Config)]),
    start_afresh(Run),
    Self = self(),
    spawn_link(fun() -> Self ! {restored, call(Run, 1, restore, [file(Config)])} end),
    ram_peers:eventually(fun() -> maps:get(entries, call(Run, 1, status, [])) > 1000 end),
    [ram_peers:suspend(Run, I) || I <- [2, 3]],
    Node = ram_peers:node(Run, 1),
    {error, {partly, Restored, Total, Reason}} = receive {restored, Result} -> Result end,
    [ram_peers:resume(Run, I) || I <- [2, 3]],
    ?assertEqual({timeout, {ram, Node}}, Reason),
    ?assert(Restored >= 1000),
    ?assert(Restored < Total),
    ?assertEqual(Entries, Total),
    ?assertEqual({error, not_empty}, call(Run, 1, restore, [file(Config)])),
    start_afresh(Run),
    ?assertEqual(ok, call(Run, 1, restore, [file(Config)])),
    ?assertEqual(Entries, entries(Run, 2)).

without_a_majority_a_backup_times_out_and_leaves_nothing(Config) ->
    Run = run(Config),
    [ram_peers:suspend(Run, I) || I <- [2, 3]],
    ?assertEqual({error, {timeout, {ram, ram_peers:node(Run, 1)}}},
                 call(Run, 1, backup, [file(Config)])),
    [ram_peers:resume(Run, I) || I <- [2, 3]],
    ?assertEqual([], filelib:wildcard(file(Config) ++ "*")).

a_member_that_stops_gives_a_backup_up(Config) ->
    Run = run(Config),
    put_numbers(Run, 10000, 8000),
    Self = self(),
    spawn_link(fun() -> Self ! {done, call(Run, 1, backup, [file(Config)])} end),
    ram_peers:eventually(fun() -> filelib:wildcard(file(Config) ++ "*") =/= [] end),
    ok = call(Run, 1, stop, []),
    Done = receive {done, Result} -> Result end,
    ct:pal("~p", [Done]),
    Files = filelib:wildcard(file(Config) ++ "*"),
    %% It was faster, or it left nothing.
    ?assert({Done, Files} =:= {{error, noproc}, []} orelse Files =:= [file(Config)]),
    ok = call(Run, 1, start, []),
    ok = ram_peers:call(Run, 1, ram_request, sync, [20000]).

a_large_table_takes_seconds(Config) ->
    Run = run(Config),
    Count = ram_case:amount(20000, 1000000),
    put_numbers(Run, Count, 16),
    {BackupUs, ok} = timer:tc(fun() -> call(Run, 1, backup, [file(Config)]) end),
    start_afresh(Run),
    {RestoreUs, ok} = timer:tc(fun() -> call(Run, 1, restore, [file(Config)]) end),
    ?assertEqual(Count, entries(Run, 2)),
    ram_figure:at_most("backup of a large table, for an entry", BackupUs / Count, 2, "us"),
    ram_figure:at_most("restore of a large table, for an entry", RestoreUs / Count, 6, "us").
